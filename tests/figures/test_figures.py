"""Every picture: two themes, words for those who cannot see it, the same bytes every time."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mvlib.core.checks import BadInput
from mvlib.figures import (
    costs,
    gaussian,
    images,
    kernels,
    limit,
    moving,
    networks,
    parts,
    picture,
    proofs,
    robustness,
    students,
    worlds,
)
from mvlib.figures.picture import PALETTE, Picture, Table
from mvlib.figures.summary import Learner, who_knows_what
from mvlib.findings.gaussian import Cell
from mvlib.findings.limit import Average
from mvlib.findings.report_costs import SYMBOLS, Axis
from mvlib.findings.report_limit import CURVES as LIMIT_CURVES
from mvlib.findings.report_students import Stride
from mvlib.paper.view_growth import ROLES
from mvlib.run.cost import PowerLaw

# Inches: of 342 pixels, which a phone has for a figure, type of 11 points has 7 in one so wide.
LEGIBLE = 7.4
rng = np.random.default_rng(0)
STEPS = np.arange(0, 12, 4)
CURVES = {
    "single-view error": rng.random((2, 3)),
    "all views learned": rng.random(2),
    "winner foretold": rng.random(2),
}
PAIR = [np.array([0.4, 0.5]), np.array([0.3, 0.2])]  # two data draws
SIZES = np.array([[0.5, 0.4, 0.6], [0.2, 0.25, 0.3], [0.1, np.nan, np.nan]])

LAW = PowerLaw(exponent=1.0, low=0.9, high=1.1, factor=2.0)
AXIS = Axis(sizes=[1, 2, 4], seconds=np.array([[2.0, 1.9, 2.2], [4, 4, 4], [8, 7, 9]]), law=LAW,
            modelled=[2.0, 4.0, 8.0], extra_bytes=[])  # fmt: skip

PICTURES: dict[str, Callable[[], Picture]] = {
    "patch_pictures": lambda: networks.patch_pictures(
        {"multi": (np.eye(4, 6).reshape(2, 2, 6), 0), "single": (np.eye(4, 6).reshape(2, 2, 6), 1)}
    ),
    "strength_histograms": lambda: networks.strength_histograms(
        {"multi": {"own view": np.linspace(1, 2, 9), "other classes": np.linspace(0.2, 0.4, 9)}}
    ),
    "race": lambda: networks.race(STEPS, np.cumsum(np.ones((3, 5, 2)), axis=0), np.zeros(5, int)),
    "errors_over_time": lambda: networks.errors_over_time(
        STEPS, np.array([[0.9, 1], [0.1, 0], [0, 0]]), np.ones((3, 2)),
        {"single-view": np.full((3, 2), 0.3), "multi-view": np.full((3, 2), 0.1)},
        np.array([8.0, np.nan]),
    ),
    "network_errors": lambda: networks.network_errors(
        [np.array([0.4, 0.5]), np.array([0.6, 0.5])], 0.45
    ),
    "prediction_margins": lambda: networks.prediction_margins(
        np.linspace(0, 1, 24).reshape(4, 6), np.arange(24).reshape(4, 6) % 3 > 0
    ),
    "sweep_panels": lambda: networks.sweep_panels(
        {"init_std": (["a", "b"], CURVES), "threshold": (["c", "d"], CURVES)}
    ),
    "class_count_curve": lambda: networks.class_count_curve(
        {4: (np.array([0.4, 0.5]), 0.4), 6: (np.array([0.5, 0.6]), 0.45)}
    ),
    "size_curve": lambda: networks.size_curve([SIZES, SIZES / 2], 2),
    "coverage": lambda: networks.coverage(
        np.arange(12).reshape(2, 3, 2) % 3 > 0, ["bag", "boot", "coat"]
    ),
    "output_bars": lambda: networks.output_bars(np.eye(3) + 0.1, 1, "An input"),
    "activation_curves": lambda: networks.activation_curves(
        STEPS - 4.0, {"q = 2": STEPS / 2}, {"q = 2": STEPS / 8}
    ),
}  # fmt: skip


KERNEL_PICTURES: dict[str, Callable[[], Picture]] = {
    "contrast_rows": lambda: kernels.contrast_rows(
        {"ridge": {"single": PAIR, "ensemble": [np.array([90.0])] * 2},
         "networks": {"single": PAIR, "ensemble": [np.array([0.0])] * 2}}
    ),
    "laziness": lambda: kernels.laziness(
        [{"steps": STEPS, "linearisation_error": row, "kernel_drift": row,
          "watched_train_error": row} for row in np.eye(2, 3)]
    ),
    "joint_curve": lambda: kernels.joint_curve(
        {"mean trained as one": {2: PAIR[0], 10: PAIR[1]}, "sum trained as one": {2: 0.1}}, PAIR[0]
    ),
}  # fmt: skip
STRIDE = Stride(length=0.2, ours=False, n=9, steps=300,
                taught=(0.03, 0.01, 0.05), control=(0.2, 0.2, 0.2),
                gap=(0.17, 0.1, 0.2), faint=0.1, spare=0.3,
                taught_views=(9.0, 8.0), control_views=(10.0, 4.0))  # fmt: skip
STUDENT_PICTURES: dict[str, Callable[[], Picture]] = {
    "soft_label_bars": lambda: students.soft_label_bars(
        [("one network", np.full(4, 0.25)), ("the average", np.eye(4)[1])], 1, {3: "view 2"}
    ),
    "students_over_time": lambda: students.students_over_time(
        STEPS, {"hard labels": np.ones((3, 2)), "control: one-hot": np.ones((3, 1))},
        {"hard labels": 4.0, "control: one-hot": np.nan},
    ),
    "student_dots": lambda: students.student_dots(
        {"hard labels": PAIR, "self-distilled": PAIR}, {"self-distilled": 0.25}
    ),
    "long_run": lambda: students.long_run(
        {"capped": (STEPS, np.ones(3), STEPS + 1.0),
         "as printed": (STEPS[:2], np.ones((2, 2)), np.ones((2, 2)))}
    ),
    "averages_of_students": lambda: students.averages_of_students(
        {"networks": [SIZES, SIZES / 2], "distilled students": [SIZES[:2] / 9]}
    ),
    "frontier": lambda: students.frontier([STRIDE, STRIDE._replace(length=0.6)], (0.01, 0.3)),
    "two_lotteries": lambda: students.two_lotteries(
        np.array([[98, 0, 2], [20, 10, 70]])
    ),
    "chain_curve": lambda: students.chain_curve(
        [0, 1, 2], [*PAIR, np.array([0.1])], [0.0, 0.4, 0.5]
    ),
}  # fmt: skip
ROBUSTNESS_PICTURES: dict[str, Callable[[], Picture]] = {
    "views_curve": lambda: robustness.views_curve(
        {V: (PAIR, [0.1, 0.0], 0.4 + V / 20) for V in (2, 3, 4)}
    ),
    "flips_curve": lambda: robustness.flips_curve(
        [{"ratio": r, "measured": 0.4 / r, "low": 0.3 / r, "high": 0.5 / r, "law": 0.45 / r,
          "foretold": 0.4} for r in (1.0, 1.5)],
        np.array([1.0, 1.5]), {"with noise": np.array([0.5, 0.1]), "without": np.array([0.5, 0.3])},
    ),
    "lever_panels": lambda: robustness.lever_panels(
        {"power": {"values": ["3", "4"], "single": PAIR, "both": [0.2, 0.1]},
         "smoothing": {"values": ["a", "b"], "single": PAIR, "both": [0.2, 0.1]}}
    ),
}  # fmt: skip
COST_PICTURES: dict[str, Callable[[], Picture]] = {
    "scaling_panels": lambda: costs.scaling_panels(dict.fromkeys(SYMBOLS, AXIS)),
    "foretold": lambda: costs.foretold(
        {"fitted": ([1.0, 2.0], [1.1, 1.9]), "not fitted": ([3.0], [4.0])}, unit="seconds a step"
    ),
}  # fmt: skip

AVERAGE = Average(k=10, start=0.1, members=2, faint=0.3, ratio=0.5, low=0.4, high=0.6,
                  alone=0.4, together=0.2, fitted=True)  # fmt: skip
COUNTS = {k: dict.fromkeys(LIMIT_CURVES, 0.4) for k in (10, 100)}
TIMES = (np.array([[0.0, 0.0], [1.0, 2.0], [50.0, 100.0]]), np.full((3, 2), 0.4))
LIMIT_PICTURES: dict[str, Callable[[], Picture]] = {
    "towards_the_limit": lambda: limit.towards_the_limit(
        {"held": COUNTS, "grown": COUNTS}, {10: COUNTS[10]}
    ),
    "on_and_on": lambda: limit.on_and_on({"in full": TIMES, "reduced": TIMES}),
    "printed_students": lambda: limit.printed_students(
        {"hard labels": (STEPS, np.ones((3, 1))), "control: one-hot": (STEPS, np.ones((3, 1)))},
        0.05,
    ),
    "average_ratios": lambda: limit.average_ratios(
        dict.fromkeys(("k = 10", "k = 100"), {2: [AVERAGE, AVERAGE._replace(start=0.2)]}), [AVERAGE]
    ),
}  # fmt: skip

CELL = Cell(
    inputs="mixture", labels="linear", condition="clean", learner="residual", train_error=0.0,
    single=np.array([0.2, 0.3]), ensemble=0.15, removed=0.4, loss_removed=0.5, variance=0.1,
    disagreement=0.2, scatter=0.5, curve=np.array([0.25, 0.15]),
)  # fmt: skip
POINTS = [(100, np.array([0.3, 0.4]), 0.25), (200, np.array([0.2, 0.3]), 0.2)]
GAUSSIAN_PICTURES: dict[str, Callable[[], Picture]] = {
    "error_grid": lambda: gaussian.error_grid(
        [CELL, replace(CELL, inputs="one Gaussian"), replace(CELL, condition="margin", ensemble=0)]
    ),
    "errors_left": lambda: gaussian.errors_left(
        np.array([[1, 0.9, 0.85], [1, 0.8, 0.7]]), np.array([[1, 0.5, 0.2, 0.1]])
    ),
    "who_is_followed": lambda: gaussian.who_is_followed(
        {"no views": (np.array([5, 4, 0, 9]), np.array([0, 1, 0, 9])),
         "single-view inputs": (np.array([1, 4, 4]), np.array([0, 4, 4]))}
    ),
    "gain_and_scatter": lambda: gaussian.gain_and_scatter(
        {"linear labels": np.array([[0.1], [0.5], [0.6]])}
    ),
    "gain_sweeps": lambda: gaussian.gain_sweeps(
        [("N", {"linear": POINTS}), ("width", {"linear": POINTS})]
    ),
}  # fmt: skip
IMAGE_PICTURES: dict[str, Callable[[], Picture]] = {
    "error_rows": lambda: images.error_rows(
        [("networks", {"single": PAIR[0], "ensemble": np.array([0.2])}),
         ("NTK", {"single": PAIR[1], "ensemble": np.array([0.3])})]
    ),
    "ensemble_sizes": lambda: images.ensemble_sizes(
        {"single networks": SIZES, "distilled students": SIZES / 2}
    ),
    "spread_and_gain": lambda: images.spread_and_gain(
        dict.fromkeys(["0%", "10%"], {"wrong": np.eye(2, 4), "ensemble_wrong": np.zeros(4)})
    ),
    "view_curves": lambda: images.view_curves(
        [0.0, 0.5], dict.fromkeys(("one photograph", "two"), (np.full((2, 2), 0.5), np.eye(2)))
    ),
    "deletion_curves": lambda: images.deletion_curves(
        [0.0, 0.5], [("at random", np.full((2, 3), 0.4), np.array([0.1, 0.2]))] * 4
    ),
    "heat_maps": lambda: images.heat_maps(
        np.arange(384.0).reshape(2, 3, 8, 8), np.eye(8, 18).reshape(8, 2, 3, 3), ["bag", "boot"]
    ),
    "sheets": lambda: images.sheets(
        [("both views", np.ones((16, 2, 4, 4))), ("one view", np.zeros((16, 2, 4, 4)))] * 3
    ),
    "channel_images": lambda: images.channel_images(np.ones((9, 1, 8, 8)), "Channels"),
}  # fmt: skip
RISING = np.cumsum(np.full((3, 4), 0.5), axis=0)  # four races
PROOF_PICTURES: dict[str, Callable[[], Picture]] = {
    "race_and_foretold": lambda: proofs.race_and_foretold(
        STEPS, RISING, RISING / 4, np.array([2, 2, 1, 2]), RISING[2] / 4, RISING[2] / 5, 1.2
    ),
    "residual_by_size": lambda: proofs.residual_by_size(
        RISING, 0.9 / RISING, np.arange(3.0), np.full(3, 0.2), np.full(3, 0.8), 1.2
    ),
    "who_asks": lambda: proofs.who_asks(
        {"winner": (STEPS, dict.fromkeys(ROLES, RISING[:, 0]))}, {"winner": RISING[:, 0]}
    ),
    "remembered": lambda: proofs.remembered(STEPS, {"fresh": RISING[:, :3]}, [8.0]),
    "residual_over_time": lambda: proofs.residual_over_time(
        STEPS, {"hard labels": -RISING, "distilled": 1 - RISING}, 0.4
    ),
    "missing_view": lambda: proofs.missing_view(
        STEPS, {"hard labels": RISING / 9, "distilled": RISING}, 1.2
    ),
    "errors_by_views": lambda: proofs.errors_by_views(
        STEPS, {"hard labels": (RISING / 2, RISING[:, 0] / 2)}, [8.0]
    ),
}  # fmt: skip
SHARES = {"photographs": (0.5, 0.3, 0.6), "Gaussian inputs": (0.2, -0.1, 0.3)}
WORLD_PICTURES: dict[str, Callable[[], Picture]] = {
    "three_worlds": lambda: worlds.three_worlds(
        {"multi-view data": np.array([1, 0.5, 0.1, 0]), "Gaussian inputs": np.array([1, 0.9]),
         "photographs": np.array([1, 0.95, 0.9])},
        {"the ensemble": SHARES, "one-hot labels": SHARES}, {"average": SHARES},
    ),
}  # fmt: skip
ALL = (
    PICTURES
    | KERNEL_PICTURES
    | STUDENT_PICTURES
    | COST_PICTURES
    | ROBUSTNESS_PICTURES
    | GAUSSIAN_PICTURES
    | IMAGE_PICTURES
    | LIMIT_PICTURES
    | PROOF_PICTURES
    | WORLD_PICTURES
)
ROOMS = [
    (networks, PICTURES), (kernels, KERNEL_PICTURES), (students, STUDENT_PICTURES),
    (costs, COST_PICTURES), (gaussian, GAUSSIAN_PICTURES),
    (images, IMAGE_PICTURES), (limit, LIMIT_PICTURES),
    (robustness, ROBUSTNESS_PICTURES), (proofs, PROOF_PICTURES),
    (worlds, WORLD_PICTURES),
]  # fmt: skip


@pytest.mark.parametrize("room, drawn", ROOMS)
def test_every_public_picture_is_drawn_here(
    room: ModuleType, drawn: dict[str, Callable[[], Picture]]
) -> None:
    public = {
        name
        for name, function in inspect.getmembers(room, inspect.isfunction)
        if function.__module__ == room.__name__ and not name.startswith("_")
    }
    assert public == drawn.keys()


@pytest.mark.parametrize("name", ALL)
def test_picture(name: str) -> None:
    drawn, again = ALL[name](), ALL[name]()
    assert drawn == again, "the same data give the same bytes"
    assert drawn.mime == "image/svg+xml"
    for content in (drawn.light, drawn.dark):
        assert b"<svg" in content and content.rstrip().endswith(b"</svg>")
    width = re.search(rb'<svg [^>]*\bwidth="([\d.]+)pt"', drawn.light)
    assert width and float(width[1]) / 72 <= LEGIBLE
    assert drawn.light != drawn.dark
    assert len(drawn.alt) > 40 and drawn.alt.endswith(".")
    assert "nan" not in drawn.alt
    shown = drawn._repr_mimebundle_()
    assert shown["text/plain"] == drawn.alt
    html = shown["text/html"]
    assert html.count("<img ") == 2 and html.count("alt=") == 2
    assert "mv-light" in html and "mv-dark" in html


def test_networks_alone_are_shown_beside_theory() -> None:
    drawn = networks.size_curve([SIZES, SIZES / 2], 2)
    # Means of both draws: 0.5 and 0.25; 0.25 and 0.125.
    assert "0.375 for K = 1, 0.188 for K = 2; for the book's ensembles, K = 2, 0.18750" in drawn.alt
    assert "a dashed line falls by a factor of 0.5" in drawn.alt
    half = networks.network_errors([np.array([0.4, 0.495]), np.array([0.6, 0.505])], 0.45)
    assert "from 0.40 to 0.60 around 0.50, of which 50% lie in Theorem 1's band" in half.alt


def test_an_average_of_many_networks_is_shown_where_nothing_is_left() -> None:
    """Theorem 2's ensemble is on the picture, whatever it errs on: 0 has a place on its axis."""
    none = np.zeros((30, 1))
    none[:3] = SIZES[:, :1]
    undecorated: Any = networks.size_curve
    undecorated.__wrapped__([none], 20)
    axis = plt.gca()
    assert axis.get_xlim()[0] < 20 < axis.get_xlim()[1]
    assert axis.get_ylim()[0] < 0 and axis.get_yscale() == "symlog"
    plt.close()


