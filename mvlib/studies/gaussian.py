r"""Inputs without views (Section 2.2): one Gaussian or a mixture of them, labelled by a random
function, and what averaging networks changes: errors, cross-entropy, variance, agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import Name, stream
from mvlib.deep.networks import (
    Architecture,
    Loss,
    cross_entropy,
    init_many,
    outputs_many,
    train_many,
)
from mvlib.deep.optimisers import Plan, Weights
from mvlib.paper.ensemble import ensemble_outputs, size_curve
from mvlib.paper.gradient_descent import Progress, classification_error, misclassified
from mvlib.store.kinds import Kind, register
from mvlib.studies.one_draw import as_arrays, check_networks, seeds_of
from mvlib.studies.teachers import CONTROLS, without_knowledge

N_CALIBRATION = 20000  # inputs on which a labelling function is standardised
BLOCK = 4096  # inputs drawn at a time
READOUT_SCALE = 0.1
RESAMPLES = 200
SUBSETS = 20  # ensembles tried of every size
TARGETS = ("average", "each", *CONTROLS)


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianData:
    r"""A distribution of inputs $x \in \mathbb R^d$ and the function that labels them.

    Choice: the paper's text names the kinds of inputs, labels and noise and no more; sizes and the
    following are ours.  x = m + z with $z \sim \mathcal N(0, I)$; of one Gaussian m = 0, of a
    mixture m is one of `n_clusters` random directions of length `cluster_norm`, each as likely.
    Labels know nothing of clusters.  The labelling function is a random network; its k outputs are
    standardised, so that classes are about equally frequent, and the largest is the label.

    Attributes:
        dim: d >= 1.
        positions: places of a convolution, a divisor of d that is >= 3.
        n_classes: k >= 2.
        n_clusters: M >= 1; 1 is one Gaussian around 0.
        cluster_norm: length of the clusters' means, >= 0; a cluster's own radius is about sqrt(d).
        labels: form of the labelling network.
        label_noise: eta in [0, 1): the chance that a TRAINING label is replaced by another one.
            Test labels are never touched: errors count what is wrong, not what is noise.
        margin: q in [0, 1): inputs whose two largest (standardised) outputs differ by less than
            the q-quantile are thrown away, of training and of test data alike.
    """

    dim: int
    positions: int
    n_classes: int
    n_clusters: int
    cluster_norm: float
    labels: Architecture
    label_noise: float
    margin: float

    def __post_init__(self) -> None:
        require_int("dim", "d", self.dim, 1, "inputs need a number")
        require_int("positions", "", self.positions, 3, "windows span three places")
        fits, bound = self.dim % self.positions == 0, f"divide d = {self.dim}"
        require(fits, "positions", "", self.positions, bound, "every place needs as many channels")
        require_int("n_classes", "k", self.n_classes, 2, "one class leaves nothing to learn")
        require_int("n_clusters", "M", self.n_clusters, 1, "1 is one Gaussian")
        require_number("cluster_norm", "", self.cluster_norm, 0, math.inf, "try 4")
        require_number("label_noise", "eta", self.label_noise, 0, 1 - 1e-9, "0 is none")
        require_number("margin", "q", self.margin, 0, 1 - 1e-9, "0 keeps every input")

    def network(self, form: Architecture) -> nn.Module:
        """One of a form that takes these inputs and tells these classes apart."""
        return form.build(n_inputs=self.dim, n_outputs=self.n_classes, positions=self.positions)


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianStudy:
    """Everything that decides one set of numbers.

    Attributes:
        data: inputs and labels.
        learners: the forms that are trained, each on the same data.
        plan: how all of them are trained.
        n_train: N >= 1.
        n_networks: L in [2, 1000] of each form; network r of draw D is the same whatever L.
        draw: which data draw, >= 0: clusters, labelling function, training and test sets and
            networks depend on it.
        n_test: >= 1 fresh inputs.
        students: what L students of the first form are taught, names from `TARGETS`: "average";
            "each", student l by network l; or a control without the average's knowledge
            (`teachers.CONTROLS`).  Students start alike whatever they are taught.
        temperature: T > 0 of students: cross-entropy with softened outputs (Hinton's form without
            labels beside them).
        averages: how many times L networks of the first form are trained as one, >= 0.
    """

    data: GaussianData
    learners: tuple[Architecture, ...]
    plan: Plan
    n_train: int
    n_networks: int
    draw: int
    n_test: int
    students: tuple[str, ...] = ()
    temperature: float = 4.0
    averages: int = 0

    def __post_init__(self) -> None:
        require(len(self.learners) > 0, "learners", "", self.learners, "not be empty", "name one")
        require_int("n_train", "N", self.n_train, 1, "train on at least one sample")
        check_networks("n_networks", self.n_networks, 2, "a variance needs two networks")
        require_int("draw", "seed", self.draw, 0, "number the draws from 0")
        require_int("n_test", "n", self.n_test, 1, "test on at least one input")
        known = set(self.students) <= set(TARGETS)
        require(known, "students", "", self.students, f"be some of {TARGETS}", "leave out others")
        require_number("temperature", "T", self.temperature, 0, math.inf, "try 4", open_low=True)
        require_int("averages", "", self.averages, 0, "0 trains none")

    @property
    def compared(self) -> int:
        """Trainings beside the learners' own: one for each kind of student, one for averages."""
        return len(self.students) + (self.averages > 0)


