"""The gain of ensembles without views: by hand, and its direction at smoke scale."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mvlib.core.randomness import stream
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import base_study
from mvlib.findings.finding import Finding
from mvlib.findings.gaussian import (
    Row,
    gain,
    gaussian_ensemble_gain,
    multi_view_removed,
    removed,
    removed_by_votes,
    removed_interval,
    second_right,
    variance_share,
)
from mvlib.store.entries import Arrays
from mvlib.studies.gaussian import gains

STUDY: Any = replace(experiments("smoke", "gaussian")[0].study, n_networks=2, draw=3)
# Networks that err on .3 on average and all together on .03 of multi-view data.
MULTI_VIEW = {
    "single_error": np.array([0.4, 0.2]),
    "multi_error": np.zeros(2),
    "ensemble_single_error": np.array(0.03),
    "ensemble_multi_error": np.array(0.0),
}


def cell(
    single: list[float],
    ensemble: float,
    agreement: list[int],
    known: list[int],
    loss: tuple[float, float] = (2.0, 1.0),
) -> Arrays:
    """One learner with made-up numbers."""
    return {
        "single_error": np.array([single]),
        "ensemble_error": np.array([ensemble]),
        "single_loss": np.full((1, len(single)), loss[0]),
        "ensemble_loss": np.array([loss[1]]),
        "variance_curve": np.array([[0.5, 0.25]]),
        "output_power": np.array([2.0]),
        # Two networks: right on an input are neither, one or both.
        "agreement": np.array([agreement]),
        "agreement_ensemble": np.array([known]),
    }


ROWS: list[Row] = [
    (STUDY, cell([0.1, 0.3], 0.1, [100, 200, 700], [0, 200, 700])),
    (replace(STUDY, draw=4), cell([0.6, 0.6], 0.5, [500, 200, 300], [0, 200, 300], (3.0, 2.5))),
]


def test_by_hand() -> None:
    assert gain(ROWS[0][1]).tolist() == pytest.approx([0.1])
    assert gain(ROWS[1][1], "loss").tolist() == pytest.approx([0.5])
    assert variance_share(ROWS[0][1]).tolist() == pytest.approx([0.25])
    # (.1 + .1) of (.2 + .6), not the mean of 1/2 and 1/6; losses (1 + .5) of (2 + 3).
    assert removed(ROWS) == pytest.approx(0.25)
    assert removed(ROWS, "loss") == pytest.approx(0.3)
    finding = gaussian_ensemble_gain(ROWS, base_study("smoke"), [MULTI_VIEW])
    assert finding.measured == pytest.approx(0.25) and finding.turn == pytest.approx(0.45)
    assert finding.n == 4 and "between 0.17 and 0.50 of their errors" in finding.caveat


def test_how_much_is_scatter() -> None:
    # Three networks; c right on so many inputs.  Of 3 * 2 + 2 * 4 + 1 * 6 = 20 errors, beside those
    # on inputs that one of the others knows half are beside a right one, and those that both know.
    assert second_right(np.array([2, 4, 6, 9])) == pytest.approx((8 * 0.5 + 6) / 20)
    assert second_right(np.array([5, 0, 0, 5])) == 0


def test_votes_by_simulation() -> None:
    # Chances that are Beta(.5, 2): mean .2, and E q^2 / E q = 1.5 / 3.5.
    rng = np.random.default_rng(0)
    q = rng.beta(0.5, 2, 400_000)
    error, scatter = q.mean(), 1 - (q**2).mean() / q.mean()
    assert scatter == pytest.approx(2 / 3.5, abs=0.005)
    many = 1 - (q > 0.5).mean() / error
    # A share of .1 in 400,000: .0005; over .2, four times.
    assert removed_by_votes(0.2, 2 / 3.5) == pytest.approx(many, abs=0.01)
    # Errors that all share stay; coins that are alike for all inputs are outvoted below one half.
    assert removed_by_votes(0.2, 1e-9) == pytest.approx(0, abs=1e-6)
    assert removed_by_votes(0.2, 0.8) == pytest.approx(1) and removed_by_votes(0.5, 0.5) < 1e-6


def test_an_interval_is_of_the_ensembles_that_were_trained() -> None:
    # One draw: a single network errs on .2, the average on .1, and gains on the 200 inputs that one
    # of the two networks knows.  Of 1000 inputs, gain / error = (b / 2) / (a + b / 2) with a on
    # which none is right, b on which one is: by the delta method its deviation is
    # sqrt(ab (a + b)) / (2 (a + b / 2)^2) = .0306.
    low, high = removed_interval(ROWS[:1])
    a, b = 100, 200
    half = 1.96 * np.sqrt(a * b * (a + b)) / (2 * (a + b / 2) ** 2)
    # 4000 resamples know either end to about .04 of a deviation; the ratio is a little skewed.
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.01)


def test_an_interval_covers_draws() -> None:
    # Draws of 1/2 and 1/6: a quarter of resamples are the first alone, a quarter the second.
    low, high = removed_interval(ROWS)
    assert low < 1 / 6 + 0.02 and high > 1 / 2 - 0.02
    assert low < removed(ROWS) < high


def test_the_counts_are_those_of_the_errors() -> None:
    signal = torch.randn(4000, 3, generator=stream(0, "signal"))
    outputs = signal + torch.randn(6, 4000, 3, generator=stream(0, "outputs"))
    labels = signal.argmax(dim=-1)
    arrays = {key: value[None].numpy() for key, value in gains(outputs, labels).items()}
    found = removed_interval([(STUDY, arrays)])
    # The inputs themselves, resampled: of single networks and of their average the same.
    single = (outputs.argmax(dim=-1) != labels).double().mean(dim=0).numpy()
    together = (outputs.mean(dim=0).argmax(dim=-1) != labels).double().numpy()
    drawn = np.random.default_rng(0).integers(0, 4000, (2000, 4000))
    ratios = 1 - together[drawn].mean(axis=1) / single[drawn].mean(axis=1)
    # A 2.5% quantile of N resamples is known to .155 / .0585 / sqrt(N) deviations, .073 for 2000
    # beside 4000: four times.
    expected = np.quantile(ratios, [0.025, 0.975])
    assert found == pytest.approx(tuple(expected), abs=0.29 * ratios.std())


def test_on_multi_view_data() -> None:
    assert multi_view_removed(base_study("smoke"), [MULTI_VIEW]) == pytest.approx(0.9)


def test_direction(
    smoke_families: dict[str, list[Arrays]], smoke_findings: dict[str, Finding]
) -> None:
    rows = smoke_families["gaussian"]
    finding = smoke_findings["gaussian-ensemble-gain"]
    assert finding.low < finding.measured < finding.high
    # Less of the error goes than on multi-view data; more of the cross-entropy than nothing.
    multi_view = multi_view_removed(base_study("smoke"), smoke_families["single-model"])
    assert finding.high < multi_view
    assert f"{multi_view:.3f}" in finding.caveat
    assert all((gain(a, "loss") > 0).all() for a in rows)
    for a in rows:
        clean = not a["flipped"]
        assert a["train_error"].max() < (0.05 if clean else 0.15)
    # Averages of two vary half as much as one network: over all cells, four standard errors.
    curves = np.concatenate([a["variance_curve"] for a in rows])
    ratios = curves[:, 1] / curves[:, 0]
    assert ratios.mean() == pytest.approx(0.5, abs=4 * ratios.std(ddof=1) / np.sqrt(len(ratios)))