def test_cells_are_averaged_by_condition() -> None:
    # Networks .2 and .3; averages .15, .15 and 0.
    said = "clean: 0.25 to 0.15; margin: 0.25 to 0.00; all: 0.25 to 0.10."
    assert GAUSSIAN_PICTURES["error_grid"]().alt.endswith(said)


def test_a_race_marks_the_first_fit() -> None:
    drawn = networks.race(STEPS, np.cumsum(np.ones((3, 5, 2)), axis=0), np.zeros(5, int), stop=8.0)
    assert "A dotted line marks the first fit, at step 8." in drawn.alt
    assert "networks stop" in drawn.light.decode() and "networks stop" not in (
        PICTURES["race"]().light.decode()
    )


def test_students_and_networks_are_averaged_as_far_as_there_are_both() -> None:
    drawn = STUDENT_PICTURES["averages_of_students"]()
    # Three networks and two students: means of .5 and .25, and of a ninth of them.
    assert "networks from 0.38 alone to 0.19 for the average of 2" in drawn.alt
    assert "distilled students from 0.056 alone to 0.028 for the average of 2" in drawn.alt


VIEWS = 3
KNOWN = np.arange(18).reshape(2, 3, VIEWS) % 4 > 0
THREE_VIEWS: dict[str, tuple[Callable[[], Picture], list[str]]] = {
    "patch_pictures": (
        lambda: networks.patch_pictures({"multi": (np.ones((2, VIEWS, 8)), 1)}),
        ["own views 8.0, 8.0, 8.0, others up to 8.0", "three a class", "own view 3"],
    ),
    "race": (
        lambda: networks.race(STEPS, np.cumsum(np.ones((3, 5, VIEWS)), axis=0), np.full(5, 2)),
        ["three curves", "view 3 foretold", PALETTE["view 3"].lower()],
    ),
    "coverage": (lambda: networks.coverage(KNOWN), ["2 networks by 9 views", "view 3"]),
    "network_errors": (
        lambda: networks.network_errors(PAIR, 0.6, n_views=VIEWS), ["Theorem 1"],
    ),
    "errors_over_time": (
        lambda: networks.errors_over_time(
            STEPS, np.eye(3, 2), np.ones((3, 2)), {"multi-view": np.full((3, 2), 0.1)},
            np.array([8.0, np.nan]), n_views=VIEWS,
        ),
        ["band at 0.67"],
    ),
    "size_curve": (
        lambda: networks.size_curve([SIZES], 2, n_views=VIEWS),
        ["factor of 0.67", "(1 - 1/3)^K"],
    ),
    "students_over_time": (
        lambda: students.students_over_time(
            STEPS, {"hard labels": np.ones((3, 2))}, {"hard labels": 4.0}, n_views=VIEWS
        ),
        ["Dotted lines at 2/3 and 4/9"],
    ),
    "who_knows_what": (
        lambda: who_knows_what([
            Learner(name="network 1", kind="single", knows=KNOWN[0], error=0.6),
            Learner(name="average", kind="ensemble", knows=KNOWN.any(axis=0), error=0.1),
        ]),
        ["9 views, three for each of 3 classes", "views 1 to 3"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THREE_VIEWS)
def test_three_views(name: str) -> None:
    draw, words = THREE_VIEWS[name]
    drawn = draw()
    text = drawn.alt + drawn.light.decode()
    for word in words:
        # Letters are outlines in a drawing; their text stands beside them as a comment.
        assert word in text, word


def test_the_band_of_theorem_1_is_at_one_minus_one_in_v() -> None:
    figure, axis = plt.subplots()
    for V, middle in ((2, 0.5), (3, 2 / 3), (4, 0.75)):
        parts.theorem_1(axis, V)
        low, high = axis.patches[-1].get_extents().transformed(axis.transData.inverted()).intervaly
        assert (low, high) == pytest.approx((middle - 0.01, middle + 0.01))
    plt.close(figure)


def test_a_plane_has_no_third_view() -> None:
    with pytest.raises(BadInput, match=r"correlations \(V\) = 3 must be of 2 views; pick two"):
        moving.take_off(STEPS, np.ones((3, 1, 2, 3)))


def test_a_large_drawing_becomes_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_VECTOR_LIMIT", 0)
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
    table = Table(["name", "value <"], [["a & b", 0.123456], ["c", 3]])
    html = table._repr_html_()
    assert "<td>a &amp; b</td><td>0.1235</td>" in html and "<td>3</td>" in html
    assert "value &lt;" in html


def test_tables_of_records() -> None:
    table = Table.of([{"name": "a", "value": 1}, {"name": "b", "value": 2.5}])
    assert table == Table(["name", "value"], [["a", 1], ["b", 2.5]])
    assert "<tfoot>" not in table._repr_html_()
    noted = Table.of([{"name": "a", "value": 1}], "a < b")._repr_html_()
    assert '<tfoot><tr><td colspan="2">a &lt; b</td></tr></tfoot></table>' in noted


def test_tables_with_a_column_for_each_row() -> None:
    table = Table(["k", "error", "fit"], [[10, 0.5, "all"], [20, 0.25, "one"], [0.3, 1.0, "no"]])
    assert table.turned().headers == ["k", "10", "20", "0.3"]
    assert [list(row) for row in table.turned().rows] == [
        ["error", 0.5, 0.25, 1.0],
        ["fit", "all", "one", "no"],
    ]


def test_tables_set_names_as_code() -> None:
    html = Table(["how"], [["`predicted` is <a bound>"]])._repr_html_()
    assert "<td><code>predicted</code> is &lt;a bound&gt;</td>" in html
