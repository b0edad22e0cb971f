"""Every picture: two themes, words for those who cannot see it, the same bytes every time."""

import inspect
import re
from collections.abc import Callable

import numpy as np
import pytest

from mvlib import figures
from mvlib.figures import PALETTE, Picture

rng = np.random.default_rng(0)
STEPS = np.arange(0, 12, 4)
CURVES = {
    "test error / mu": rng.random((2, 3)),
    "both views learned": rng.random(2),
    "winner foretold": rng.random(2),
}
SIZES = np.array([[0.5, 0.4, 0.6], [0.2, 0.25, 0.3], [0.1, np.nan, np.nan]])

PICTURES: dict[str, Callable[[], Picture]] = {
    "patch_pictures": lambda: figures.patch_pictures(
        [np.eye(6, 4)] * 2, ["multi", "single"], [0, 1]
    ),
    "strength_histograms": lambda: figures.strength_histograms(
        {"multi": {"own view": np.linspace(1, 2, 9), "other classes": np.linspace(0.2, 0.4, 9)}}
    ),
    "race": lambda: figures.race(STEPS, np.cumsum(np.ones((3, 5, 2)), axis=0), np.zeros(5, int)),
    "errors_over_time": lambda: figures.errors_over_time(
        STEPS, np.array([[0.9, 1], [0.1, 0], [0, 0]]), np.ones((3, 2)),
        {"single-view": np.full((3, 2), 0.3), "multi-view": np.full((3, 2), 0.1)},
        np.array([8.0, np.nan]),
    ),
    "network_errors": lambda: figures.network_errors(
        [np.array([0.4, 0.5]), np.array([0.6, 0.5])], [0.01, 0.02], 0.45
    ),
    "prediction_margins": lambda: figures.prediction_margins(
        np.linspace(0, 1, 24), np.arange(24) % 3 > 0
    ),
    "sweep_panels": lambda: figures.sweep_panels(
        [("init", ["a", "b"], CURVES), ("threshold", ["c", "d"], CURVES)]
    ),
    "class_count_curve": lambda: figures.class_count_curve(
        [4, 6], [np.array([0.4, 0.5]), np.array([0.5, 0.6])], [0.4, 0.45]
    ),
    "size_curves": lambda: figures.size_curves([SIZES, SIZES / 2]),
    "coverage": lambda: figures.coverage(np.arange(12).reshape(2, 3, 2) % 3 > 0),
    "output_bars": lambda: figures.output_bars(np.eye(3) + 0.1, 1, "An input"),
    "activation_curves": lambda: figures.activation_curves(
        STEPS - 4.0, {"q = 2": STEPS / 2}, {"q = 2": STEPS / 8}
    ),
}  # fmt: skip


def test_every_public_picture_is_drawn_here() -> None:
    public = {
        name
        for name, function in inspect.getmembers(figures, inspect.isfunction)
        if function.__module__ == figures.__name__
        and not name.startswith("_")
        and name != "picture"
        and inspect.signature(function).return_annotation == "Picture"
    }
    assert public == PICTURES.keys()


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str) -> None:
    drawn, again = PICTURES[name](), PICTURES[name]()
    assert drawn == again, "the same data give the same bytes"
    assert drawn.mime == "image/svg+xml"
    for content in (drawn.light, drawn.dark):
        assert b"<svg" in content and content.rstrip().endswith(b"</svg>")
    assert drawn.light != drawn.dark
    assert len(drawn.alt) > 40 and drawn.alt.endswith(".")
    assert "nan" not in drawn.alt
    shown = drawn._repr_mimebundle_()
    assert shown["text/plain"] == drawn.alt
    html = shown["text/html"]
    assert html.count("<img ") == 2 and html.count("alt=") == 2
    assert "mv-light" in html and "mv-dark" in html


def test_a_large_drawing_becomes_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_VECTOR_LIMIT", 0)
    drawn = PICTURES["activation_curves"]()
    assert drawn.mime == "image/png"
    assert drawn.light.startswith(b"\x89PNG") and drawn.dark.startswith(b"\x89PNG")
    assert drawn == PICTURES["activation_curves"]()


def test_alternative_text_is_escaped() -> None:
    html = Picture(b"a", b"b", mime="image/png", alt='x < y & "z"')._repr_mimebundle_()["text/html"]
    assert 'alt="x &lt; y &amp; &quot;z&quot;"' in html


def test_palette() -> None:
    assert {"view 1", "view 2", "single", "ensemble", "student", "theory"} <= PALETTE.keys()
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in PALETTE.values())
    assert len(set(PALETTE.values())) == len(PALETTE), "one meaning a colour"


def test_tables_escape_and_round() -> None:
    table = figures.table(["name", "value <"], [["a & b", 0.123456], ["c", 3]])
    html = table._repr_html_()
    assert "<td>a &amp; b</td><td>0.1235</td>" in html and "<td>3</td>" in html
    assert "value &lt;" in html