@dataclass(frozen=True, slots=True)
class Labeller:
    """A random network as labelling function, standardised."""

    means: Tensor  # of the clusters, (M, d)
    network: nn.Module
    weights: Weights  # of one seed
    centre: Tensor  # mean and standard deviation of the k outputs over fresh inputs
    scale: Tensor
    least_gap: float  # between the two largest standardised outputs; 0 without margin

    def scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Standardised outputs; the largest is the label."""
        return (outputs_many(self.network, self.weights, X)[0] - self.centre) / self.scale


def inputs(means: Float[Tensor, "M d"], n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """n inputs around means that are each as likely."""
    cluster = torch.randint(0, len(means), (n,), generator=generator)
    return means[cluster] + torch.randn(n, means.shape[1], generator=generator)


def top_gap(scores: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """By how much the largest score of an input exceeds the next."""
    first, second = scores.topk(2, dim=1).values.unbind(dim=1)
    return first - second


def labeller(data: GaussianData, seed: int) -> Labeller:
    """The clusters and the labelling function of one data draw."""
    means = torch.zeros(1, data.dim)
    if data.n_clusters > 1:
        drawn = torch.randn(data.n_clusters, data.dim, generator=stream(seed, "features"))
        means = data.cluster_norm * drawn / drawn.norm(dim=1, keepdim=True)
    network = data.network(data.labels)
    weights = init_many(network, [seed], name="labels")
    X = inputs(means, N_CALIBRATION, stream(seed, "calibration"))
    raw = outputs_many(network, weights, X)[0]
    centre, scale = raw.mean(dim=0), raw.std(dim=0)
    gap = top_gap((raw - centre) / scale)
    least_gap = float(gap.quantile(data.margin)) if data.margin else 0.0
    return Labeller(means, network, weights, centre, scale, least_gap)


def labelled(
    function: Labeller, n: int, seed: int, *name: Name
) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
    """n inputs that keep the margin, with their true labels; a larger n appends."""
    generator = stream(seed, *name)
    X, y = torch.empty(0, function.means.shape[1]), torch.empty(0, dtype=torch.long)
    while len(y) < n:
        x = inputs(function.means, BLOCK, generator)
        scores = function.scores(x)
        rows = top_gap(scores) >= function.least_gap
        X, y = torch.cat([X, x[rows]]), torch.cat([y, scores[rows].argmax(dim=1)])
    return X[:n], y[:n]


def both_sets(study: GaussianStudy) -> list[tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]]:
    """Inputs of training and of the test, with their true labels."""
    function, sizes = labeller(study.data, study.draw), (study.n_train, study.n_test)
    return [labelled(function, n, study.draw, name)
            for n, name in zip(sizes, ("train", "test"), strict=True)]  # fmt: skip


def with_noise(
    labels: Int[Tensor, " n"], share: float, n_classes: int, generator: torch.Generator
) -> Int[Tensor, " n"]:
    """Labels of which each is replaced with chance `share` by one of the others, each as likely."""
    flipped = torch.rand(len(labels), generator=generator) < share
    other = torch.randint(1, n_classes, (len(labels),), generator=generator)
    return torch.where(flipped, (labels + other) % n_classes, labels)


def gaussian_flops(study: GaussianStudy) -> float:
    """Floating-point operations of training and testing, about: 2 for each weight and place a
    pass through a network, three passes a training step."""
    passes, total = 3 * study.n_train * study.plan.epochs + study.n_test, 0.0
    more = len(study.students) + study.averages
    for form, times in zip(study.learners, [1 + more] + [1] * len(study.learners), strict=False):
        for name, weight in study.data.network(form).named_parameters():
            shared = form.kind == "convolutional" and not name.startswith("readout")
            total += 2.0 * weight.numel() * (study.data.positions if shared else 1) * times
    return total * passes * study.n_networks


def run_gaussian(
    study: GaussianStudy, *, progress: Progress | None = None, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Train every learner's networks on one draw, test each and their average.

    Choice: all networks start with small outputs (`READOUT_SCALE`), and each has its own order of
    the samples, as networks trained with different seeds have.

    Returns:
        Learners first.  train_error (learners, L) against the labels they were given, what
        `gains` returns, and, of the data, flipped (share of training labels replaced) and
        class_share (k,) of the test set.  With students or averages also which test inputs are
        misclassified: wrong (learners, L, n) and ensemble_wrong (learners, n) and, of the first
        learner, ``{target}_wrong`` (L, n) of students and together_wrong (averages, n).
    """
    data, draw, plan = study.data, study.draw, study.plan
    (X, true), (X_test, y_test) = both_sets(study)
    y = with_noise(true, data.label_noise, data.n_classes, stream(draw, "label noise"))
    X, X_test = X.to(device), X_test.to(device)
    seeds, rows, before = seeds_of(draw, study.n_networks), [], 0

    def trained(
        network: nn.Module, start: Weights, targets: Tensor, orders: Sequence[torch.Generator],
        loss: Loss = cross_entropy,
    ) -> Weights:  # fmt: skip
        nonlocal before
        done = before
        before += plan.steps(study.n_train)

        def tell(step: int, share: float) -> None:
            if progress:
                progress(done + step, share)

        return train_many(network, start, X, targets.to(device), plan=plan, orders=orders,
                          loss=loss, progress=tell)  # fmt: skip

    fitted = []  # outputs on the training set
    for form in study.learners:
        network, name = data.network(form), f"init {form.label}"
        start = init_many(network, seeds, name=name, readout_scale=READOUT_SCALE, device=device)
        weights = trained(network, start, y, [stream(seed, "order") for seed in seeds])
        tested = outputs_many(network, weights, X_test).cpu()
        fitted.append(outputs_many(network, weights, X).cpu())
        row = gains(tested, y_test, seed=draw)
        row["train_error"] = classification_error(fitted[-1], y)
        if study.compared:
            row["wrong"] = misclassified(tested, y_test)
            row["ensemble_wrong"] = misclassified(ensemble_outputs(tested)[None], y_test)[0]
        rows.append(row)
    arrays = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    # Of the first form also students of its networks, and averages of such networks.
    form = study.learners[0]
    network, name = data.network(form), f"student {form.label}"
    for target in study.students:
        start = init_many(network, seeds, name=name, readout_scale=READOUT_SCALE, device=device)
        soft, loss = lesson(study, fitted[0], y, target)
        orders = [stream(seed, "order", "student") for seed in seeds]
        outputs = outputs_many(network, trained(network, start, soft, orders, loss), X_test)
        arrays[f"{target}_wrong"] = misclassified(outputs.cpu(), y_test)
    if study.averages:
        L, name = study.n_networks, f"member {form.label}"
        members = [(seed, 1000 * seed + i) for seed in seeds[: study.averages] for i in range(L)]
        own = [seed for _, seed in members]
        start = init_many(network, own, name=name, readout_scale=READOUT_SCALE, device=device)
        orders = [stream(seed, "order", "average") for seed, _ in members]

        def average(outputs: Tensor) -> Tensor:
            return outputs.unflatten(0, (-1, L)).mean(dim=1)

        # Adam divides by the gradient's size, so that the mean's factor 1/L changes nothing.
        def loss_of_averages(outputs: Tensor, labels: Tensor) -> Tensor:
            return cross_entropy(average(outputs), labels[::L])

        weights = trained(network, start, y, orders, loss_of_averages)
        outputs = average(outputs_many(network, weights, X_test).cpu())
        arrays["together_wrong"] = misclassified(outputs, y_test)
    counts = torch.bincount(y_test, minlength=data.n_classes)
    of_data = {"flipped": (y != true).float().mean(), "class_share": counts / len(y_test)}
    return as_arrays(arrays | of_data)


