"""What a chapter shows: the same drawing in light and in dark, with alternative text that says what
is seen; and tables.  Colours have one meaning throughout the book."""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

P = ParamSpec("P")

# Okabe and Ito's palette: told apart with any common colour blindness, on white and on black.
PALETTE = {
    "view 1": "#0072B2",
    "view 2": "#D55E00",
    "view 3": "#56B4E9",
    "view 4": "#F0E442",
    "single": "#CC79A7",
    "ensemble": "#009E73",
    "student": "#E69F00",
    "theory": "#7F7F7F",
}
SINGLE, ENSEMBLE, STUDENT, THEORY = (
    PALETTE[meaning] for meaning in ("single", "ensemble", "student", "theory")
)
_INK = ("#222222", "#DDDDDD")  # of text and lines, in light and in dark
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color",
          "ytick.color", "legend.labelcolor", "lines.color")  # fmt: skip
_STYLE = {
    "legend.frameon": False,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
    "svg.hashsalt": "mvlib",  # the same data give the same bytes
}
_VECTOR_LIMIT = 160_000  # bytes; a larger SVG is stored as PNG instead


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing in two themes; Jupyter and the book show it through its HTML."""

    light: bytes
    dark: bytes
    mime: str  # image/svg+xml or image/png
    alt: str  # what is seen, in a sentence or two

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        del include, exclude
        alt = html.escape(self.alt, quote=True)
        # Outside the book there is no style sheet: the dark one hides itself, the book shows it.
        images = [
            f'<img class="mv-{theme} dark-light" alt="{alt}" style="max-width:100%;{hidden}" '
            f'src="data:{self.mime};base64,{base64.b64encode(content).decode()}"/>'
            for theme, content, hidden in (
                ("light", self.light, ""),
                ("dark", self.dark, "display:none"),
            )
        ]
        return {"text/html": "".join(images), "text/plain": self.alt}


def picture(draw: Callable[P, str]) -> Callable[P, Picture]:
    """Of a function that draws on a `canvas` and returns the alternative text: run it once in light
    and once in dark."""

    def render(ink: str, file_format: str, *args: P.args, **kwargs: P.kwargs) -> tuple[bytes, str]:
        style: dict[Any, Any] = _STYLE | dict.fromkeys(_INKED, ink)
        with mpl.rc_context(style):
            alt = draw(*args, **kwargs)
            buffer = io.BytesIO()
            undated: dict[str, Any] = {"Date" if file_format == "svg" else "Software": None}
            plt.savefig(buffer, format=file_format, dpi=144, metadata=undated)
            plt.close()
        return buffer.getvalue(), alt

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Picture:
        (light, alt), (dark, _) = (render(ink, "svg", *args, **kwargs) for ink in _INK)
        if max(len(light), len(dark)) <= _VECTOR_LIMIT:
            return Picture(light, dark, mime="image/svg+xml", alt=alt)
        (light, _), (dark, _) = (render(ink, "png", *args, **kwargs) for ink in _INK)
        return Picture(light, dark, mime="image/png", alt=alt)

    return drawn


def canvas(
    size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any
) -> list[Axes]:
    """Of a new figure, row by row; `size` is its width and height in inches, `options` are those
    of `plt.subplots`."""
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    return list(axes.flat)


@dataclass(frozen=True, slots=True)
class Table:
    """A real table: headers and rows of words and numbers, and a note below; numbers get four
    digits, and words in backticks are set as code."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""

    @classmethod
    def of(cls, records: Sequence[Mapping[str, object]], note: str = "") -> Table:
        """A table of records, header -> cell, all with the same headers."""
        return cls(list(records[0]), [list(record.values()) for record in records], note)

    def turned(self) -> Table:
        """The same with a column for each row, for a few long rows."""
        headers, *rows = zip(self.headers, *self.rows, strict=True)
        return Table([_words(h) for h in headers], rows)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in self.headers)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(v)}</td>" for v in row) + "</tr>" for row in self.rows
        )
        span = f'<td colspan="{len(self.headers)}">{html.escape(self.note)}</td>'
        foot = f"<tfoot><tr>{span}</tr></tfoot>" if self.note else ""
        head = f"<thead><tr>{head}</tr></thead>"
        return f'<table class="table">{head}<tbody>{body}</tbody>{foot}</table>'


def _words(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    text = html.escape(_words(value))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
