"""Draw the story's pictures, and keep what they show at every position of their controls:

    python book/story.py [--compute]

Each scene becomes `_story/NAME.html`, a figure that stands still as it is, without a script and on
paper; `story.js` moves its parts.  What they show is stored in `story-data.js`, computed by
`mvlib.reduced.story`; with --compute it is computed anew (a minute).  Tests fail when pictures or
numbers are not what the code gives.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib.reduced import story  # noqa: E402
from mvlib.reduced.story import CLASSES, FEW, MEMBERS, VIEWS, Values  # noqa: E402

BOOK = ROOT / "book"
DATA = BOOK / "_explorable" / "explorable" / "story-data.js"
HEAD = "/* Written by `python book/story.py --compute`; a test fails when it is out of date. */\n"
Stored = dict[str, dict[str, Values]]


# -- numbers ------------------------------------------------------------------------------------


def compute() -> Stored:
    """Scene -> position of its controls -> values."""
    return {
        scene: {key(at): show(*at) for at in story.positions(scene)}
        for scene, show in story.SCENES.items()
    }


def key(at: tuple[int, ...]) -> str:
    return " ".join(map(str, at))


def data(stored: Stored) -> str:
    """The script that the page loads: settings, controls and values to four digits."""
    settings = {
        "CLASSES": CLASSES, "VIEWS": VIEWS, "FOUR": asdict(story.four_params()), "FEW": FEW,
        "MEMBERS": MEMBERS, "LEAD": story.LEAD, "RACE_SEED": story.RACE_SEED,
        "RACE_NUMBER": story.RACE_NUMBER, "N_TRAIN": story.PARAMS.n_train,
        "STUDENT_STEPS": story.STUDENT_STEPS,
    }  # fmt: skip
    content = {"settings": settings, "state": story.STATE, "controls": story.CONTROLS,
               "scenes": _short(stored)}  # fmt: skip
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return f"{HEAD}globalThis.MVStory = {text};\n"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        rounded = float(f"{value:.4g}")
        return int(rounded) if rounded == int(rounded) else rounded
    if isinstance(value, dict):
        return {name: _short(v) for name, v in value.items()}
    return [_short(v) for v in value] if isinstance(value, list) else value


def stored() -> Stored:
    """What is kept."""
    text = DATA.read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])["scenes"]


# -- parts of a picture that move -----------------------------------------------------------------
# Each says in data attributes which value moves it and how; story.js does again what is done here.


def tag(name: str, content: str = "", **attributes: Any) -> str:
    said = "".join(
        f' {word.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for word, value in attributes.items()
    )
    return f"<{name}{said}>{content}</{name}>"


def value(v: Values, name: str) -> Any:
    """A value by its name, or one of a list, as in "wrong.3"."""
    word, _, place = name.partition(".")
    found: Any = v[word]
    return found[int(place)] if place else found


def fill(v: Values, template: str) -> str:
    """{name} whole or a word, {name%} in per cent, {name:2} with two digits."""

    def one(found: re.Match[str]) -> str:
        this = value(v, found[1])
        if isinstance(this, str):
            return this
        if found[2] == "%":
            return f"{100 * this:.1f}%"
        return f"{this:.{int((found[2] or ':0')[1:])}f}"

    return re.sub(r"\{([\w.]+)(%|:\d)?\}", one, template)


def words(v: Values, template: str, x: float, y: float, class_: str = "", **more: Any) -> str:
    return text(fill(v, template), x, y, class_, data_text=template, **more)


def text(content: str, x: float, y: float, class_: str = "", **more: Any) -> str:
    return tag("text", html.escape(content), x=x, y=y, class_=class_, **more)


def square(v: Values, name: str, x: float, y: float, size: float, class_: str) -> str:
    """Filled where the value is one."""
    off = "" if value(v, name) else " mv-off"
    return tag("rect", x=x, y=y, width=size, height=size, rx=2, class_=f"mv-square {class_}{off}",
               data_on=name)  # fmt: skip


def frame(x: float, y: float, w: float, h: float, class_: str) -> str:
    return tag("rect", x=x, y=y, width=w, height=h, rx=2, class_=f"mv-square {class_} mv-off")


def only_if(v: Values, name: str, content: str) -> str:
    return tag("g", content, class_="mv-part" + ("" if value(v, name) else " mv-off"), data_on=name)


def bar(
    v: Values, name: str, x: float, y: float, h: float, unit: float, class_: str
) -> str:  # fmt: skip
    """As long as the value, in units; never less than a hair."""
    return tag("rect", x=x, y=y, height=h, width=f"{max(1, unit * value(v, name)):.1f}", rx=1.5,
               class_=class_, data_bar=name, data_unit=unit)  # fmt: skip


def rise(v: Values, name: str, x: float, foot: float, w: float, unit: float, class_: str) -> str:
    """As high as the value."""
    h = max(0, unit * value(v, name))
    return tag("rect", x=x, y=f"{foot - h:.1f}", width=w, height=f"{h:.1f}", class_=class_,
               data_rise=name, data_unit=unit, data_foot=foot)  # fmt: skip


def line(v: Values, name: str, plot: tuple[float, float, float, float], class_: str) -> str:
    """A curve through the values: x0, step to the right, y0, unit upwards."""
    x0, dx, y0, dy = plot
    steps = (f"{x0 + dx * t:.1f} {y0 - dy * y:.1f}" for t, y in enumerate(value(v, name)))
    return tag("path", d="M" + "L".join(steps), class_=f"mv-line {class_}", data_line=name,
               data_plot=" ".join(map(str, plot)))  # fmt: skip


def carried(
    v: Values, x: str, y: str, plot: tuple[float, float, float, float], content: str
) -> str:
    """Stands where two values say."""
    x0, dx, y0, dy = plot
    place = f"translate({x0 + dx * value(v, x):.1f} {y0 - dy * value(v, y):.1f})"
    return tag("g", content, class_="mv-carried", transform=place, data_carried=f"{x} {y}",
               data_plot=" ".join(map(str, plot)))  # fmt: skip


# -- line art -------------------------------------------------------------------------------------

WHEEL = '<circle r="17" class="mv-first"/><circle r="6.5" class="mv-hub"/>'
LEAF = "M0 0q-9-3-8-12q-7-9 3-14q2-11 13-9q9-8 17 1q10-1 10 9q9 5 4 14q2 9-7 11z"


def car(v: Values, x: float, y: float, scale: float = 1, ear: bool = False) -> str:
    """From the side, driving to the right, 190 wide and 90 high: hidden.0 covers its wheels with
    grass, hidden.1 its headlights with a bush."""
    body = "M12 66q-4-22 12-26l34-5q14-26 40-27h22q20 1 33 27l18 4q14 4 13 26q0 4-5 4H18q-6 1-6-3z"
    windows = "M66 35q9-17 26-18h8v18zM108 17h10q12 1 20 18h-30z"
    fin = '<path d="M92 8l9-13l7 13" class="mv-trace"/>' if ear else ""
    light = '<path d="M186 46q-10-1-12 5q3 6 13 6z" class="mv-second"/>' + (
        '<path d="M192 45l16-6M193 51h18M192 57l16 6" class="mv-beam"/>'
    )
    blades = "".join(f"l4 {-12 - 6 * (i * 5 % 3)}l5 {12 + 6 * (i * 5 % 3)}" for i in range(17))
    grass = tag("path", class_="mv-cover", d=f"M12 88L18 56{blades}L178 88z")
    bush = tag("path", class_="mv-cover", d=LEAF, transform="translate(170 88) scale(1.45 1.4)")
    parts = [
        fin,
        f'<path d="{body}" class="mv-ink"/><path d="{windows}" class="mv-ink"/>',
        light,
        *(f'<g transform="translate({at} 70)">{WHEEL}</g>' for at in (48, 144)),
        only_if(v, "hidden.0", grass),
        only_if(v, "hidden.1", bush),
        '<path d="M0 88h218" class="mv-ground"/>',
    ]
    return tag("g", "".join(parts), transform=f"translate({x} {y}) scale({scale})")


def cat(x: float, y: float) -> str:
    """A face, 100 wide."""
    return tag("g", (
        '<path d="M16 40L14 4L44 22M84 40L86 4L56 22" class="mv-first mv-open"/>'
        '<path d="M44 22h12M16 40q-8 26 12 40q22 13 44 0q20-14 12-40" class="mv-ink"/>'
        '<circle cx="34" cy="48" r="3.4" class="mv-dot"/>'
        '<circle cx="66" cy="48" r="3.4" class="mv-dot"/>'
        '<path d="M46 59h8l-4 5zM50 64v4q-5 6-10 1M50 68q5 6 10 1" class="mv-ink"/>'
        '<path d="M30 62L2 56M30 67L0 70M70 62L98 56M70 67L100 70" class="mv-second mv-open"/>'
    ), transform=f"translate({x} {y})")  # fmt: skip


# -- scenes ---------------------------------------------------------------------------------------


def views(v: Values) -> str:
    rows = ["wheels", "headlights", "ears", "whiskers"]
    colours = ["mv-first", "mv-second"] * 2
    labels = (
        text("wheels", 22, 148, "mv-t1") + text("headlights", 196, 44, "mv-t2")
        + text("ears", 372, 34, "mv-t1 mv-end") + text("whiskers", 396, 148, "mv-t2 mv-end")
        + text("a fin, a little like an ear", 84, 22, "mv-quiet mv-small")
    )  # fmt: skip
    bars = [
        text(name, 110, 204 + 24 * i, "mv-end")
        + bar(v, f"weights.{i}", 120, 192 + 24 * i, 15, 200, colours[i])
        + words(v, f"{{weights.{i}:1}}", 330, 204 + 24 * i, "mv-quiet")
        for i, name in enumerate(rows)
    ]
    return car(v, 8, 34, ear=True) + cat(288, 40) + labels + text(
        "What this picture of a car shows, and how strongly", 8, 178, "mv-quiet mv-small"
    ) + "".join(bars)  # fmt: skip


def hand(v: Values) -> str:
    cells = []
    for i in range(100):
        x, y = 8 + 21 * (i % 10), 8 + 21 * (i // 10)
        views_shown = (i < 90, i < 80 or i >= 90)
        marks = "".join(
            tag("rect", x=x + 3 + 7 * f, y=y + 3, width=6, height=13, rx=1, class_=colour)
            for f, colour in enumerate(("mv-first", "mv-second"))
            if views_shown[f]
        )
        cross = tag("path", d=f"M{x + 2} {y + 2}l15 15m0-15l-15 15", class_="mv-cross")
        cells.append(marks + only_if(v, f"wrong.{i}", cross))
    right = [
        text("80 show both", 226, 96), text("10 only wheels", 226, 191),
        text("10 only headlights", 226, 212),
        words(v, "{right}", 226, 42, "mv-huge"), text("of 100 right", 228, 62),
        text("It knows", 8, 252, "mv-quiet mv-small"),
    ]  # fmt: skip
    names = ("wheels", "headlights", "ears", "whiskers")
    for f, name in enumerate(names):
        x = (8, 84, 8, 84)[f]
        y = (262, 262, 284, 284)[f]
        right.append(square(v, f"known.{f}", x, y, 13, ("mv-first", "mv-second")[f % 2]))
        right.append(text(name, x + 18, y + 11, "mv-small"))
    right += [
        text("Shown both, and a faint ear, it says", 186, 252, "mv-quiet mv-small"),
        text("car", 212, 273, "mv-end mv-small"), text("cat", 212, 295, "mv-end mv-small"),
        bar(v, "answer.0", 218, 262, 13, 60, "mv-ensemble"),
        bar(v, "answer.1", 218, 284, 13, 60, "mv-ensemble"),
        words(v, "{answer.0:1}", 370, 273, "mv-small"),
        words(v, "{answer.1:1}", 370, 295, "mv-small"),
    ]  # fmt: skip
    return "".join(cells + right)


def four(v: Values) -> str:
    names = ("wheels", "headlights", "ears", "whiskers")
    parts = [
        text(name, 112 + 24 * f + 34 * (f > 1), 50, "mv-small", transform=(
            f"rotate(-40 {112 + 24 * f + 34 * (f > 1)} 50)")) for f, name in enumerate(names)
    ]  # fmt: skip
    parts.append(text("wrong, of new pictures", 396, 50, "mv-quiet mv-small mv-end"))
    for n in range(FEW):
        y = 60 + 27 * n
        parts.append(text(f"network {n + 1}", 8, y + 13))
        for f in range(4):
            x = 104 + 24 * f + 34 * (f > 1)
            parts.append(
                square(v, f"knows.{4 * n + f}", x, y, 17, ("mv-first", "mv-second")[f % 2])
            )
        parts.append(bar(v, f"wrong.{n}", 262, y + 2, 13, 600, "mv-single"))
        parts.append(words(v, f"{{wrong.{n}%}}", 392, y + 13, "mv-end mv-small"))
    y = 70 + 27 * FEW
    parts += [
        text("their average", 8, y + 13, "mv-strong"),
        bar(v, f"wrong.{FEW}", 262, y + 2, 13, 600, "mv-ensemble"),
        words(v, f"{{wrong.{FEW}%}}", 392, y + 13, "mv-end mv-small mv-strong"),
    ]
    return "".join(parts)


def race(v: Values) -> str:
    plot = (36, 1.5, 226, 13)
    parts = [
        tag("path", d="M36 10V226H330", class_="mv-axis"),
        text("how strongly the network answers", 42, 16, "mv-quiet mv-small"),
        text("steps of training", 330, 244, "mv-quiet mv-small mv-end"),
        line(v, "second", plot, "mv-second"), line(v, "first", plot, "mv-first"),
        carried(v, "steps", "end.0", plot, text("wheels", 7, 4, "mv-t1")),
        carried(v, "steps", "end.1", plot, text("headlights", 7, 4, "mv-t2")),
        text("where they start", 8, 272, "mv-quiet mv-small"),
        text("wheels", 110, 292, "mv-end mv-small"),
        text("headlights", 110, 312, "mv-end mv-small"),
        bar(v, "start.0", 118, 282, 12, 900, "mv-first"),
        bar(v, "start.1", 118, 302, 12, 900, "mv-second"),
    ]  # fmt: skip
    return "".join(parts)


def names_above(x: float, dx: float, y: float) -> str:
    return "".join(text(name, x + dx * j, y, "mv-name mv-middle") for j, name in enumerate(CLASSES))


def board(v: Values) -> str:
    wrong = "wrong, of new pictures that show one view only"
    parts = [names_above(38, 32.6, 36), text(wrong, 398, 14, "mv-quiet mv-small mv-end")]
    for n in range(MEMBERS):
        y = 46 + 27 * n
        parts.append(text(str(n + 1), 17, y + 11, "mv-quiet mv-small mv-end"))
        for j in range(len(CLASSES)):
            for view, colour in enumerate(("mv-first", "mv-second")):
                place = f"knows.{2 * (len(CLASSES) * n + j) + view}"
                parts.append(square(v, place, 23.5 + 32.6 * j + 15 * view, y, 13.5, colour))
        parts.append(words(v, f"{{wrong.{n}%}}", 398, y + 11, "mv-tiny mv-end"))
    return "".join(parts)


def one(v: Values) -> str:
    parts = [
        car(v, 8, 6, 0.62),
        words(v, "A new car: only its", 166, 24), words(v, "{view} can be seen.", 166, 42),
        text("Its score:", 8, 92, "mv-quiet mv-small"),
        tag("rect", x=90, y=83, width=10, height=10, rx=1.5, class_="mv-single"),
        text("for “car”", 105, 92, "mv-quiet mv-small"),
        tag("rect", x=170, y=83, width=10, height=10, rx=1.5, class_="mv-rival"),
        text("for the loudest other class", 185, 92, "mv-quiet mv-small"),
    ]  # fmt: skip
    for n in range(MEMBERS + 1):
        y = 100 + 21 * n + 6 * (n == MEMBERS)
        ours = n == MEMBERS
        parts.append(text("average" if ours else str(n + 1), 60 if ours else 22, y + 12,
                          "mv-end mv-small" + " mv-strong" * ours))  # fmt: skip
        if not ours:
            for view, colour in enumerate(("mv-first", "mv-second")):
                parts.append(
                    square(v, f"knows.{2 * n + view}", 40 + 15 * view, y + 1, 12.5, colour)
                )
        parts.append(bar(v, f"own.{n}", 90, y, 8, 14, "mv-ensemble" if ours else "mv-single"))
        parts.append(bar(v, f"other.{n}", 90, y + 9, 6, 14, "mv-rival"))
        for word, unless in (("right", ""), ("wrong", " mv-unless")):
            off = "" if value(v, f"right.{n}") else " mv-off"
            look = f"mv-small mv-end mv-verdict-word{unless}{off}"
            parts.append(text(word, 396, y + 12, look, data_on=f"right.{n}"))
    return "".join(parts)


def average(v: Values) -> str:
    plot = (52, 33, 286, 300)
    dot = tag("circle", r=6, class_="mv-ensemble")
    here = dot + words(v, "{error%}", 8, -11, "mv-strong")
    parts = [
        names_above(42, 34, 14),
        text("which share of them knows each view", 8, 66, "mv-quiet mv-small"),
    ]
    for j in range(len(CLASSES)):
        for view, colour in enumerate(("mv-first", "mv-second")):
            x, place = 27.5 + 34 * j + 15.5 * view, f"share.{2 * j + view}"
            parts.append(frame(x, 22, 13.5, 26, colour))
            parts.append(rise(v, place, x, 48, 13.5, 26, colour))
    parts += [
        tag("path", d="M40 106V286H392", class_="mv-axis"),
        text("wrong, of new pictures that show one view only", 8, 90, "mv-quiet mv-small"),
        *(text(f"{p}%", 34, 290 - 3 * p, "mv-quiet mv-tiny mv-end") for p in (0, 20, 40)),
        *(
            text(str(L), 19 + 33 * L, 300, "mv-quiet mv-tiny mv-middle")
            for L in (1, 2, 4, 6, 8, 10)
        ),
        text("networks in the average", 392, 316, "mv-quiet mv-small mv-end"),
        line(v, "errors", plot, "mv-ensemble"),
        carried(v, "at", "error", plot, here),
    ]  # fmt: skip
    return "".join(parts)


def student(v: Values) -> str:
    parts = [
        text("What it is told of one training picture of a car", 8, 14, "mv-quiet mv-small"),
        tag("path", d="M22 104H392", class_="mv-axis"),
        text("dots: faintly in the picture", 396, 144, "mv-quiet mv-tiny mv-end"),
        names_above(42, 36.5, 118),
        text("What the student learns", 8, 160, "mv-quiet mv-small"),
    ]
    for j in range(len(CLASSES)):
        parts.append(rise(v, f"says.{j}", 32 + 36.5 * j, 104, 20, 80, "mv-ensemble"))
        if j:
            parts.append(
                only_if(
                    v, f"there.{j}", tag("circle", cx=42 + 36.5 * j, cy=126, r=2.5, class_="mv-dot")
                )
            )
        for view, colour in enumerate(("mv-first", "mv-second")):
            parts.append(
                square(v, f"knows.{2 * j + view}", 26 + 36.5 * j + 17 * view, 169, 15, colour)
            )
    parts.append(
        text("Wrong, of new pictures that show one view only", 8, 216, "mv-quiet mv-small")
    )
    for row, (name, colour) in enumerate(
        (
            ("one network", "mv-single"),
            ("average of ten", "mv-ensemble"),
            ("this student", "mv-student"),
        )
    ):
        y = 226 + 24 * row
        parts += [
            text(name, 104, y + 12, "mv-end mv-small" + " mv-strong" * (row == 2)),
            bar(v, f"wrong.{row}", 112, y, 15, 480, colour),
            words(v, f"{{wrong.{row}%}}", 396, y + 12, "mv-end mv-small"),
        ]
    return "".join(parts)


# -- figures: picture, control, caption -----------------------------------------------------------


def choice(name: str, legend: str, words: list[str]) -> str:
    """One of a few."""
    low, _, start = story.CONTROLS[name]
    options = "".join(
        f'<label><input type="radio" name="mv-{name}" value="{low + i}"'
        f"{' checked' if low + i == start else ''}> {word}</label>"
        for i, word in enumerate(words)
    )
    return tag("fieldset", f"<legend>{legend}</legend>{options}", class_="mv-choice",
               data_control=name)  # fmt: skip


def slider(name: str, label: str, left: str, right: str) -> str:
    low, high, start = story.CONTROLS[name]
    return tag("div", (
        f'<label for="mv-{name}">{label}</label><div class="mv-ends"><span>{left}</span>'
        f'<input type="range" id="mv-{name}" min="{low}" max="{high}" step="1" value="{start}">'
        f"<span>{right}</span></div>"
    ), class_="mv-slide", data_control=name)  # fmt: skip


def again(name: str, label: str) -> str:
    _, high, start = story.CONTROLS[name]
    button = f'<button type="button">{label}</button> <output>set {start} of {high}</output>'
    return tag("div", button, data_control=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A scene's picture: what draws it, its height (it is 400 wide), what is seen, in words, what
    came out, as a template, and its control."""

    draw: Callable[[Values], str]
    height: int
    seen: str
    caption: str
    control: str