def lesson(
    study: GaussianStudy, teachers: Float[Tensor, "L n k"], labels: Int[Tensor, " n"], target: str
) -> tuple[Float[Tensor, "n *L k"], Loss]:
    r"""What students are taught: softened outputs of the teachers' mean, of a control in its place,
    or of each teacher, and the loss, $T^2$ times the cross-entropy with their own."""
    T = study.temperature
    if target == "each":
        softened = (teachers / T).softmax(dim=-1).movedim(0, 1)  # every sample has all of them

        def own(F: Tensor, soft: Float[Tensor, "L n L k"]) -> Tensor:
            return T**2 * cross_entropy(F / T, soft.diagonal(dim1=0, dim2=2).movedim(2, 0))

        return softened, own
    teacher = ensemble_outputs(teachers)
    if target in CONTROLS:
        dealt = stream(study.draw, "shuffled teacher")
        (teacher,) = without_knowledge(teacher[None], labels, target, generator=dealt)
    return (teacher / T).softmax(dim=-1), lambda F, soft: T**2 * cross_entropy(F / T, soft)


def gains(
    outputs: Float[Tensor, "members n k"], labels: Int[Tensor, " n"], *, seed: int = 0
) -> dict[str, Tensor]:
    """Everything that is measured of some networks and of their average.

    Returns:
        single_error, single_loss (members,): of each network, loss being the cross-entropy;
        ensemble_error, ensemble_loss: of their average; size_curve (members,): mean error of
        ensembles of 1, 2, ...; disagreement, variance_curve (members // 2,), agreement
        (members + 1,), agreement_ensemble, and bootstrap_single and bootstrap_ensemble
        (resamples,), by the functions of these names; output_power, of centred outputs.
    """
    mean = ensemble_outputs(outputs)[None]
    single, together = paired_bootstrap(outputs, labels, seed=seed)
    known, rescued = agreement(outputs, labels)
    return {
        "single_error": classification_error(outputs, labels),
        "ensemble_error": classification_error(mean, labels)[0],
        "single_loss": torch.stack([functional.cross_entropy(F, labels) for F in outputs]),
        "ensemble_loss": functional.cross_entropy(mean[0], labels),
        "disagreement": disagreement(outputs),
        "variance_curve": variance_curve(outputs),
        "output_power": centred(outputs).square().mean(),
        "size_curve": size_curve(outputs, labels, at_most=SUBSETS, seed=seed).nanmean(dim=1),
        "agreement": known,
        "agreement_ensemble": rescued,
        "bootstrap_single": single,
        "bootstrap_ensemble": together,
    }


