"""What the book says of networks and averages, from arrays small enough to work by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toys import TEACHER

from mvlib.core.intervals import wilson_interval
from mvlib.experiments.catalogue import SWEEPS
from mvlib.experiments.settings import Experiment
from mvlib.findings import report_networks
from mvlib.findings.theorems import learned, theorem_1
from mvlib.paper.multi_view_data import sample
from mvlib.store.entries import Arrays, Store
from mvlib.studies.single_model import SingleModelStudy

# Two networks, three classes: views 1, 2 and both; views 2, 2 and 1.
CORRELATIONS = np.array([[[1, 0.1], [0.2, 2], [1, 0.5]], [[0, 1], [0.1, 1], [3, 0.2]]])
DRAW: Arrays = {
    "correlations": CORRELATIONS,
    "predicted_winner": np.array([[0, 1, 1], [1, 0, 0]]),
    "winner_margin": np.array([[0.5, 0.4, 0.1], [0.3, 0.2, 0.6]]),
    "single_error": np.array([0.4, 0.6]),
    "multi_error": np.array([0.0, 0.02]),
    "ensemble_single_error": np.array(0.1),
    "ensemble_multi_error": np.array(0.01),
    "ensemble_bootstrap": np.array([0.1, 0.2]),
    "bootstrap_multi": np.array([0.0, 0.01]),
    "fitted": np.array([True, False]),
    "stop_step": np.array([10, 31]),
    "class_error": np.arange(12.0).reshape(2, 3, 2),
    "ensemble_class_error": np.arange(6.0).reshape(3, 2) / 10,
}
# Three records of two watched networks, the second of which never fits.
RACE: Arrays = {
    "steps": np.array([0, 4, 8]),
    "train_error": np.array([[0.9, 0.8], [0.0, 0.5], [0.0, 0.1]]),
    "view_correlations": np.arange(36.0).reshape(3, 2, 3, 2),
    "predicted_winner": np.array([[0, 1, 0], [1, 1, 0]]),
    "watched_single_error": np.array([[0.9, 0.7], [0.5, 0.6], [0.4, 0.2]]),
    "watched_multi_error": np.array([[0.8, 0.9], [0.1, 0.2], [0.0, 0.0]]),
    "multi_residual": np.array([[0.9, 0.8], [0.2, 0.3], [0.1, 0.1]]),
    "single_residual": np.array([[0.9, 0.9], [0.6, 0.7], [0.3, 0.2]]),
}
STUDY = replace(TEACHER, n_test_single=50, n_test_multi=100)  # k = 3, s = 1.5, mu = 0.1


def of(study: SingleModelStudy) -> Experiment:
    return Experiment(name="single-model", scale="smoke", label="draw 2", study=study)


def test_finding_values() -> None:
    found = theorem_1(STUDY, [DRAW])
    finding = replace(found, measured=0.12345, low=0.1, high=0.2, n=7)
    assert report_networks.finding_values("one", finding, digits=4) == {
        "one-measured": "0.1235", "one-interval": "[0.1000, 0.2000]", "one-n": 7
    }  # fmt: skip


def test_activations() -> None:
    z, values, slopes = report_networks.activations([(2, 1), (4, 3)])
    assert list(values) == list(slopes) == ["$q=2$, $\\varrho=1$", "$q=4$, $\\varrho=3$"]
    at = [int(np.abs(z - point).argmin()) for point in (-1, 0.5, 2, 5)]
    quadratic, quartic = values.values()
    # Definition 3.4: z^2 / 2 below 1 and z - 1/2 above; z^4 / 108 below 3 and z - 9/4 above.  z is
    # in single precision and so is the curve.
    np.testing.assert_allclose(quadratic[at], [0, 0.125, 1.5, 4.5], rtol=1e-5)
    np.testing.assert_allclose(quartic[at], [0, 0.0625 / 108, 16 / 108, 2.75], rtol=1e-5)
    steep, late = slopes.values()
    np.testing.assert_allclose(steep[at], [0, 0.5, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(late[at], [0, 0.125 / 27, 8 / 27, 1], rtol=1e-5)


def test_one_race() -> None:
    steps, curves, predicted = report_networks.one_race(RACE)
    assert steps.tolist() == [0, 4, 8] and predicted.tolist() == [0, 1, 0]
    assert curves[:, 0, 1].tolist() == [1, 13, 25]
    assert report_networks.one_race(RACE, until_fitted=True)[0].tolist() == [0, 4]
    assert report_networks.one_race(RACE, 1, until_fitted=True)[0].tolist() == [0, 4, 8]


def test_losers_that_rise() -> None:
    found = np.ones((3, 2, 3, 2))
    # By record, the losers of network 0: one has come when it fits, at the second, and one later.
    found[:, 0, :, 1] = [[0.1, 0.1, 0.1], [0.1, 0.5, 0.1], [0.1, 0.5, 0.6]]
    found[:, 1, :, 1] = 0
    margin = np.array([[0.5, 0.1, 0.3], [0.2, 0.2, 0.4]])
    race: Arrays = {**RACE, "view_correlations": found, "winner_margin": margin}
    assert report_networks.rising_losers(race) == {
        "rising": 2, "rising-at-fit": 1, "rising-classes": "1, 2", "rising-margin": "0.20",
        "other-margin": "0.50",
    }  # fmt: skip
    # The second never fits, and none of its losers comes.
    said = report_networks.rising_losers(race, 1)
    assert said["rising"] == said["rising-at-fit"] == 0 and said["rising-classes"] == "none"
    assert said["rising-margin"] == "none" and said["other-margin"] == "0.20"


def test_the_race_over_time() -> None:
    drawn = report_networks.over_time(STUDY, RACE)
    np.testing.assert_array_equal(drawn["fitted_at"], [4, np.nan])
    np.testing.assert_allclose(drawn["test_error"][1], [0.5 + 9 * 0.1, 0.6 + 9 * 0.2])
    assert drawn["residuals"]["single-view"] is RACE["single_residual"]
    # Network 1 never fits: the text is about the other one.
    assert report_networks.race_values(replace(STUDY, n_watch=20), RACE) == {
        "race-networks": 2, "race-fitted": 1, "race-watched": 20, "race-last": 8,
        "race-at-fit": "0.500", "race-at-end": "0.400", "multi-residual": "0.2000",
        "single-residual": "0.600",
    }  # fmt: skip
    neither: Arrays = {**RACE, "train_error": np.ones((3, 2))}  # both count as they start
    assert report_networks.race_values(STUDY, neither)["race-at-fit"] == "0.800"


def test_network_values() -> None:
    said = report_networks.network_values(STUDY, [DRAW, DRAW])
    assert said["one-measured"] == "0.590" and said["one-n"] == 4  # 0.4, and 0.6 + 9 * 0.02
    assert said["lottery-measured"] == "0.667" and said["lottery-n"] == 12
    assert said["single-error"] == "0.500 ± 0.115"  # deviations of 0.1, over n - 1 = 3
    assert said["multi-error"] == "0.01000" and said["multi-worst"] == 2
    assert said["multi-bound"] == f"{wilson_interval(2, 100)[1]:.4f}"
    # 5 of 6 classes with one view, and 1 - (1 - 1/2)^2 of inputs show a view of another.
    assert said["one-view-share"] == "0.833" and said["finite-size"] == "0.312"
    assert said["not-by-default"] == "0.750"
    assert said["base-single-error"] == "0.500" and said["n-draws"] == 2


def test_lottery() -> None:
    margin, right = report_networks.lottery([DRAW, DRAW])
    assert margin.shape == (4, 3) and margin[2, 2] == 0.1
    assert right[:2].tolist() == [[True, True, False], [True, False, True]]


@pytest.fixture
def points() -> report_networks.Points:
    """Thresholds of 2 and 0.25 beside the study's own 1, networks better and worse."""
    changed = [replace(STUDY, learner=replace(STUDY.learner, threshold=v)) for v in (2.0, 0.25)]
    family = [
        (SimpleNamespace(study=study), DRAW | {"single_error": np.array([error])})
        for study, error in zip(changed, (0.3, 0.9), strict=True)
    ]
    return report_networks.sweep_points({"threshold": family}, STUDY, DRAW)