FIGURES = {
    "views": Figure(
        draw=views,
        height=284,
        seen=(
            "A car with its wheels and headlights marked, a cat with its ears and whiskers, and "
            "four bars: how strongly the picture shows each."
        ),
        caption=(
            "This picture shows {seen}, and faintly something that could be the ear of a cat."
        ),
        control=choice(
            "shows", "What can be seen of the car?", ["both", "wheels only", "headlights only"]
        ),
    ),
    "hand": Figure(
        draw=hand,
        height=304,
        seen=(
            "A hundred small pictures of cars: eighty show wheels and headlights, ten only "
            "wheels, ten only headlights; those answered wrongly are crossed out."
        ),
        caption=(
            "Right on {right} of 100. Asked about a car with a faint ear it answers {answer.0} : "
            "{answer.1:1}, car to cat."
        ),
        control=choice(
            "knows",
            "What does it know?",
            [
                "wheels, ears",
                "wheels, whiskers",
                "headlights, ears",
                "headlights, whiskers",
                "<b>average of these four</b>",
            ],
        ),
    ),
    "four": Figure(
        draw=four,
        height=262,
        seen=(
            "Six networks as rows: which of four features each has learned, and its share of "
            "errors; last their average."
        ),
        caption="The average of these six is wrong on {wrong.6%} of new pictures.",
        control=again("few", "Train six others"),
    ),
    "race": Figure(
        draw=race,
        height=320,
        seen="Two curves over the steps of training: one rises, the other stays low.",
        caption=(
            "The {winner} win the race and the {loser} stay behind. After {steps} steps every "
            "training picture is right."
        ),
        control=slider("head", "A little more luck at the start for", "wheels", "headlights"),
    ),
    "board": Figure(
        draw=board,
        height=318,
        seen=(
            "Ten networks as rows, ten classes as columns; in each cell a square for each of two "
            "views, filled where it is learned."
        ),
        caption=(
            "Of the ten, {car.0} know the wheels of a car and {car.1} its headlights. Of all 20 "
            "views a network knows {mean:1}, on average."
        ),
        control=again("draw", "Draw ten new networks"),
    ),
    "one": Figure(
        draw=one,
        height=340,
        seen=(
            "For each of ten networks and for their average two bars: its score for the right "
            "class and its highest score for another."
        ),
        caption="{count} of 10 networks are right. Faintly in the picture, too: {faint}.",
        control=choice("seen", "What can be seen?", ["only wheels", "only headlights"]),
    ),
    "average": Figure(
        draw=average,
        height=320,
        seen=(
            "How many of the averaged networks know each view, and a curve of errors that falls "
            "with the number of networks."
        ),
        caption=(
            "An average of {members} is wrong on {error%} of pictures that show one view. Views "
            "that nobody in it knows: {unknown} of 20."
        ),
        control=slider("members", "Networks in the average", "1", "10"),
    ),
    "student": Figure(
        draw=student,
        height=300,
        seen=(
            "The teacher's answer as ten bars, the views that the student learns as squares, and "
            "three bars of errors."
        ),
        caption=(
            "Taught by {teacher}, it knows {count} of 20 views and is wrong on {wrong.2%} of "
            "pictures that show one."
        ),
        control=choice(
            "teacher", "Who is the teacher?", ["no teacher", "one network", "average of ten"]
        ),
    ),
}


def figure(scene: str, v: Values) -> str:
    """A scene as HTML: it stands still without a script."""
    this = FIGURES[scene]
    box = f"0 0 400 {this.height}"
    picture = tag("svg", this.draw(v), viewBox=box, role="img", aria_label=this.seen)
    said = html.escape(fill(v, this.caption))
    number = f"Picture {list(FIGURES).index(scene) + 1}: "
    below = tag("span", number, class_="caption-number")
    below += tag("span", said, data_text=this.caption, aria_live="polite")
    inside = (
        f'\n{picture}\n<div class="mv-control">{this.control}'
        f'<p class="mv-source">&nbsp;</p></div>\n<figcaption>{below}</figcaption>\n'
    )
    return tag("figure", inside, class_="mv-scene", data_scene=scene) + "\n"


def files(kept: Stored) -> dict[str, str]:
    """What is written, by its path in `book/`."""
    return {
        f"_story/{scene}.html": figure(scene, kept[scene][key(story.first(scene))])
        for scene in FIGURES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--compute", action="store_true", help="compute the numbers anew")
    if parser.parse_args().compute:
        DATA.write_text(data(compute()), encoding="utf-8")
    for name, content in files(stored()).items():
        (BOOK / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