def centred(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, "members n k"]:
    """Outputs less their mean over classes, which neither the softmax nor the answer sees."""
    return outputs - outputs.mean(dim=-1, keepdim=True)


def variance_curve(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, " half"]:
    """Variance between averages of K networks that have no network in common, K = 1 ..
    members // 2: of centred outputs, unbiased, mean over inputs and classes."""
    F, curve = centred(outputs), []
    for K in range(1, len(F) // 2 + 1):
        groups = len(F) // K
        means = F[: groups * K].reshape(groups, K, *F.shape[1:]).mean(dim=1)
        curve.append(means.var(dim=0).mean())
    return torch.stack(curve)


def disagreement(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, ""]:
    """How often two different networks give different answers, mean over pairs and inputs."""
    members, n, k = outputs.shape
    votes = functional.one_hot(outputs.argmax(dim=-1), k).sum(dim=0).to(outputs.dtype)
    return 1 - ((votes * (votes - 1)).sum(dim=1) / (members * (members - 1))).mean()


def agreement(
    outputs: Float[Tensor, "members n k"], labels: Int[Tensor, " n"]
) -> tuple[Int[Tensor, " counts"], Int[Tensor, " counts"]]:
    """Number of inputs that exactly 0, 1, ..., members networks get right, and on how many of
    those the average is right."""
    members = len(outputs)
    right = (outputs.argmax(dim=-1) == labels).sum(dim=0)
    mean_right = ensemble_outputs(outputs).argmax(dim=-1) == labels
    every = torch.bincount(right, minlength=members + 1)
    return every, torch.bincount(right[mean_right], minlength=members + 1)


def paired_bootstrap(
    outputs: Float[Tensor, "members n k"], labels: Int[Tensor, " n"], *, seed: int,
    n_resamples: int = RESAMPLES,
) -> tuple[Float[Tensor, " resamples"], Float[Tensor, " resamples"]]:  # fmt: skip
    """Mean error of single networks and error of their average, with networks and inputs
    resampled with replacement, the same for both.  A resample holds fewer different networks than
    there are, so the average's error leans upwards: use the spread, not the centre."""
    members, n, k = outputs.shape
    generator = stream(seed, "paired bootstrap")
    wrong = (outputs.argmax(dim=-1) != labels).to(outputs.dtype)
    single, together = [], []
    for _ in range(n_resamples):
        drawn = torch.randint(0, members, (members,), generator=generator)
        share = torch.bincount(drawn, minlength=members).to(outputs.dtype) / members
        rows = torch.randint(0, n, (n,), generator=generator)
        single.append((share @ wrong)[rows].mean())
        mean = (share @ outputs.reshape(members, -1)).view(n, k)
        together.append((mean.argmax(dim=-1) != labels)[rows].to(outputs.dtype).mean())
    return torch.stack(single), torch.stack(together)


register(Kind(
    name="gaussian inputs", configuration=GaussianStudy, run=run_gaussian, work=gaussian_flops,
    version=2,
    steps=lambda study: (len(study.learners) + study.compared) * study.plan.steps(study.n_train),
))  # fmt: skip
