"""What the book shows of inputs without views, on made-up numbers small enough to do by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import base_study
from mvlib.findings import report_gaussian as report
from mvlib.findings.gaussian import Cell, Row, cells, removed_by_votes
from mvlib.findings.worlds import World
from mvlib.store.entries import Store
from mvlib.studies.gaussian import GaussianStudy

STUDIES: list[Any] = [e.study for e in experiments("smoke", "gaussian")]
MULTI_VIEW: Any = base_study("smoke")
MU = MULTI_VIEW.data.single_view_fraction


def arrays(single: list[list[float]], ensemble: list[float]) -> dict[str, np.ndarray]:
    """Learners with these errors, whose average loses a quarter of the cross-entropy."""
    n = len(single)
    return {
        "single_error": np.array(single), "ensemble_error": np.array(ensemble),
        "train_error": np.array(single) / 10, "single_loss": np.full((n, 2), 2.0),
        "ensemble_loss": np.full(n, 1.5), "variance_curve": np.full((n, 2), [0.5, 0.2]),
        "output_power": np.full(n, 2.0), "disagreement": np.full(n, 0.4),
        "size_curve": np.array([[1.0, 0.5], [1.0, 0.9]])[:n],
        "agreement": np.full((n, 3), [1, 2, 5]), "agreement_ensemble": np.full((n, 3), [0, 1, 5]),
    }  # fmt: skip


def row(at: int, *errors: tuple[float, float]) -> Row:
    """One of the smoke grid's studies with as many learners as errors (single, ensemble)."""
    study: GaussianStudy = replace(STUDIES[at], learners=STUDIES[at].learners[: len(errors)])
    return study, arrays([[one, one] for one, _ in errors], [many for _, many in errors])


# One Gaussian: linear clean, linear noisy, convolutional clean; means .2 and .15.
ROWS = [row(0, (0.2, 0.1), (0.3, 0.3)), row(1, (0.2, 0.1)), row(2, (0.1, 0.1))]
CELLS = cells(ROWS)