def test_sweeps_are_in_order(points: report_networks.Points) -> None:
    values, curves = report_networks.sweep_curves(points)["threshold"]
    assert values == ["0.25", "1.0", "2.0"]
    assert [e.mean() for e in curves["single-view error"]] == [0.9, 0.5, 0.3]
    assert curves["all views learned"] == pytest.approx([1 / 6] * 3)
    assert curves["winner foretold"] == pytest.approx([2 / 3] * 3)
    assert report_networks.sweep_values(points) == {
        "least-threshold": "0.25", "least-threshold-error": "0.900",
        "most-threshold": "2.0", "most-threshold-error": "0.300",
    }  # fmt: skip
    row = report_networks.sweep_table(points)[1]
    assert list(row.values()) == ["threshold", "1.0", "1 of 2", 20, 0.5, 0.01, pytest.approx(1 / 6)]


def test_every_sweep_is_loaded(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(report_networks, "load_family", lambda *what: asked.append(what) or [])
    store = Store(str(tmp_path))
    assert list(report_networks.load_sweeps("smoke", store)) == list(SWEEPS)
    assert asked[-1] == ("smoke", "sweep-multi-other-strength", store)


def test_class_counts() -> None:
    family = [(SimpleNamespace(study=STUDY), DRAW)]
    [(k, (errors, predicted))] = report_networks.class_counts(family).items()
    assert (k, errors.tolist()) == (3, [0.4, 0.6]) and predicted == pytest.approx(0.3125)
    [row] = report_networks.class_count_table(family)
    assert list(row.values()) == pytest.approx([3, 36, 3, 2, 1, 0.5, 0.01, 1 / 6, 0.3125, 2 / 3])


def test_who_knows_what() -> None:
    assert learned(DRAW["correlations"]).sum(axis=2).tolist() == [[1, 1, 2], [1, 1, 1]]
    family = [(of(STUDY), {**DRAW, "train_outputs": np.zeros((3, 36, 3))})]
    said = report_networks.ensemble_values(STUDY, family, family)
    # Together the views of class 0 and of class 2, and view 2 of class 1.
    assert (said["views-each"], said["views-all"], said["views-together"]) == ("3.5", 6, "5")
    assert said["one-measured"] == "0.590" and said["two-measured"] == "0.1900"
    # One of the 100 is misread, and counts 9 times; at most 4.66%, by tables of the binomial.
    assert (said["multi-misread"], said["multi-inputs"]) == (1, "100")
    assert float(said["multi-part"]) == pytest.approx(9 * 0.0466, abs=9e-4)
    first, last = report_networks.view_table(DRAW)[0], report_networks.view_table(DRAW)[-1]
    assert list(first.values()) == ["class 0, view 1", 3.0, 0.5, 0.0]
    assert list(last.values()) == ["class 2, view 2", 8.0, 0.5, 0.5]


def test_the_setting_of_networks() -> None:
    assert report_networks.setting_values(STUDY) == {
        "m": 3, "q": 4, "varrho": 1.0, "sigma-0": 0.1, "relative-change": 0.3, "step-floor": 0.1,
        "max-step": "1000", "limit": 200, "networks-a-draw": 3, "an-ensemble": 3,
    }  # fmt: skip


def test_training_samples_that_ensembles_misread() -> None:
    """Three networks make one ensemble of two; labels are those of the samples they trained on."""
    study = replace(STUDY, ensemble_size=2)
    labels = sample(study.data, study.n_train, seed=study.draw, name="train").labels.numpy()
    outputs = np.zeros((3, len(labels), 3))
    outputs[0, np.arange(len(labels)), labels] = 1
    outputs[1, :5, :] = 3 * np.eye(3)[(labels[:5] + 1) % 3]  # louder, and wrong
    outputs[2] = 9 * np.eye(3)[(labels + 1) % 3]  # in no ensemble
    found = report_networks.training_misread([(of(study), {"train_outputs": outputs})])
    assert found == (5, 36)


def test_errors_by_who_knows() -> None:
    a, b = np.zeros((2, 3, 3, 2), dtype=int)  # two members, two views
    a[0, 2], a[0, 0], a[2, 1] = (4, 3), (1, 0), (5, 1)
    b[0, 1] = 3, 1
    draws = [{"disjoint_by_knowledge": counts} for counts in (a, b)]
    none, both = report_networks.knowledge_table(draws)
    # No member: 8 inputs, 4 of them lost; 3 of the 4 where one wrong class shows both views.
    assert list(none.values()) == [0, 8, 0.5, 0.75, 0.25]
    assert list(both.values()) == [2, 5, pytest.approx(0.2), "", pytest.approx(0.2)]


def test_most_disputed() -> None:
    # Four networks on inputs of classes 0, 2, 1 and 0: 4, 0, 2 and 2 of them are right.
    answers = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 0]])
    outputs = np.eye(3)[answers]
    scores, label, title = report_networks.most_disputed(
        {"example_outputs": outputs, "example_labels": np.array([0, 2, 1, 0])}
    )
    assert scores.argmax(axis=1).tolist() == [1, 0, 1, 2]
    assert (label, title) == (1, "single-view input of class 1")


def test_sizes() -> None:
    gone = np.nan
    curves = report_networks.size_curves(
        STUDY,
        [
            {"size_curve": np.array([[0.4, 0.6], [0.1, gone]]),
             "size_curve_multi": np.array([[0.0, 0.02], [0.0, gone]])},
            {"size_curve": np.array([[0.5, 0.5], [0.3, gone]]),
             "size_curve_multi": np.array([[0.0, 0.0], [0.0, gone]])},
        ],
    )  # fmt: skip
    np.testing.assert_allclose(curves[0], [[0.4, 0.78], [0.1, gone]])
    one, two = report_networks.size_table(curves)
    assert list(one.values()) == [1, pytest.approx((0.59 + 0.5) / 2), 0.5, 2]
    assert list(two.values()) == [2, pytest.approx(0.2), 0.25, 1]
