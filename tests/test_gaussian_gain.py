"""The gain of ensembles without views: by hand, and its direction at smoke scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_gaussian import STUDY

from mvlib.claims import gaussian_rows
from mvlib.finding import Finding
from mvlib.gains import gains
from mvlib.gaussian_gain import (
    Row,
    cell_range,
    error_gain,
    errors_removed,
    loss_gain,
    loss_removed,
    multi_view_removed,
    removed_interval,
    variance_share,
)
from mvlib.randomness import stream
from mvlib.results import Arrays
from mvlib.settings import base_study


def cell(single: list[float], ensemble: float, loss: tuple[float, float] = (2.0, 1.0)) -> Arrays:
    """One learner with made-up numbers."""
    n = 50
    return {
        "single_error": np.array([single]),
        "ensemble_error": np.array([ensemble]),
        "single_loss": np.full((1, len(single)), loss[0]),
        "ensemble_loss": np.array([loss[1]]),
        "variance_curve": np.array([[0.5, 0.25]]),
        "output_power": np.array([2.0]),
        "bootstrap_single": np.full((1, n), 0.9),
        "bootstrap_ensemble": np.full((1, n), 0.9),
    }


ROWS: list[Row] = [
    (STUDY, cell([0.1, 0.3], 0.1)),
    (replace(STUDY, draw=4), cell([0.6, 0.6], 0.5, (3.0, 2.5))),
]


def test_by_hand() -> None:
    assert error_gain(ROWS[0][1]).tolist() == pytest.approx([0.1])
    assert loss_gain(ROWS[1][1]).tolist() == pytest.approx([0.5])
    assert variance_share(ROWS[0][1]).tolist() == pytest.approx([0.25])
    # (.1 + .1) of (.2 + .6), not the mean of 1/2 and 1/6; losses (1 + .5) of (2 + 3).
    assert errors_removed(ROWS) == pytest.approx(0.25)
    assert loss_removed(ROWS) == pytest.approx(0.3)
    assert cell_range(ROWS) == pytest.approx((1 / 6, 1 / 2))


def test_resamples_are_shifted_to_what_was_measured() -> None:
    # Within a draw nothing varies here, so only which draws are taken does: 1/2, 1/4 or 1/6.
    assert removed_interval(ROWS) == pytest.approx((1 / 6, 1 / 2))
    assert removed_interval(ROWS[:1]) == pytest.approx((0.5, 0.5))


def test_an_interval_covers_networks_and_inputs() -> None:
    signal = torch.randn(4000, 3, generator=stream(0, "signal"))
    outputs = signal + torch.randn(6, 4000, 3, generator=stream(0, "outputs"))
    labels = signal.argmax(dim=-1)
    arrays = {key: value[None].numpy() for key, value in gains(outputs, labels).items()}
    low, high = removed_interval([(STUDY, arrays)])
    assert low < errors_removed([(STUDY, arrays)]) < high
    # A resample of six networks holds two to six different ones: wide, but it says something.
    assert high - low < 0.3


def test_on_multi_view_data() -> None:
    study = base_study("smoke")
    draw = {
        "single_error": np.array([0.4, 0.2]),
        "multi_error": np.zeros(2),
        "ensemble_single_error": np.array(0.03),
        "ensemble_multi_error": np.array(0.0),
    }
    assert multi_view_removed(study, [draw]) == pytest.approx(0.9)


def test_direction(
    smoke_families: dict[str, list[Arrays]], smoke_findings: dict[str, Finding]
) -> None:
    rows = gaussian_rows("smoke", smoke_families["gaussian"])
    finding = smoke_findings["gaussian-ensemble-gain"]
    assert finding.low < finding.measured < finding.high
    # Less of the error goes than on multi-view data; more of the cross-entropy than nothing.
    multi_view = multi_view_removed(base_study("smoke"), smoke_families["single-model"])
    assert finding.high < multi_view
    assert f"{multi_view:.3f}" in finding.caveat
    assert all((loss_gain(a) > 0).all() for _, a in rows)
    for _, a in rows:
        clean = not a["flipped"]
        assert a["train_error"].max() < (0.05 if clean else 0.15)
    # Averages of two vary half as much as one network: with four networks, over all cells.
    curves = np.concatenate([a["variance_curve"] for _, a in rows])
    assert (curves[:, 1] / curves[:, 0]).mean() == pytest.approx(0.5, abs=0.15)
