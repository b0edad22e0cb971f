"""What the book says of how far the story holds, and its settings; arrays are worked by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toys import TEACHER

from mvlib.experiments.robustness import (
    ROBUSTNESS_SIZES,
    four_features,
    robustness_families,
    small_base,
)
from mvlib.findings import report_robustness, robustness
from mvlib.findings.finding import Finding
from mvlib.paper.activation import RoundedReLU, SmoothedReLU
from mvlib.paper.multi_view_data import sample
from mvlib.store.entries import Arrays

# Two networks of two classes: views 1 and 2; both and view 2.
DRAW: Arrays = {
    "correlations": np.array([[[1, 0.1], [0.2, 2]], [[1, 0.5], [0.1, 1]]]),
    "predicted_winner": np.array([[0, 1], [1, 0]]),
    "single_error": np.array([0.2, 0.4]),
    "multi_error": np.array([0.0, 0.1]),
    "ensemble_single_error": np.array(0.1),
    "ensemble_multi_error": np.array(0.0),
    "fitted": np.array([True, False]),
    "class_error": np.array([[[0.0, 0.9], [0.6, 0.1]], [[0.1, 0.4], [0.5, 0.0]]]),
    "size_curve": np.array([[0.2, 0.4], [0.1, np.nan]]),
}
FOUR = replace(four_features("smoke"), n_networks=2, n_test_single=100, n_test_multi=200)
STUDY = replace(TEACHER, n_test_single=50, n_test_multi=100)  # mu = 0.1


def family(*pairs: tuple[str, Any, Arrays]) -> Any:
    return [(SimpleNamespace(label=label, study=study), a) for label, study, a in pairs]


# ---------------------------------------------------------------- settings


def test_four_features_are_those_of_the_text() -> None:
    for rivals in (1, 2):
        data = four_features("smoke", rivals=rivals).data
        drawn = sample(data, 4000, seed=5, name="law", streamed=True)
        rows = np.arange(4000)
        own = drawn.strengths.numpy()[rows, drawn.labels.numpy()]
        other = drawn.strengths.numpy()[rows, 1 - drawn.labels.numpy()]
        shows = own == 1
        # Balanced: 80% exactly; which feature the rest shows is a coin.
        assert shows.all(axis=1).mean() == 0.8
        for one in (0, 1):
            alone = shows[:, one] & ~shows[:, 1 - one]
            assert alone.mean() == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 4000))
        assert own[~shows].max() == pytest.approx(0.001)
        assert other[other > 0] == pytest.approx(0.1)
        # A coin for each of two rivals, or both.
        assert (other > 0).mean() == pytest.approx(rivals / 2, abs=4 * math.sqrt(0.25 / 8000))


@pytest.mark.parametrize("scale", ["smoke", "book", "paper"])
def test_one_thing_varies_at_a_time(scale: Any) -> None:
    made, base, size = robustness_families(scale), small_base(scale), ROBUSTNESS_SIZES[scale]
    assert base == made["views"]["V = 2, draw 10"]
    for V in (2, 3, 4):
        data = made["views"][f"V = {V}, draw 10"].data
        together = V * data.single_other_strength
        assert together == pytest.approx(2 * base.data.single_other_strength)
        assert data.overflow == "forbid"  # room for all of them
    for label, study in made["levers"].items():
        lever, value = label.split(" = ")
        parts = [study.data, study.learner, study.schedule]
        changed = [p for p, q in zip(parts, [base.data, base.learner, base.schedule], strict=True)
                   if p != q]  # fmt: skip
        assert len(changed) == 1, label
        if lever != "smoothing":
            assert str(getattr(changed[0], lever)) == value
            assert replace(changed[0], **{lever: getattr(_of(base, changed[0]), lever)}) in (
                base.data, base.learner, base.schedule
            )  # fmt: skip
    smooth, other = base.learner.nonlinearity, made["levers"]["smoothing = rounded"].learner
    assert isinstance(smooth, SmoothedReLU)
    assert other.activation == RoundedReLU(smooth.power, smooth.threshold)
    assert robustness.TOLD in size.ratios


def _of(study: Any, part: Any) -> Any:
    return next(p for p in (study.data, study.learner, study.schedule) if type(p) is type(part))


# ---------------------------------------------------------------- findings


def test_four_features_as_findings() -> None:
    one = robustness.four_features_single(FOUR, [DRAW, DRAW])
    # 0.2 of single-view errors of 0.2 and 0.4, and 0.8 of multi-view errors of 0 and 0.1.
    assert one.measured == pytest.approx((0.04 + 0.16) / 2) and one.n == 4
    # 3 of 8 features are missing, seen in half of the single-view inputs: 0.2 * 3/8 * 1/2.
    assert (
        "0.375 of the features are missing" in one.caveat
        and f": {0.2 * 3 / 8 * 0.5:.3f}." in one.caveat
    )
    together = robustness.four_features_ensemble(FOUR, [DRAW])
    assert together.measured == pytest.approx(0.02) and together.n == 300
    # One ensemble and no multi-view error: a binomial share of 100 inputs, times 0.2; the sampling
    # error of a quantile of 4000 resamples is a step of one input or two.
    assert together.low == pytest.approx(0.2 * 0.04, abs=0.2 * 0.02)
    assert together.high == pytest.approx(0.2 * 0.16, abs=0.2 * 0.02)
    assert one.low <= one.measured <= one.high


def test_more_views() -> None:
    three = replace(STUDY, data=replace(
        STUDY.data, n_views=3, dim=40, n_patches=12, single_other_strength=0.3
    ))  # fmt: skip
    found = robustness.views_error(three, [DRAW])
    assert found.predicted == pytest.approx(2 / 3) and found.turn == 0.5
    assert found.measured == pytest.approx((0.2 + 0.4 + 9 * 0.1) / 2)  # (1 - mu) / mu = 9


def test_flips() -> None:
    assert robustness.flipped(DRAW).tolist() == [[False, True], [False, True]]
    assert robustness.flipped(DRAW, "predicted_winner").tolist() == [[False, True], [True, False]]
    study = replace(STUDY, data=replace(STUDY.data, view_scale=(1.25, 1.0), noise_std=0.2))
    found = robustness.flips(study, DRAW)
    assert found.measured == 0.5 and found.n == 4 and "foretells 0.500" in found.caveat
    # Alike they win alike; a stronger one wins more.
    assert robustness.law_of_flips(study, 1.0) == pytest.approx(0.5, abs=0.01)
    assert (
        found.predicted
        == robustness.law_of_flips(study, 1.25)
        > robustness.law_of_flips(study, 2.0)
    )
    # Noise lifts both views alike and leaves strength to decide.
    assert found.predicted < robustness.law_of_flips(study, 1.25, noise=False) < 0.5


def test_the_claims_are_told(smoke_findings: dict[str, Finding]) -> None:
    names = ("four-features-single", "four-features-ensemble", "views-error", "flips")
    assert [c for c in smoke_findings if c in names] == [*names]
    assert smoke_findings["views-error"].predicted == 0.75
    # Null: as many errors as a network that knows nothing of single-view inputs.
    assert (
        smoke_findings["four-features-ensemble"].high < smoke_findings["four-features-single"].low
    )


# ---------------------------------------------------------------- the report


def test_four_table() -> None:
    networks = family(("one rival, draw 10", FOUR, DRAW), ("both rivals, draw 10", FOUR, DRAW))
    taught = SimpleNamespace(base=FOUR)
    told = family(("labels, draw 10", taught, DRAW), ("average, draw 10", taught, DRAW))
    rows = report_robustness.four_table(networks, told)
    assert [row["learner"] for row in rows] == [
        "one network", "the average", "one network, both rivals", "the average, both rivals",
        "a student on hard labels", "a student of the average",
    ]  # fmt: skip
    # 2 and 3 features; 1 or more networks know views 1, 2 of class 0 and view 2 of class 1.
    assert rows[0]["features of 4"] == 2.5 and rows[1]["features of 4"] == 3
    assert rows[1]["multi-view error"] == 0 and rows[1]["single-view error"] == pytest.approx(0.1)
    assert str(rows[0]["test error [95%]"]).startswith("0.1000 [")


def test_four_outputs() -> None:
    drawn = sample(FOUR.data, FOUR.n_train, seed=FOUR.draw, name="train", streamed=True)
    k, views = 2, DRAW["correlations"] >= 0.3 * DRAW["correlations"].max(axis=-1, keepdims=True)
    F = np.zeros((2, FOUR.n_train, k))
    for r in range(2):
        for n in range(FOUR.n_train):
            y = int(drawn.labels[n])
            seen = [l for l in (0, 1) if drawn.strengths[n, 1 - y, l] > 0]
            F[r, n, y] = 4.0
            F[r, n, 1 - y] = 0.1 + sum(0.3 for l in seen if views[r, 1 - y, l])
    rows = report_robustness.four_outputs(family(("one rival", FOUR, DRAW | {"train_outputs": F})))
    knows, not_, average, none = [row["other class"] for row in rows]
    assert (knows, not_, none) == (pytest.approx(0.2), pytest.approx(0.05), pytest.approx(0.05))
    assert 0.05 < average < 0.2 and all(row["own class"] == 2 for row in rows)


def test_views_and_flips_in_rows() -> None:
    three = replace(STUDY, data=replace(
        STUDY.data, n_views=3, dim=40, n_patches=12, single_other_strength=0.3
    ))  # fmt: skip
    views = family(("V = 2, draw 10", STUDY, DRAW), ("V = 3, draw 10", three, DRAW))
    curves = report_robustness.views_curves(views)
    assert list(curves) == [2, 3] and curves[3][1] == [pytest.approx(0.1)]
    rows = report_robustness.views_table(views)
    assert [row["by chance, (1 - 1/V)^L"] for row in rows] == [0.25, pytest.approx(4 / 9)]
    assert rows[0]["networks that fit"] == "1 of 2" and rows[0]["winner foretold"] == 0.5
    assert rows[0]["views that nobody knows"] == 0.25  # the first of the second class

    stronger = family(*(
        (f"ratio {r}", replace(STUDY, data=replace(STUDY.data, view_scale=(r, 1.0))), DRAW)
        for r in (1.0, 1.25)
    ))  # fmt: skip
    assert [row["measured"] for row in report_robustness.flip_rows(stronger)] == [0.5, 0.5]
    ratios, laws = report_robustness.law_curves(stronger)
    assert ratios[[0, -1]].tolist() == [1, 1.25]
    assert len(laws) == 2 and all((np.diff(law) < 0).all() for law in laws.values())
    table = report_robustness.flip_table(stronger)
    assert table[1]["strength of view 1 over view 2"] == "1.25"
    assert str(table[1]["weaker view wins [95%]"]).startswith("0.500 [")


def test_first_networks_alone() -> None:
    three = DRAW | {
        "fitted": np.array([True, False, True]), "single_error": np.array([0.2, 0.4, 0.6]),
        "size_curve": np.array([[0.2, 0.4, 0.6], [0.1, 0.3, 0.5], [0.0, np.nan, np.nan]]),
    }  # fmt: skip
    alone = report_robustness.first_networks(three, 2)
    assert alone["single_error"].tolist() == [0.2, 0.4] and alone["fitted"].tolist() == [1, 0]
    # All three pairs were tried, the first two networks' first; of two pairs that is not known.
    assert alone["ensemble_single_error"] == 0.1
    some = report_robustness.first_networks(three | {"size_curve": three["size_curve"][:, :2]}, 2)
    assert some["ensemble_single_error"] == pytest.approx(0.2)
    assert report_robustness.nobody_knows([DRAW]) == 0.25


def test_levers_in_order() -> None:
    better = DRAW | {"single_error": np.array([0.1, 0.1])}
    levers = family(
        ("n_neurons = 2", STUDY, better), ("n_neurons = 10", STUDY, DRAW),
        ("weight_decay = 1e-06", STUDY, DRAW), ("smoothing = rounded", STUDY, better),
    )  # fmt: skip
    rows = report_robustness.lever_rows(levers, (STUDY, DRAW))  # m = 3
    assert [(lever, value) for lever, value, _ in rows] == [
        ("n_neurons", "2"), ("n_neurons", "3"), ("n_neurons", "10"),
        ("weight_decay", "0"), ("weight_decay", "1e-06"),
        ("smoothing", "Def. 3.4"), ("smoothing", "rounded"),
    ]  # fmt: skip
    # Class 0 of the second network alone has errors below a half on both views.
    assert report_robustness.answered(DRAW).tolist() == [[False, False], [True, False]]
    curves = report_robustness.lever_curves(rows)
    assert curves["n_neurons"]["values"] == ["2", "3", "10"]
    assert curves["smoothing"]["single"][1].tolist() == [0.1, 0.1]
    assert curves["weight_decay"]["both"] == [0.25, 0.25]
    row = report_robustness.lever_table(rows)[0]
    assert row["single-view error"] == pytest.approx(0.1) and row["value"] == "2"
    assert row["both views, by weights"] == 0.25 and row["both views, by answers"] == 0.25