def networks(outputs: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """A draw of multi-view data: errors on single-view inputs of .5 and of .1 for the average."""
    return {
        "example_outputs": outputs, "example_labels": labels, "single_error": np.array([0.4, 0.6]),
        "multi_error": np.zeros(2), "ensemble_single_error": np.array(0.1),
        "ensemble_multi_error": np.array(0.0), "size_curve": np.array([[0.5, 0.5], [0.1, np.nan]]),
        "size_curve_multi": np.zeros((2, 2)),
    }  # fmt: skip


# Three inputs of class 0: both networks know the first, one loudly the second, nobody the third.
OUTPUTS = np.array([[[1.0, 0], [9, 0], [0, 1]], [[1, 0], [0, 1], [0, 1]]])
DRAWS = [networks(OUTPUTS, np.zeros(3, dtype=int))]


def test_rows_are_loaded_as_studies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    family = [(e, {"n": np.ones(1)}) for e in experiments("smoke", "gaussian")[:2]]
    monkeypatch.setattr(report, "load_family", lambda scale, name, store: family)
    rows = report.load_rows("smoke", "gaussian", Store(tmp_path))
    assert [study for study, _ in rows] == STUDIES[:2]


def test_setting() -> None:
    values = report.setting_values([(study, {}) for study in STUDIES])
    assert values["n-cells"] == 24 and values["n-draws"] == 4 and values["n-clusters"] == 8
    assert values["noise"] == "10%" and values["margin"] == "no inputs"
    assert values["forms"] == "fully connected 48 x 2; residual 32 x 2; convolutional 16 x 2"


def test_cells_by_condition_and_labels() -> None:
    sizes = {name: len(some) for name, some in report.by_condition(CELLS).items()}
    assert sizes == {"clean": 3, "label noise": 1, "all": 4}
    assert [len(some) for some in report.by_labels(CELLS).values()] == [3, 1]
    assert report.mean_errors(CELLS) == pytest.approx((0.2, 0.15))


def test_table_of_the_grid() -> None:
    clean, noise, every = report.grid_table(CELLS)
    assert list(clean.values()) == pytest.approx(
        ["clean", 0.03, 0.2, 0.5 / 3, 10 / 3, 1 / 6, 0.25, 0.25]
    )
    assert noise["share of errors removed"] == pytest.approx(0.5)
    assert every["points removed"] == pytest.approx(5)


def test_gains_in_the_text() -> None:
    values = report.gain_values(ROWS, CELLS, (MULTI_VIEW, DRAWS))
    assert values["mv-removed"] == "0.800" and values["loss-removed"] == "0.25"
    assert values["halved"] == "0.40", "variances .5 and .2"
    assert values["single-points"] == "20.0%" and values["together-points"] == "15.0%"
    assert values["points"] == "5.00" and values["mv-points"] == f"{100 * MU * 0.4:.2f}"
    assert values["median-share"] == "0.25" and values["n-helped"] == 2  # shares .5, 0, .5, 0


def test_errors_left() -> None:
    left, mv_left = report.errors_left(CELLS, (MULTI_VIEW, DRAWS))
    assert left.tolist() == [[1, 0.5], [1, 0.9], [1, 0.5], [1, 0.5]]
    assert mv_left == pytest.approx(np.array([[1, 0.2]]))
    four = np.array([[1, 0.6, 0.5, 0.4], [1, 0.8, 0.7, 0.6]])
    values = report.left_values(four, np.array([[1, 0.3, 0.2, 0.15, 0.1]]))
    assert values == {"half": 2, "mv-networks": 5, "left": "0.50", "left-half": "0.70",
                      "mv-left": "0.10", "mv-left-half": "0.30"}  # fmt: skip


def test_majorities_and_loud_minorities() -> None:
    groups = report.who_is_followed(ROWS, [*DRAWS, *DRAWS])
    assert [a.tolist() for a in groups["no views"]] == [[4, 8, 20], [0, 4, 20]]
    assert [a.tolist() for a in groups["single-view inputs"]] == [[2, 2, 2], [0, 2, 2]]
    counts = np.array([1, 4, 4, 5]), np.array([0, 1, 4, 5])
    mv_counts = np.array([0, 2, 0, 3]), np.array([0, 2, 0, 3])
    values = report.followed_values({"no views": counts, "single-view inputs": mv_counts})
    # Of 3 * 1 + 2 * 4 + 4 errors 11 are on inputs that one of three networks knows, or none.
    assert values == {"n-examples": 5, "minority": "0.25", "beyond": "0.73", "mv-minority": "1.00",
                      "mv-beyond": "1.00"}  # fmt: skip


def test_extremes() -> None:
    def cell(removed: float) -> Cell:
        return replace(CELLS[0], removed=removed)

    shares = [0.1 * n for n in range(12)]
    table = report.extremes_table([cell(share) for share in shares])
    best, worst = shares[:-7:-1], shares[3::-1]
    assert [record["share removed"] for record in table] == best + worst
    values = report.extremes_values([*CELLS, replace(CELLS[2], removed=0.9)])
    assert values["best"] == "one Gaussian, linear labels, label noise, fully connected"
    assert values["best-share"] == "0.90" and values["best-single"] == "20.0%"
    assert values["share-other"] == "0.00" and values["share-label-noise"] == "0.50"
    assert values["share-linear"] == "0.33" and values["share-clean"] == "0.17"


def test_gain_and_scatter() -> None:
    # Networks that err on inputs 0 to 2 and 2 to 5 of ten; their average on input 2.
    wrong = np.array([[i < 3 for i in range(10)], [2 <= i < 6 for i in range(10)]])
    draw = {"single": wrong, "ensemble": wrong.all(axis=0, keepdims=True)}
    photographs = World(name="photographs", draws=[draw], curve=np.ones(2))
    points = report.gain_and_scatter(CELLS, DRAWS, photographs)
    variance, votes, removed = points["linear labels"]
    assert variance.tolist() == [0.25] * 3 and removed == pytest.approx([0.5, 0, 0.5])
    # Of 4 errors on 3 inputs 2 are on those that the other network knows.
    assert votes[0] == pytest.approx(removed_by_votes(0.2, 0.5))
    variance, votes, removed = points["photographs"]
    # Seven errors; beside five of them the other network is right.
    assert np.isnan(variance).all() and removed == pytest.approx([1 - 0.1 / 0.35])
    assert votes == pytest.approx([removed_by_votes(0.35, 5 / 7)])
    variance, votes, removed = points["single-view inputs"]
    # The second input's centred outputs are 4.5 and -0.5: a variance of 12.5 there, 0 elsewhere;
    # the squares are .25, but for that one of 20.25.  Half of all answers are wrong, a third of the
    # average's, which answers the second input by 4.5 against 0.5.
    assert variance == pytest.approx([(12.5 / 3) / (43 / 12)])
    # Of 1.5 errors a majority leaves two: the input that one of two knows is a tie.
    assert removed == pytest.approx([1 / 3]) and votes == pytest.approx([1 - 2 / 1.5])


def test_what_foretells_the_gain() -> None:
    some = [replace(CELLS[0], scatter=s, removed=s / 2, variance=-s) for s in (0.2, 0.6, 0.4)]
    some[2] = replace(some[2], labels="residual")
    points = {name: np.array([[0.1], [0.3], [0.4]])
              for name in ("linear labels", "network labels", *report.KINDS.values())}  # fmt: skip
    values = report.scatter_values(some, points)
    assert values["rank-scatter"] == "1.00" and values["rank-variance"] == "-1.00"
    assert values["off"] == "0.10" and values["scatter-linear"] == "0.40"
    assert values["votes-views"] == "0.30" and values["average-photographs"] == "0.40"
    # Ranks 0, 2, 1 and 1, 2, 0: deviations -1, 1, 0 and 0, 1, -1.
    assert report.rank_correlation([1, 9, 3], [2, 3, 1]) == pytest.approx(0.5)


def test_errors_along_samples_and_widths() -> None:
    few = row(0, (0.4, 0.3))
    few = replace(few[0], n_train=100), few[1]
    forms = tuple(replace(STUDIES[0].learners[0], width=width) for width in (24, 48))
    wide: Row = (replace(STUDIES[0], learners=forms), arrays([[0.3, 0.3], [0.2, 0.2]], [0.2, 0.15]))
    wide[1]["output_power"][1] = 5.0  # type: ignore[index]
    along = report.errors_along(ROWS, [few], [wide])
    assert [(n, e) for n, _, e in along["N"]["linear"]] == [(100, 0.3), (200, 0.1)]
    assert [(w, e) for w, _, e in along["width"]["linear"]] == [(24, 0.2), (48, 0.15)]
    table = report.along_table(along)
    assert [record["setting"] for record in table] == [
        "N = 100", "N = 200", "width = 24", "width = 48"
    ]  # fmt: skip
    assert [record["share removed"] for record in table] == pytest.approx([0.25, 0.5, 1 / 3, 0.25])
    assert report.along_values(along, [wide]) == {
        "swept-0": "linear", "few-0": "0.25", "many-0": "0.50", "narrow-0": "0.33",
        "wide-0": "0.25", "var-narrow-0": "0.25", "var-wide-0": "0.10",
    }  # fmt: skip
