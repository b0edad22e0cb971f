"""Inputs without views: their law, their labels, and what averaging changes, by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from shapes import unchecked
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.core.intervals import wilson_interval
from mvlib.core.randomness import stream
from mvlib.deep.networks import Architecture
from mvlib.deep.optimisers import Adam, Plan
from mvlib.experiments.gaussian import (
    CONDITIONS,
    GRID_SIZES,
    LABELS,
    LEARNERS,
    condition_name,
    gaussian_families,
    inputs_name,
)
from mvlib.experiments.settings import SCALES, Scale
from mvlib.store.kinds import kind_of
from mvlib.studies.gaussian import (
    TARGETS,
    GaussianData,
    GaussianStudy,
    agreement,
    both_sets,
    disagreement,
    gains,
    gaussian_flops,
    labelled,
    labeller,
    lesson,
    paired_bootstrap,
    run_gaussian,
    top_gap,
    variance_curve,
    with_noise,
)
from mvlib.studies.gaussian_kernels import GaussianKernelStudy, run_gaussian_kernels

DATA = GaussianData(dim=6, positions=3, n_classes=3, n_clusters=4, cluster_norm=5.0,
                    labels=Architecture(kind="fully connected", width=8, depth=1),
                    label_noise=0.2, margin=0.25)  # fmt: skip
STUDY = GaussianStudy(
    data=DATA, learners=(Architecture(kind="fully connected", width=16, depth=1),
                         Architecture(kind="convolutional", width=4, depth=1)),
    plan=Plan(optimiser=Adam(), learning_rate=0.02, epochs=5, batch_size=20),
    n_train=60, n_networks=3, draw=3, n_test=300,
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    return run_gaussian(STUDY)


def of(means: Tensor, X: Tensor) -> Tensor:
    return torch.cdist(X, means).argmin(dim=1)


# ---------------------------------------------------------------- data


def test_one_gaussian() -> None:
    function = labeller(replace(DATA, n_clusters=1, margin=0.0), 0)
    X, _ = labelled(function, 20000, 0, "test")
    assert not function.means.any() and function.least_gap == 0
    # 20000 inputs: a mean is known to .0071, a variance to .01, a covariance to .0071; five times.
    assert X.mean(dim=0).abs().max() < 0.036
    assert (X.T.cov() - torch.eye(6)).abs().max() < 0.05


def test_a_mixture() -> None:
    far = replace(DATA, cluster_norm=40.0, margin=0.0)
    function = labeller(far, 0)
    X, _ = labelled(function, 4000, 0, "test")
    assert function.means.norm(dim=1).tolist() == pytest.approx([40.0] * 4)
    nearest = of(function.means, X)
    for cluster in range(4):
        # Four counts in 4000: 95% / 4 corrected, so level .9876.
        low, high = wilson_interval(int((nearest == cluster).sum()), 4000, level=0.9876)
        assert low < 0.25 < high
    spread = X - function.means[nearest]
    assert spread.mean(dim=0).abs().max() < 5 / math.sqrt(4000)
    assert spread.std(dim=0).tolist() == pytest.approx([1.0] * 6, rel=0.06)  # five of 1/sqrt(2n)


@pytest.mark.parametrize("labels", LABELS, ids=lambda form: form.kind)
def test_labels_are_the_largest_standardised_output(labels: Architecture) -> None:
    data = replace(DATA, labels=labels, margin=0.0)
    function = labeller(data, 1)
    X, y = labelled(function, 6000, 1, "test")
    scores = function.scores(X)
    assert torch.equal(scores.argmax(dim=1), y)
    # Means are known to .007 from the 20000 inputs of the calibration and to .013 from these: five
    # times both is .075.  A deviation is to sqrt((kurtosis - 1) / 4n), .5% and .9% for a Gaussian,
    # twice that for the longer tails of a network: five times both is .1.
    assert scores.mean(dim=0).abs().max() < 0.075
    assert scores.std(dim=0).tolist() == pytest.approx([1.0] * 3, rel=0.1)
    assert torch.bincount(y, minlength=3).min() > 0.1 * len(y)


def test_a_linear_label_by_hand() -> None:
    data = replace(DATA, labels=LABELS[0], margin=0.0)
    function = labeller(data, 0)
    X, y = labelled(function, 5, 0, "test")
    A = function.weights["readout.weight"][0]  # offsets start at 0
    raw = np.array([[sum(float(A[i, j] * x[j]) for j in range(6)) for i in range(3)] for x in X])
    scores = (raw - function.centre.numpy()) / function.scale.numpy()
    assert scores == pytest.approx(function.scores(X).numpy(), abs=1e-5)  # float32 sums
    assert scores.argmax(axis=1).tolist() == y.tolist()


def test_margin_excludes() -> None:
    function, free = labeller(DATA, 0), labeller(replace(DATA, margin=0.0), 0)
    X, y = labelled(function, 3000, 0, "test")
    assert function.least_gap > 0
    assert top_gap(function.scores(X)).min() >= function.least_gap
    # What is left is the same stream of inputs without those near a tie, a quarter of them.
    every, labels = labelled(free, 3000, 0, "test")
    keeps = top_gap(free.scores(every)) >= function.least_gap
    low, high = wilson_interval(int((~keeps).sum()), 3000, level=0.9973)
    assert low < 0.25 < high
    n = int(keeps.sum())
    assert torch.equal(X[:n], every[keeps]) and torch.equal(y[:n], labels[keeps])


def test_top_gap_by_hand() -> None:
    scores = torch.tensor([[1.0, 4.0, 2.5], [3.0, 3.0, 0.0]])
    assert top_gap(scores).tolist() == [1.5, 0.0]


def test_label_noise() -> None:
    y = torch.arange(5000) % 4
    noisy = with_noise(y, 0.3, 4, stream(0, "label noise"))
    low, high = wilson_interval(int((noisy != y).sum()), 5000, level=0.9973)
    assert low < 0.3 < high
    moved = (noisy - y)[noisy != y] % 4
    for other in (1, 2, 3):  # each other class as likely; three counts, three deviations
        low, high = wilson_interval(int((moved == other).sum()), len(moved), level=0.9973)
        assert low < 1 / 3 < high
    assert torch.equal(with_noise(y, 0.0, 4, stream(0, "label noise")), y)


def test_a_larger_set_only_appends() -> None:
    function = labeller(DATA, 0)
    few, many = labelled(function, 10, 0, "train"), labelled(function, 9000, 0, "train")
    assert torch.equal(few[0], many[0][:10]) and torch.equal(few[1], many[1][:10])
    other = labelled(function, 10, 0, "test")
    assert not torch.equal(few[0], other[0])


# ---------------------------------------------------------------- what averaging changes

F = torch.tensor([
    [[2.0, 0.0], [0.0, 4.0], [1.0, 0.0], [0.0, 1.0]],
    [[0.0, 1.0], [1.0, 0.0], [3.0, 0.0], [0.0, 1.0]],
])  # fmt: skip
Y = torch.tensor([0, 1, 0, 0])
# right: network 0 on inputs 0, 1, 2; network 1 on input 2; their average on 0, 1, 2.


def test_gains_by_hand() -> None:
    found = gains(F, Y)
    assert found["single_error"].tolist() == [0.25, 0.75]
    assert float(found["ensemble_error"]) == 0.25
    assert found["size_curve"].tolist() == [0.5, 0.25]
    assert float(found["disagreement"]) == 0.5
    assert found["agreement"].tolist() == [1, 2, 1]
    assert found["agreement_ensemble"].tolist() == [0, 2, 1]
    # cross-entropy of network 0: log(1 + e^-gap) at gaps 2, 4, 1, -1
    loss = np.mean([math.log1p(math.exp(-g)) for g in (2, 4, 1, -1)])
    assert float(found["single_loss"][0]) == pytest.approx(loss)
    mean = np.mean([math.log1p(math.exp(-g)) for g in (0.5, 1.5, 2, -1)])
    assert float(found["ensemble_loss"]) == pytest.approx(mean)
    # Centred outputs are half the gaps, up to sign: 1, -2, .5, -.5 against -.5, .5, 1.5, -.5.
    variance = np.mean([1.5**2, 2.5**2, 1.0**2, 0.0]) / 2
    assert found["variance_curve"].tolist() == pytest.approx([variance])
    power = (1 + 4 + 0.25 + 0.25 + 0.25 + 0.25 + 2.25 + 0.25) / 8
    assert float(found["output_power"]) == pytest.approx(power)


def test_the_average_never_has_the_larger_cross_entropy() -> None:
    outputs = torch.randn(6, 200, 4, generator=stream(0, "outputs"))
    labels = torch.randint(0, 4, (200,), generator=stream(0, "labels"))
    found = gains(outputs, labels)
    assert float(found["ensemble_loss"]) <= float(found["single_loss"].mean())
    assert len(found["variance_curve"]) == 3
    # Independent outputs: the variance falls like 1 / K.  6, 3 and 2 averages of 200 inputs, less
    # their mean, in 4 classes, less theirs, are 3000, 1200 and 600 squares: sqrt(2 / n), four of
    # it.
    for K, squares in ((1, 3000), (2, 1200), (3, 600)):
        expected = pytest.approx(3 / 4 / K, rel=4 * math.sqrt(2 / squares))
        assert float(found["variance_curve"][K - 1]) == expected
    # A constant for all classes changes nothing.
    shifted = gains(outputs + torch.arange(6.0)[:, None, None], labels)
    assert torch.allclose(found["variance_curve"], shifted["variance_curve"], rtol=1e-4)
    assert torch.equal(found["agreement"], shifted["agreement"])


def test_disagreement_against_a_loop() -> None:
    outputs = torch.randn(5, 40, 3, generator=stream(1, "outputs"))
    answers = outputs.argmax(dim=-1)
    pairs = [(answers[i] != answers[j]).float().mean() for i in range(5) for j in range(i)]
    assert float(disagreement(outputs)) == pytest.approx(float(torch.stack(pairs).mean()))
    one = outputs[:1].repeat(3, 1, 1)
    assert float(disagreement(one)) == 0 and not variance_curve(one).any()


def test_agreement_counts_every_input_once() -> None:
    outputs = torch.randn(5, 40, 3, generator=stream(1, "outputs"))
    labels = torch.randint(0, 3, (40,), generator=stream(1, "labels"))
    every, known = agreement(outputs, labels)
    assert int(every.sum()) == 40 and bool((known <= every).all())
    assert int(known.sum()) == int((outputs.mean(dim=0).argmax(dim=-1) == labels).sum())


def test_paired_bootstrap() -> None:
    outputs = torch.randn(4, 50, 3, generator=stream(1, "outputs"))
    labels = torch.randint(0, 3, (50,), generator=stream(1, "labels"))
    single, together = paired_bootstrap(outputs, labels, seed=0)
    again = paired_bootstrap(outputs, labels, seed=0)
    assert torch.equal(single, again[0]) and torch.equal(together, again[1])
    # Four equal networks: a resampled ensemble is any of them, on the same inputs.
    one = outputs[:1].repeat(4, 1, 1)
    single, together = paired_bootstrap(one, labels, seed=0)
    assert torch.allclose(single, together) and float(single.std()) > 0


# ---------------------------------------------------------------- the study


def test_shapes_and_ranges(found: dict[str, np.ndarray]) -> None:
    shapes = {key: array.shape for key, array in found.items()}
    assert shapes["single_error"] == shapes["single_loss"] == shapes["train_error"] == (2, 3)
    assert shapes["ensemble_error"] == shapes["ensemble_loss"] == shapes["output_power"] == (2,)
    assert shapes["size_curve"] == (2, 3) and shapes["agreement"] == (2, 4)
    assert shapes["class_share"] == (3,) and shapes["flipped"] == ()
    assert all(np.isfinite(array).all() for array in found.values())
    assert found["class_share"].sum() == pytest.approx(1)
    assert (found["agreement"].sum(axis=1) == STUDY.n_test).all()
    low, high = wilson_interval(round(float(found["flipped"]) * 60), 60)
    assert low < 0.2 < high
    assert (found["ensemble_loss"] <= found["single_loss"].mean(axis=1) + 1e-6).all()


def test_learners_and_networks_do_not_mind_each_other(found: dict[str, np.ndarray]) -> None:
    alone = run_gaussian(replace(STUDY, learners=STUDY.learners[1:], n_networks=2))
    for name in ("train_error", "single_error", "single_loss"):
        # Two networks or three in a matrix product: float32 may round another way in 15 steps.  An
        # input at a boundary would be 1/60 of an error, and there is none.
        assert alone[name][0] == pytest.approx(found[name][1, :2], rel=1e-4), name
    assert alone["flipped"] == found["flipped"]


def test_test_labels_are_clean() -> None:
    clean, noisy = (
        run_gaussian(replace(STUDY, data=replace(DATA, label_noise=eta))) for eta in (0.0, 0.6)
    )
    assert clean["flipped"] == 0 < noisy["flipped"]
    assert np.array_equal(clean["class_share"], noisy["class_share"])


def test_progress_counts_all_learners() -> None:
    told: list[int] = []
    run_gaussian(STUDY, progress=lambda step, share: told.append(step))
    assert told == [3 * epoch for epoch in range(1, 11)]
    assert kind_of(STUDY).steps(STUDY) == told[-1] == 30


def test_students_and_averages(found: dict[str, np.ndarray]) -> None:
    study = replace(STUDY, students=TARGETS, averages=2)
    told: list[int] = []
    taught = run_gaussian(study, progress=lambda step, share: told.append(step))
    assert told[-1] == kind_of(study).steps(study) == 15 * (2 + len(TARGETS) + 1)
    for name, values in found.items():
        assert np.array_equal(taught[name], values), "what stands beside them stays as it is"
    assert taught["wrong"].mean(axis=2) == pytest.approx(found["single_error"], abs=1e-6)
    assert taught["ensemble_wrong"].mean(axis=1) == pytest.approx(found["ensemble_error"], abs=1e-6)
    assert taught["together_wrong"].shape == (2, 300)
    shapes = {taught[f"{target}_wrong"].shape for target in TARGETS}
    assert shapes == {(3, 300)}
    # One target alone, or fewer averages: the same students, the same first average (see above).
    alone = run_gaussian(replace(study, students=("smoothed",), averages=1))
    assert np.array_equal(alone["smoothed_wrong"], taught["smoothed_wrong"])
    assert np.abs(alone["together_wrong"][0] ^ taught["together_wrong"][0]).mean() < 0.02


def test_lessons_by_hand() -> None:
    study = replace(STUDY, temperature=2.0)
    G, y = torch.tensor([[2.0, 0, 0], [0, 4, 2], [1, 3, 0]]), torch.tensor([0, 1, 1])
    soft, loss = lesson(study, torch.stack([G + 1, G - 1]), y, "average")
    assert soft[1].tolist() == pytest.approx(
        [math.exp(i) / (1 + math.e + math.e**2) for i in (0, 2, 1)]
    )
    # Labels score (2 + 4 + 3) / 3, others (0 + 0 + 0 + 2 + 1 + 0) / 6.
    smoothed, _ = lesson(study, G[None], y, "smoothed")
    assert smoothed[0].tolist() == pytest.approx(
        torch.tensor([3, 0.5, 0.5]).div(2).softmax(0).tolist()
    )
    one_hot, _ = lesson(study, G[None], y, "one-hot")
    assert one_hot.tolist() == pytest.approx(torch.eye(3)[y].numpy())
    F = torch.zeros(1, 3, 3)
    assert float(loss(F, soft[None])) == pytest.approx(4 * math.log(3)), "T^2, of a uniform answer"


def test_each_student_has_its_own_teacher() -> None:
    study = replace(STUDY, temperature=2.0)
    G, y = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)), torch.arange(5) % 3
    soft, loss = lesson(study, G, y, "each")
    F, rows = torch.zeros(2, 3, 3), torch.tensor([[0, 3, 4], [1, 2, 3]])  # own orders of samples
    F[1, :, 0] = 2.0
    log_p = (F / 2).log_softmax(dim=-1)
    expected = [-4 * ((G[s, rows[s]] / 2).softmax(-1) * log_p[s]).sum(-1).mean() for s in (0, 1)]
    assert loss(F, soft[rows]).tolist() == pytest.approx([float(v) for v in expected])


def test_frozen_networks_by_hand() -> None:
    """Of a linear learner the gradient is (x, 1), whatever the start: all maps are alike, and every
    row is one ridge regression."""
    base = replace(STUDY, learners=(Architecture(kind="linear"),), n_networks=2)
    study = GaussianKernelStudy(base=base, n_students=1, diag_reg=0.1)
    told: list[int] = []
    found = run_gaussian_kernels(study, progress=lambda step, share: told.append(step))
    assert told == [1, 2, 3] and found["single_wrong"].shape == (2, 300)
    (X, true), (Z, labels) = both_sets(base)
    y = with_noise(true, 0.2, 3, stream(3, "label noise"))
    assert torch.equal(labelled(labeller(DATA, 3), 60, 3, "train")[0], X)
    phi, psi = (torch.cat([x, torch.ones(len(x), 1)], dim=1).double() for x in (X, Z))
    K = phi @ phi.T
    K += 0.1 * K.diagonal().mean() * torch.eye(60)
    outputs = psi @ phi.T @ torch.linalg.solve(K, torch.eye(3, dtype=torch.float64)[y])
    expected = (outputs.argmax(dim=1) != labels).numpy()
    for row in ("single", "ensemble", "average", "hard_student"):
        # A tie within float32's rounding may fall to either side.
        assert (found[f"{row}_wrong"] ^ expected).mean() < 0.01


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_students": 4}, r"n_students \(L\) = 4 must be <= 3"),
        ({"n_students": 0}, r"n_students \(L\) = 0 must be an integer >= 1"),
        ({"diag_reg": 0.0}, r"diag_reg \(lambda\) = 0.0 must"),
    ],
)
def test_bad_kernel_studies(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        GaussianKernelStudy(**{"base": STUDY, "n_students": 1, "diag_reg": 0.1} | changes)


def test_work_by_hand() -> None:
    # Fully connected: 6 * 16 + 16 + 16 * 3 + 3 = 163.  Convolutional: windows 6 * 4 + 4 at three
    # places, read-out 3 * 4 * 3 + 3: 28 * 3 + 39 = 123.  Passes 3 * 60 * 5 + 300.
    assert gaussian_flops(STUDY) == 2.0 * (163 + 123) * 1200 * 3
    more = replace(STUDY, students=("average", "one-hot"), averages=1)
    assert gaussian_flops(more) == 2.0 * (163 * 4 + 123) * 1200 * 3


BAD: list[tuple[str, Any, str]] = [
    ("dim", 0, r"dim \(d\) = 0 must be an integer >= 1"),
    ("positions", 2, r"positions \(\) = 2 must be an integer >= 3"),
    ("positions", 4, r"positions \(\) = 4 must divide d = 6"),
    ("n_classes", 1, r"n_classes \(k\) = 1 must be an integer >= 2"),
    ("n_clusters", 0, r"n_clusters \(M\) = 0 must be an integer >= 1"),
    ("cluster_norm", -1.0, r"cluster_norm \(\) = -1.0 must lie in \[0, inf\)"),
    ("label_noise", 1.0, r"label_noise \(eta\) = 1.0 must lie in \[0, "),
    ("margin", math.nan, r"margin \(q\) = nan must lie in \[0, "),
    ("learners", (), r"learners \(\) = \(\) must not be empty"),
    ("n_train", 0, r"n_train \(N\) = 0 must be an integer >= 1"),
    ("n_networks", 1, r"n_networks \(L\) = 1 must be an integer >= 2"),
    ("n_networks", 1001, r"n_networks \(L\) = 1001 must be <= 1000"),
    ("draw", -1, r"draw \(seed\) = -1 must be an integer >= 0"),
    ("n_test", 0, r"n_test \(n\) = 0 must be an integer >= 1"),
    ("students", ("both",), r"students \(\) = \('both',\) must be some of"),
    ("temperature", 0.0, r"temperature \(T\) = 0.0 must lie in \(0, "),
    ("averages", -1, r"averages \(\) = -1 must be an integer >= 0"),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_bad_values(field: str, value: Any, words: str) -> None:
    config: Any = DATA if hasattr(DATA, field) else STUDY
    with unchecked(), pytest.raises(BadInput, match=words) as caught:
        replace(config, **{field: value})
    assert str(caught.value).count("\n") == 0 and str(caught.value).endswith(".")


# ---------------------------------------------------------------- the grid


@pytest.mark.parametrize("scale", SCALES)
def test_the_grid(scale: Scale) -> None:
    rows = list(gaussian_families(scale)["gaussian"].values())
    size = GRID_SIZES[scale]
    assert len(rows) == 2 * len(size.labels) * len(size.conditions)
    assert all(isinstance(study, GaussianStudy) for study in rows)
    seen = set()
    for study in rows:
        assert isinstance(study, GaussianStudy)
        forms = {form.kind: form.width for form in study.learners}
        assert forms == dict(zip(LEARNERS, size.widths, strict=True))
        assert condition_name(study) in CONDITIONS
        seen.add((inputs_name(study), study.data.labels, study.draw))
    # The conditions of one kind of data share a draw, and nothing else does.
    assert len(seen) == len({draw for *_, draw in seen}) == 2 * len(size.labels)
