"""Shares of an ensemble's gain in every world, by hand and against exact laws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import base_study
from mvlib.findings import images, report_worlds, worlds
from mvlib.findings.claims import RESIDUAL
from mvlib.findings.finding import Finding
from mvlib.findings.worlds import World, gain, removed, resampled_errors, share_of_gain
from mvlib.store.entries import Arrays

CURVE = np.array([0.4, 0.2])


def rows(**rates: Any) -> dict[str, np.ndarray]:
    """Learners that err on the first so many of 100 images."""
    return {name: np.array([np.arange(100) < n for n in many]) for name, many in rates.items()}


def world(*draws: dict[str, np.ndarray], **more: Any) -> World:
    return World(name="photographs", draws=draws, curve=CURVE, **more)


PHOTOGRAPHS = world(
    rows(single=[20, 24], ensemble=[12], distilled=[14, 18], one_hot=[18, 20], wide=[16],
         average=[14], self_distilled=[20, 24]),
    rows(single=[30, 26], ensemble=[22], distilled=[24, 26], one_hot=[26, 30], wide=[24],
         average=[24]),
    same_inputs=True,
)  # fmt: skip


def test_shares_by_hand() -> None:
    found = world(rows(single=[20, 24], ensemble=[12], other=[14, 18], none=[20, 24]))
    assert share_of_gain(found, "other")[0] == pytest.approx(0.6)
    assert share_of_gain(found, "ensemble") == (1, 1, 1)
    assert removed(found)[0] == pytest.approx(10 / 22)
    mean, low, high = gain(found, "other")
    assert mean == pytest.approx(0.06) and 0 < low < mean < high
    assert gain(found, "none") == (0, 0, 0), "paired: the same learners and images"


def test_shares_over_draws() -> None:
    # Mean gains, not a mean of shares: (6 + 3) of (10 + 6), and one-hot less distilled.
    assert share_of_gain(PHOTOGRAPHS, "distilled")[0] == pytest.approx(9 / 16)
    assert share_of_gain(PHOTOGRAPHS, "distilled", base="one_hot")[0] == pytest.approx(6 / 16)
    assert worlds.mean_error(PHOTOGRAPHS, "single") == pytest.approx(0.25)
    # What a draw lacks is measured on the others, beside their own ensemble.
    assert share_of_gain(PHOTOGRAPHS, "self_distilled")[0] == 0
    assert gain(PHOTOGRAPHS, "ensemble", base="self_distilled")[0] == pytest.approx(0.1)
    assert not PHOTOGRAPHS.has("nobody")


def test_a_standard_error_by_hand() -> None:
    """20 networks that err on 2 other images each, an ensemble that never errs: only images and
    networks make the gain uncertain, and every resample of networks errs as often."""
    wrong = np.zeros((20, 4000), bool)
    for i in range(20):
        wrong[i, 200 * i : 200 * i + 100 + 5 * i] = True
    found = world({"single": wrong, "ensemble": np.zeros((1, 4000), bool)})
    rates = wrong.mean(axis=1)
    by_image = wrong.mean(axis=0)
    expected = np.sqrt(rates.var() / 20 + by_image.var() / 4000)
    z, low, high = images.gain_in_standard_errors(found)
    # A bootstrap of 2000: 1.6% standard error; the two parts interact a little.
    assert z == pytest.approx(rates.mean() / expected, rel=0.1)
    assert (low, high) == pytest.approx((z - 1.96, z + 1.96))


@pytest.mark.parametrize("same_inputs", [False, True])
def test_resamples_keep_learners_of_a_row_together(same_inputs: bool) -> None:
    found = world(rows(a=[10, 30], b=[11, 31], alone=[20]), same_inputs=same_inputs)
    drawn = resampled_errors(found, "a", "b", "alone")
    # Each learner of b errs on one image more than the same of a: as often as that is drawn.
    assert np.array_equal(drawn["b"] >= drawn["a"], np.ones(2000, bool))
    # The mean of 2000 Poisson counts of one image in a hundred: sqrt(1 / 2000) / 100, four times.
    assert (drawn["b"] - drawn["a"]).mean() == pytest.approx(0.01, abs=0.0009)


def test_an_ensemble_is_one_learner() -> None:
    # Ten networks that err on the first 20 images or on the first 40; their ensemble on 15.  Of a
    # row of one learner only images are resampled, however many networks it is made of.
    found = resampled_errors(world(rows(single=[20, 40] * 5, ensemble=[15])), "single", "ensemble")
    # A binomial rate, known to 2000 resamples: its deviation to 1.6%, four times.
    assert found["ensemble"].std() == pytest.approx(np.sqrt(0.15 * 0.85 / 100), rel=0.064)


# ---------------------------------------------------------------- worlds from what is stored


def test_photographs_by_training_set_and_count() -> None:
    family = []
    for name in ("single", "distilled", "self-distilled", "one-hot", "average", "wide", "count"):
        for e in experiments("smoke", f"images-{name}"):
            study: Any = e.study
            n = study.n_learners
            arrays = {"wrong": np.zeros((n, 20), bool), "ensemble_wrong": np.ones(20, bool),
                      "size_curve": np.array([[0.4, np.nan], [0.2, 0.3]])}  # fmt: skip
            family.append((e, arrays))
    found = worlds.photographs([p for p in family if p[0].study.data.n_train == 100])
    first, second = found.draws
    both = {"single", "ensemble", "distilled", "ensemble_of_distilled", "one_hot", "average"}
    assert set(second) == both and set(first) == both | {"self_distilled", "wide"}
    assert len(first["distilled"]) == 3 and len(second["distilled"]) == 2
    assert found.curve.tolist() == [0.4, 0.25] and found.same_inputs
    by_n = worlds.by_count(family)
    assert [*by_n] == [50, 100] and len(by_n[100].draws) == 1
    assert set(by_n[50].draws[0]) == both


def test_normalised_networks_that_train_as_long_as_students() -> None:
    family: list[Any] = []
    for name in RESIDUAL:
        for e in experiments("smoke", name):
            study: Any = e.study
            wrong = np.zeros((study.n_learners, 20), bool)
            ones = {"ensemble_wrong": np.ones(20, bool), "size_curve": np.ones((2, 1))}
            family.append((e, {"wrong": wrong, **ones}))
    first, second = worlds.photographs(family).draws
    assert set(first) - set(second) == {"as_long", "wide"}
    assert len(first["as_long"]) == 1 and len(first["single"]) == 2
    of = {study.target: study.schedule.epochs for study in (e.study for e, _ in family[::-1])}
    assert of["one-hot"] == of["average"] == family[-1][0].study.schedule.epochs == 10
    assert family[0][0].study.schedule.epochs == 5


def test_gaussian_inputs() -> None:
    arrays = {
        "wrong": np.array([[[True, False], [True, True]], [[False, False], [True, False]]]),
        "ensemble_wrong": np.array([[False, True], [True, True]]),
        "size_curve": np.array([[0.75, 0.5], [0.25, 0.2]]),
        "together_wrong": np.array([[True, False]]),
        **{f"{target}_wrong": np.zeros((2, 2), bool)
           for target in ("average", "one-hot", "shuffled", "smoothed")},
    }  # fmt: skip
    family = [(e, arrays) for e in experiments("smoke", "gaussian-students")]
    found = worlds.gaussian(family)
    assert len(found.draws) == len(family) == 2 and found.curve.tolist() == [0.75, 0.5]
    assert worlds.mean_error(found, "single") == 0.75
    assert worlds.mean_error(found, "wide") == 0.25 and worlds.mean_error(found, "ensemble") == 0.5
    assert {"distilled", "one_hot", "shuffled", "smoothed", "average"} <= set(found.draws[0])
    # Of the second kind alone the networks were also teachers, one by one.
    (_, last) = experiments("smoke", "gaussian-self-distilled")
    own = {"each_wrong": np.array([[True, True], [False, True]])}
    first, second = worlds.gaussian(family, [(last, own)]).draws
    assert "self_distilled" not in first and second["self_distilled"] is own["each_wrong"]


def test_tangent_kernels() -> None:
    study = base_study("smoke")
    wrong = {"single": [[1, 0, 0, 0], [1, 1, 0, 0]], "ensemble": [[0, 0, 0, 0]],
             "average": [[1, 0, 0, 0]], "hard_student": [[1, 1, 1, 0]],
             "distilled_student": [[1, 1, 0, 0]]}  # fmt: skip
    arrays = {f"ridge_{who}_single_wrong": np.array(rows, bool) for who, rows in wrong.items()}
    arrays |= {f"ridge_{who}_multi_wrong": np.zeros((len(rows), 9), bool)
               for who, rows in wrong.items()}  # fmt: skip
    of = {"multi-view data": worlds.multi_view_frozen(study, [(None, arrays)] * 2, "any")}
    assert len(of["multi-view data"].draws) == 2
    images = rows(single=[20, 24], ensemble=[12], average=[17], distilled=[15], hard_student=[18])
    kept = {f"{row}_wrong": a for row, a in images.items()} | {"teacher_train_gap": np.array(0.1)}
    of["photographs"] = worlds.frozen_features("photographs", [kept])
    asked = report_worlds.questions({}, {}, {}, of)
    found = [[share[0] for share in asked[what].values()] for what in list(asked)[-3:]]
    assert np.ravel(found) == pytest.approx([1, 10 / 22, 1 / 1.5, 0.3, 1 / 3, 0.5])


def test_resamples_are_kept_for_a_world() -> None:
    again = replace(PHOTOGRAPHS)
    kept = resampled_errors(again, "single", "distilled")
    assert resampled_errors(again, "average", "ensemble", "wide") is kept, "the same draws"
    assert resampled_errors(again, "single", "self_distilled") is not kept
    assert resampled_errors(replace(PHOTOGRAPHS), "single", "distilled") is not kept
    assert "self_distilled" not in kept


def networks(single: list[float], ensemble: float, **more: Any) -> Arrays:
    return {"single_error": np.array(single), "multi_error": np.zeros(len(single)),
            "ensemble_single_error": np.array(ensemble), "ensemble_multi_error": np.array(0.0),
            **more}  # fmt: skip


def test_multi_view_data() -> None:
    study = base_study("smoke")
    curve = np.array([[0.4, 0.6], [0.3, 0.3], [0.2, 0.2], [0.1, np.nan]])
    single = networks([0.4, 0.6], 0.1, size_curve=curve, size_curve_multi=np.zeros((4, 2)))
    taught = networks([0.2, 0.2], 0.0)
    of = {name: [(None, taught)] for name in worlds.MULTI_VIEW | worlds.HINTON}
    of |= {"single-model": [(None, single)] * 2, "distilled": [(None, taught)] * 2}
    of["joint"] = [(None, networks([1.0] * 4, 0.3))] * 2
    of["joint-size"] = [
        (e, networks([1.0], 0.2 if e.study.n_members == 4 else 9.0))
        for e in experiments("smoke", "joint-size")
    ]
    found = worlds.multi_view(study, of)
    assert found.curve == pytest.approx([0.5, 0.3, 0.2, 0.1])
    first, second = found.draws
    # A network errs on .4 or on .6: 2/3 to 4/5 of its gain.
    measured, low, high = share_of_gain(found, "distilled")
    assert measured == pytest.approx(0.75) and 2 / 3 <= low < measured < high <= 4 / 5
    assert "one_hot" in first and "one_hot" not in second
    assert first["few"].tolist() == [0.1] and first["average"].tolist() == [0.3]
    other = worlds.hinton(found, study, of)
    assert set(other.draws[0]) == {"single", "ensemble", *worlds.HINTON.values()}


# ---------------------------------------------------------------- findings and tables


def test_one_rule_for_every_world() -> None:
    finding = worlds.distilled_share(PHOTOGRAPHS, "photographs")
    assert finding.measured == pytest.approx(6 / 16) and finding.n == 4
    assert (finding.direction, finding.predicted, finding.turn) == ("at least", 0, 0)
    assert "the ensemble 0.56 [" in finding.caveat and "one-hot labels 0.19 [" in finding.caveat
    assert "best of these controls, one-hot labels, 0.37 [" in finding.caveat
    assert "over 2 draws" in finding.caveat and "test inputs" in finding.caveat


def test_claims_on_photographs() -> None:
    kernels = {f"{row}_wrong": wrong for row, wrong in rows(
        single=[30], ensemble=[20], hard_student=[28], distilled=[26]).items()}  # fmt: skip
    shared = replace(PHOTOGRAPHS, draws=[
        {**draw, "ensemble_of_distilled": draw["ensemble"]} for draw in PHOTOGRAPHS.draws
    ])  # fmt: skip
    found = {f.claim: f for f in images.image_claims(shared, kernels, 0.9)}
    assert found["images-ensemble-gain"].measured == pytest.approx(16 / 50)
    assert found["images-ensemble-gain"].turn == 0.45
    # (20, 24 | 30, 26): averages of 14 and 24 gain 8 + 4 of 10 + 6, 2 + 0 of it beyond the wide.
    assert found["images-train-average-share-of-gain"].measured == pytest.approx(12 / 16)
    assert found["images-train-average-at-equal-weights"].measured == pytest.approx(2 / 16)
    assert found["images-ntk-distilled-share-of-gain"].measured == pytest.approx(0.2)
    assert "2 training sets" in found["images-distilled-share-of-gain"].caveat
    for alone in ("self-distilled-gain", "ntk-distilled-share-of-gain"):
        assert "1 training set," in found[f"images-{alone}"].caveat
    only = replace(shared, draws=[shared.draws[0], {k: v for k, v in shared.draws[1].items()
                                                    if k != "wide"}])  # fmt: skip
    again = {f.claim: f for f in images.image_claims(only, kernels, 0.9)}
    assert "1 training set," in again["images-train-average-at-equal-weights"].caveat
    assert "2 training sets" in again["images-train-average-share-of-gain"].caveat


def test_claims_of_normalised_networks() -> None:
    """The same formulas under names of their own."""
    shared = replace(PHOTOGRAPHS, draws=[
        {**draw, "ensemble_of_distilled": draw["ensemble"]} for draw in PHOTOGRAPHS.draws
    ])  # fmt: skip
    found = {f.claim: f for f in images.residual_claims(shared)}
    distilled = found["residual-distilled-share-of-gain"]
    assert distilled.measured == pytest.approx(9 / 16) and distilled.predicted == 0.5
    assert "one-hot labels 0.19 [" in distilled.caveat and "normalisation" in distilled.statement
    assert found["residual-train-average-share-of-gain"].measured == pytest.approx(12 / 16)
    assert found["residual-train-average-at-equal-weights"].measured == pytest.approx(2 / 16)


def test_what_photographs_are_apart_from() -> None:
    assert report_worlds.apart((0.5, 0.4, 0.6), (0.7, 0.65, 0.8))
    assert not report_worlds.apart((0.5, 0.4, 0.6), (0.7, 0.6, 0.8))
    found = {"multi-view data": (0.9, 0.8, 1.0), "Gaussian inputs": (0.2, 0.1, 0.5),
             "photographs": (0.5, 0.4, 0.6)}  # fmt: skip
    assert report_worlds.photographs_side(found) == "multi-view data"
    found["multi-view data"] = (0.5, 0.3, 1.0)
    assert report_worlds.photographs_side(found) == "neither"


def test_tables() -> None:
    of = {
        "photographs": PHOTOGRAPHS,
        "Gaussian inputs": replace(PHOTOGRAPHS, name="Gaussian inputs"),
    }
    students, joint = report_worlds.student_shares(of), report_worlds.joint_shares(of)
    asked = report_worlds.questions(of, students, joint, {})
    first, second, *_ = report_worlds.table(of, asked)
    assert first["photographs"] == "0.250" and str(second["photographs"]).startswith("0.32 [")
    assert not any("apart" in str(cell) for cell in second.values())
    sure = {"photographs": (0.5, 0.4, 0.6), "Gaussian inputs": (0.2, 0.1, 0.3)}
    _, told = report_worlds.table(of, {"a share": sure})
    assert told["photographs"] == "0.50 [0.40, 0.60], apart from Gaussian inputs"
    assert told["Gaussian inputs"] == "0.20 [0.10, 0.30]"
    values = report_worlds.values(asked)
    assert str(values["ensemble-photographs"]).startswith("0.56 [")
    said = {name: float(str(values[f"{name}-gaussian"]).split()[0]) for name in ("beyond", "equal")}
    assert said == pytest.approx({"beyond": 6 / 16, "equal": 2 / 16}, abs=0.0051), "two digits"
    nobody = {"smoothed-gaussian", "ensemble-views", "frozen-removed-photographs"}
    assert {values[name] for name in nobody} == {"(not measured)"}
    *_, last = report_worlds.table(of, asked)
    assert last["photographs"] == "(not measured)"
    of_students = report_worlds.share_table(PHOTOGRAPHS)
    assert [r["who"] for r in of_students][:2] == [
        "student of the ensemble",
        "student of one network",
    ]
    assert of_students[0]["learners"] == 4
    assert str(report_worlds.share_values(PHOTOGRAPHS)["wide"]).startswith("0.62 [")
    (row,) = report_worlds.count_table({100: PHOTOGRAPHS})
    values = report_worlds.count_values({100: PHOTOGRAPHS, 400: PHOTOGRAPHS})
    assert values["first"] == "100" and values["last"] == "400" and values["single-last"] == "25.0%"
    assert str(values["beyond"]).count("[") == 2 and str(values["beyond-last"]).count("[") == 1
    assert row["training images"] == 100 and row["ensemble, %"] == pytest.approx(17)
    assert str(row["training the average"]).startswith("0.75 [")


def test_where_something_is_taught_beyond_labels() -> None:
    one = replace(PHOTOGRAPHS, draws=[{"distilled": np.zeros((1, 9)), "one_hot": np.ones((1, 9))}])
    two = replace(one, draws=[{"distilled": np.zeros((2, 9)), "one_hot": np.ones((1, 9))}])
    above, none, below = (0.5, 0.25, 0.75), (0.04, -0.26, 0.35), (-0.3, -0.4, -0.2)
    by_n = {250: two, 1000: two, 4000: two, 16000: one}
    taught = dict(zip(by_n, (above, above, above, none), strict=True))
    assert report_worlds.beyond_at(by_n, taught) == (
        "it is above 0 at 250, 1,000 and 4,000 images (0.50 [0.25, 0.75], 0.50 [0.25, 0.75], "
        "0.50 [0.25, 0.75]); at 16,000 it is 0.04 [-0.26, 0.35], one student of each kind, not to "
        "be told from none"
    )
    assert report_worlds.beyond_at(by_n, {250: none, 16000: below}) == (
        "at 250 it is 0.04 [-0.26, 0.35], 2 of the ensemble against 1 of one-hot labels, not to be "
        "told from none; at 16,000 it is -0.30 [-0.40, -0.20]"
    )


def test_no_interval_where_one_draw_makes_it_a_point() -> None:
    one = replace(PHOTOGRAPHS, draws=[{"wide": np.array([0.3])}])
    two = replace(one, draws=[*one.draws, *one.draws])
    point = (0.952, 0.951, 0.954)
    assert report_worlds.in_words(report_worlds.settled(one, point, "wide")) == "0.95 (no interval)"
    assert report_worlds.settled(two, point, "wide") == point, "of draws, and narrow"
    wide = (0.5, 0.4, 0.6)
    assert report_worlds.settled(one, wide, "wide") == wide
    assert report_worlds.in_words(wide) == "0.50 [0.40, 0.60]"


def test_at_smoke_scale(smoke_findings: dict[str, Finding]) -> None:
    for slug in ("multi-view", "gaussian", "photographs"):
        finding = smoke_findings[f"worlds-distilled-share-{slug}"]
        assert finding.low <= finding.measured <= finding.high
