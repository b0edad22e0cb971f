"""Inputs that are made anew in every pass instead of stored."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from mvlib.core.checks import BadInput
from mvlib.paper import multi_view_data as distribution
from mvlib.paper.gradient_descent import train
from mvlib.paper.lottery import takeoff_times
from mvlib.paper.multi_view_data import (
    MultiViewParams,
    Sample,
    StreamedPatches,
    feature_vectors,
    sample,
)
from mvlib.paper.network import LearnerParams, init_weights, logits
from mvlib.paper.objectives import CrossEntropy
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, Schedule
from mvlib.studies import one_draw
from mvlib.studies.one_draw import training_set
from mvlib.studies.single_model import SingleModelStudy, run_single_model

# P d = 160: whole groups of 16 numbers, so that blocks may be drawn in parts.
DATA = MultiViewParams(n_classes=3, dim=16, n_patches=10, sparsity=1.5, patches_per_view=2,
                       single_view_fraction=0.1, noise_std=0.1, features="general")  # fmt: skip
LEARNER = LearnerParams(n_neurons=2, init_std=0.2)
N = 620  # blocks of 250, 250 and 120


def pair(params: MultiViewParams, n: int = N, **more: object) -> tuple[Sample, Sample]:
    return (
        sample(params, n, seed=3, name="train", **more),
        sample(params, n, seed=3, name="train", streamed=True, **more),
    )


@pytest.fixture(params=[1 << 24, 160 * 100, 160 * 7, 1])
def in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks drawn whole, in parts of 100, of 7 samples, and one by one."""
    monkeypatch.setattr(distribution, "CHUNK_FLOATS", request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("change", [
    {}, {"dim": 15, "n_patches": 11}, {"feature_noise": 0.2},
    {"n_views": 3, "n_patches": 12, "single_other_strength": 0.3, "feature_noise": 0.2},
])  # fmt: skip
def test_streamed_patches_are_the_stored_ones_bit_for_bit(
    in_parts: None, change: dict, dtype: torch.dtype
) -> None:
    kept, streamed = pair(replace(DATA, **change), dtype=dtype)
    assert isinstance(streamed.patches, StreamedPatches)
    assert streamed.patches.shape == kept.patches.shape and len(streamed.patches) == N
    for size in (33, 1000):
        blocks = list(streamed.patches.split(size))
        assert all(len(block) <= size for block in blocks)
        assert torch.equal(torch.cat(blocks), kept.patches)
    for f in fields(Sample):
        if f.name not in ("patches", "feature_noise", "looks"):
            assert torch.equal(getattr(kept, f.name), getattr(streamed, f.name)), f.name


def test_rows_of_a_streamed_sample_are_stored() -> None:
    kept, streamed = pair(DATA)
    rows = torch.tensor([619, 3, 251, 3])
    part = streamed[rows]
    assert torch.equal(part.patches, kept.patches[rows])
    assert torch.equal(part.labels, kept.labels[rows])
    assert torch.equal(streamed[10:13].patches, kept.patches[10:13])


def test_no_more_than_a_part_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "CHUNK_FLOATS", 160 * 7)
    for block in pair(DATA)[1].patches.split(1000):
        assert block.untyped_storage().nbytes() <= 4 * 160 * 7


def test_training_on_a_stream_is_training_on_the_stored() -> None:
    kept, streamed = pair(DATA, dtype=torch.float64)
    W0 = init_weights([1, 2], LEARNER, n_classes=3, dim=16, dtype=torch.float64)
    schedule = Schedule(step_rule=BoundedRelativeStep(max_step=100.0, relative_change=0.3),
                        stop_rule=FixedSteps(steps=12))  # fmt: skip
    once, again = (
        train(W0, data.patches, data.labels, CrossEntropy(), learner=LEARNER, schedule=schedule)
        for data in (kept, streamed)
    )
    # Sums over blocks of other sizes: rounding of 1e-16, grown over twelve steps of at most 1.3.
    close = dict(rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(once.weights, again.weights, **close)
    torch.testing.assert_close(once.loss, again.loss, **close)
    torch.testing.assert_close(
        logits(once.weights, kept.patches, LEARNER),
        logits(once.weights, streamed.patches, LEARNER), **close,
    )  # fmt: skip


def test_the_lottery_is_foretold_from_a_stream() -> None:
    data = replace(DATA, n_views=3, n_patches=12, single_other_strength=0.3)
    kept, streamed = pair(data, dtype=torch.float64)
    W0 = init_weights([1, 2], LEARNER, n_classes=3, dim=16, dtype=torch.float64)
    views = feature_vectors(data, 3, dtype=torch.float64)
    times = [takeoff_times(W0, views, drawn, LEARNER) for drawn in (kept, streamed)]
    torch.testing.assert_close(times[0], times[1], rtol=1e-12, atol=0)


STUDY = SingleModelStudy(
    data=DATA, learner=LEARNER, n_train=60, n_networks=2, draw=1, n_test_single=20,
    n_test_multi=20, record_every=2, n_watch=5,
    schedule=Schedule(step_rule=BoundedRelativeStep(max_step=100.0, relative_change=0.3),
                      stop_rule=FixedSteps(steps=6)),
)  # fmt: skip


def test_a_study_streams_what_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(training_set(STUDY).patches, torch.Tensor)
    before = run_single_model(STUDY)
    monkeypatch.setattr(one_draw, "STORED_BYTES", 4 * 60 * 160 - 1)
    assert isinstance(training_set(STUDY).patches, StreamedPatches)
    after = run_single_model(STUDY)
    assert before.keys() == after.keys()
    for name, values in before.items():
        # Float32: a few hundred terms of order one added in another order, six steps on.
        np.testing.assert_allclose(after[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_stream_keeps_its_precision() -> None:
    streamed = pair(DATA, n=5)[1]
    assert streamed.to(device="cpu", dtype=torch.float32).patches.dtype == torch.float32
    with pytest.raises(
        BadInput, match=r"dtype \(precision\) = torch.float64 must be torch.float32"
    ):
        streamed.to(device="cpu", dtype=torch.float64)


def test_blocks_drawn_side_by_side_are_the_same() -> None:
    params = MultiViewParams(n_classes=3, dim=16, n_patches=10, sparsity=1.5)
    before = torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found[threads] = sample(params, 1100, seed=1, name="train").patches
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[1], found[3])
