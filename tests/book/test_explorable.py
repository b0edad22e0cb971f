"""The explorable computes what mvlib computes, in node and in a real browser, and can be used.

The browser opens it as readers of a downloaded book do: from file://, with nothing else around.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from mvlib.reduced.data import RaceParams
from mvlib.reduced.dynamics import NODES, WEIGHTS, learned
from mvlib.reduced.race import Game, play

ASSETS = Path(__file__).resolve().parents[2] / "book" / "_explorable" / "explorable"
NODE = shutil.which("node")
PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Race</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="race.css">
<style>body {{ font-family: sans-serif; margin: 0 auto; max-width: 43rem; padding: 0 1rem; }}
html[data-theme="dark"] {{ --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af;
--pst-color-background: #14181e; --pst-color-surface: #29313d; --pst-color-border: #48566b;
--pst-color-primary: #3fb1c5; background: #14181e; color: #ced6dd; }}</style>
</head><body><main><h1>Race</h1>
<div id="mv-race" class="mv-race" role="region" aria-label="The race between two views"></div>
</main><script defer src="reduced.js"></script><script defer src="shared.js"></script>
<script defer src="race.js"></script></body></html>
"""
# Python and JavaScript add in different orders, and training amplifies what that rounds off: steps
# are as large as they can be, classes overshoot, and a start moved by 1e-15 ends elsewhere by 1e-4
# after 60 steps on few points (the largest difference seen below), by per cents after 180 on many.
# So small games are compared number by number, with room for another machine's rounding, and long
# ones by what they come to: which views are learned, and errors up to 20 of 1000 test points.
RTOL, ERROR_ATOL = 1e-2, 0.02


def assert_same(found: dict[str, Any], game: Game) -> None:
    """A small game of the script's is this one."""
    runs = [*game.networks, *game.students]
    assert found["steps"] == [run.steps for run in runs]
    for end, run in zip(found["ends"], runs, strict=True):
        np.testing.assert_allclose(end, run.curve[-1].ravel(), rtol=RTOL)
    assert_alike(found, game)


def assert_alike(found: dict[str, Any], game: Game) -> None:
    """A game of the script's tells the same of every network and student."""
    ends = np.reshape(found["ends"], (len(found["ends"]), -1, 2))
    np.testing.assert_array_equal(learned(ends), game.learned_views())
    for kind in ("single_error", "multi_error"):
        np.testing.assert_allclose(found[kind], getattr(game, kind), atol=ERROR_ATOL)


# -- node ------------------------------------------------------------------------------------------


def in_node(expression: str) -> Any:
    """The value of an expression in M = reduced.js."""
    if NODE is None:
        pytest.skip("node is not installed; the browser tests below make the same comparison")
    script = f"const M = require('{ASSETS / 'reduced.js'}');"
    done = subprocess.run(
        [NODE, "-e", f"{script} console.log(JSON.stringify({expression}))"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_script_has_the_same_defaults_and_nodes() -> None:
    defaults = asdict(RaceParams())
    assert in_node("M.DEFAULTS") == defaults | {"own_strengths": list(defaults["own_strengths"])}
    assert in_node("[...M.NODES]") == NODES.tolist()
    assert in_node("[...M.WEIGHTS]") == WEIGHTS.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"power": 2, "threshold": 0.5, "init_std": 0.2},
        {"power": 3, "own_strengths": (1.5, 1.0), "sparsity": 6.0},
        {"noise_norm": 1.4, "weak_strength": 0.4, "faint_strength": 0.0, "other_strength": 0.2},
        {"n_classes": 3, "n_neurons": 2, "sparsity": 0.0, "n_single": 0, "dim": 50},
    ],
)
def test_node_plays_the_same_games(changes: dict[str, Any]) -> None:
    params = RaceParams(**{"n_train": 400, "n_test": 300, "n_single": 12, **changes})
    found = in_node(
        "(() => { const g = M.play(" + json.dumps(asdict(params)) + ", 2, 11);"
        "const runs = [...g.networks, ...g.students];"
        "return { single_error: g.single_error, multi_error: g.multi_error,"
        "steps: runs.map((r) => r.steps), ends: runs.map((r) => [...r.curve[r.steps]]) }; })()"
    )
    assert_same(found, play(params, n_networks=2, seed=11))


