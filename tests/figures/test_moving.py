"""Figures with a slider carry the numbers that their script draws, and a still."""

import html
import json
import re

import numpy as np

from mvlib.figures import moving

# Rounding to so many significant digits moves a number by at most half of the last one.
ROUNDING = 0.5 * 10.0 ** (1 - moving.DIGITS)

STEPS = np.array([0, 10, 20])
# Two networks of two classes: each class ends ahead in one view.
PATHS = np.array([
    [[[0.1, 0.1], [0.1, 0.12]], [[0.1, 0.1], [0.1, 0.1]]],
    [[[1.0, 0.1], [0.1, 0.90]], [[0.2, 0.1], [0.1, 0.3]]],
    [[[5.0, 0.1], [0.2, 4.12345678]], [[4.0, 3.0], [0.1, 4.0]]],
])  # fmt: skip


def sent(figure: moving.Moving) -> dict[str, object]:
    found = re.search(r'data-steps="([^"]*)"', figure._repr_mimebundle_()["text/html"])
    assert found
    return json.loads(html.unescape(found[1]))


def test_take_off_sends_every_record_of_every_class() -> None:
    data = sent(moving.take_off(STEPS, PATHS))
    assert data["steps"] == [0, 10, 20]
    assert np.allclose(data["paths"], PATHS.reshape(3, 4, 2), rtol=ROUNDING)
    assert data["ahead"] == [0, 1, 0, 1]


def test_still_says_what_is_seen() -> None:
    figure = moving.take_off(STEPS, PATHS)
    assert "4 classes (of 2 networks)" in figure.still.alt
    assert "2 end farther" in figure.still.alt and "; 1 have more" in figure.still.alt
    shown = figure._repr_mimebundle_()
    assert shown["text/plain"] == figure.still.alt
    assert shown["text/html"].count("<img ") == 2


def test_same_numbers_give_the_same_bytes() -> None:
    assert moving.take_off(STEPS, PATHS) == moving.take_off(STEPS, PATHS)