# -- the browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("explorable")
    for asset in ASSETS.iterdir():
        shutil.copy(asset, folder)
    for theme in ("light", "dark"):
        (folder / f"{theme}.html").write_text(PAGE.format(theme=theme))
    return (folder / "light.html").as_uri()


class Visit:
    """An open page that complains about every message, error and request it should not make."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda m: self.faults.append(f"console {m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.faults.append(f"error: {e}"))
        self.page.on("request", lambda r: self._asked(r.url))
        self.page.goto(address)

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"asks outside: {url}")

    def result(self) -> dict[str, Any]:
        """What the page shows, once it has computed it."""
        self.page.wait_for_selector("#mv-race[data-state=done]", timeout=60_000)
        shown = self.page.get_attribute("#mv-race", "data-result")
        assert shown is not None
        return json.loads(shown)

    def slide(self, key: str, *presses: str) -> None:
        """Move a slider by keyboard."""
        slider = self.page.locator(f"#mv-race-{key}")
        self.page.locator("#mv-race details").evaluate("all => { all.open = true; }")
        slider.focus()
        for press in presses:
            slider.press(press)

    def value(self, key: str) -> float:
        return float(self.page.locator(f"#mv-race-{key}").input_value())


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Visit(context, address + "#race:L=2")
    opened.result()
    yield opened
    context.close()
    assert opened.faults == []


def test_the_page_opens_with_the_books_setting(browser: Browser, address: str) -> None:
    context = browser.new_context()
    visit = Visit(context, address)
    found = visit.result()
    assert (found["n_networks"], found["seed"]) == (6, 1)
    assert_alike(found, play(RaceParams(), n_networks=6, seed=1))
    single = found["single_error"]
    said = visit.page.locator(".mv-summary").inner_text()
    wanted = [np.mean(single[:6]), *single[6:]]
    assert all(f"{100 * error:.1f}%" in said for error in wanted), said
    assert visit.page.locator(".mv-summary").get_attribute("aria-live") == "polite"
    assert visit.page.get_by_role("button", name="The book’s setting").get_attribute(
        "aria-pressed"
    ) == "true"  # fmt: skip
    context.close()
    assert visit.faults == []


def test_moving_sliders_by_keyboard_computes_what_mvlib_computes(visit: Visit) -> None:
    visit.slide("sigma0", *["ArrowRight"] * 3)
    visit.slide("view1", "ArrowRight", "ArrowRight")
    visit.slide("q", "ArrowLeft")
    visit.slide("seed", "End")
    found = visit.result()
    params = RaceParams(init_std=0.11, own_strengths=(1.4, 1.3), power=3)
    assert found["params"]["init_std"] == 0.11 and found["seed"] == 99
    assert_alike(found, play(params, n_networks=2, seed=99))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Threshold too small", {"threshold": 0.25}),
        ("No race: q = 2", {"power": 2}),
        ("Nothing to tell", {"other_strength": 0.2}),
        ("Easy test", {"sparsity": 0.5}),
    ],
)
def test_presets(visit: Visit, name: str, changes: dict[str, Any]) -> None:
    button = visit.page.get_by_role("button", name=name)
    button.click()
    assert_alike(visit.result(), play(RaceParams(**changes), n_networks=2, seed=1))
    assert button.get_attribute("aria-pressed") == "true"


def test_reset_and_draw_again(visit: Visit) -> None:
    page = visit.page
    page.locator("#mv-race-again").click()
    assert visit.result()["seed"] == 2
    visit.slide("rho", "End")
    page.locator("#mv-race-reset").click()
    found = visit.result()
    assert (found["n_networks"], found["seed"]) == (6, 1)
    first = json.loads(json.dumps(asdict(RaceParams())))
    assert found["params"] == first
    assert visit.value("rho") == 0.15 and visit.value("L") == 6


def test_a_link_restores_the_state(visit: Visit, address: str) -> None:
    visit.slide("varrho", "ArrowRight")
    visit.slide("s", "ArrowLeft")
    before = visit.result()
    visit.page.locator("#mv-race-share").click()
    visit.page.wait_for_function("document.querySelector('.mv-note').textContent !== ''")
    link = visit.page.url
    assert link == f"{address}#race:L=2&varrho=1.55&s=3.5"
    other = Visit(visit.page.context, link)
    assert other.result() == before
    assert (other.value("varrho"), other.value("s"), other.value("L")) == (1.55, 3.5, 2)
    assert other.faults == []


def test_a_bad_link_is_put_right(visit: Visit) -> None:
    visit.page.evaluate("location.hash = '#race:sigma0=9&q=x&nonsense=1&L=1.4&seed=-3&varrho='")
    visit.page.wait_for_function("document.querySelector('#mv-race-L').value === '1'")
    found = visit.result()
    assert (found["n_networks"], found["seed"]) == (1, 1)
    assert found["params"] == json.loads(json.dumps(asdict(RaceParams(init_std=0.6))))
    said = visit.page.locator(".mv-note").inner_text()
    assert "sigma0=9, q=x, nonsense=1, L=1.4, seed=-3, varrho=" in said
    visit.page.evaluate("location.hash = '#elsewhere'")
    assert visit.value("L") == 1


def test_following_a_link_twice(visit: Visit) -> None:
    """A moved slider takes the address back, so that the same link acts again."""
    for _ in range(2):
        visit.page.evaluate("location.hash = '#race:q=3&L=1'")
        visit.page.wait_for_function("document.querySelector('#mv-race-q').value === '3'")
        visit.slide("q", "ArrowRight")
        assert "#" not in visit.page.url and visit.value("q") == 4
    visit.result()


def test_choosing_a_network_and_an_input(visit: Visit) -> None:
    page = visit.page
    row = page.get_by_role("button", name="network 2", exact=True)
    row.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("heading", name="The race in network 2").is_visible()
    assert row.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.activeElement.textContent") == "network\N{NO-BREAK SPACE}2"
    panels = page.get_by_role("img")
    assert panels.count() == 10
    ends = visit.result()["ends"][1]
    assert panels.nth(3).get_attribute("aria-label") == (
        f"Class 3: view 1 ends at {ends[6]:.1f}, view 2 at {ends[7]:.1f}."
    )
    page.get_by_label("class", exact=True).select_option("4")
    page.get_by_label("showing").select_option("view 2")
    figure = page.locator("figure").last
    assert "Shows view 2 of class 4" in figure.inner_text()
    before = figure.inner_text()
    page.get_by_role("button", name="Another one").click()
    assert figure.inner_text() != before
    for cells in figure.locator("tbody tr").all():
        own, rival, verdict = cells.locator("td").all_inner_texts()[1:]
        assert (float(own) > float(rival)) == (verdict == "right") or own == rival


def test_touch_on_a_phone(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True,
                                  is_mobile=True)  # fmt: skip
    visit = Visit(context, address + "#race:L=1")
    visit.result()
    box = visit.page.locator("#mv-race-Gamma").bounding_box()
    assert box is not None and box["height"] >= 24  # a finger's least target
    visit.page.locator("#mv-race-Gamma").tap(
        position={"x": 0.1 * box["width"], "y": box["height"] / 2}
    )
    found = visit.result()
    assert found["params"]["faint_strength"] < 0.15
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    assert visit.faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, address: str, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context, address.replace("light", theme) + "#race:L=2")
    visit.result()
    found = Axe().run(visit.page).response["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
    context.close()


def test_the_assets_are_light() -> None:
    own = ("reduced.js", "shared.js", "race.js", "race.css", "palette.css")
    assert sum((ASSETS / name).stat().st_size for name in own) < 60_000
