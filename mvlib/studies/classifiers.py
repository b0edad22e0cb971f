r"""Classifiers that learn no features: linear ones and polynomials of a small degree, by their
kernels, with the best regularisation that a validation set finds.

An input reaches them in two forms: "flattened", all its patches side by side, the vector of P d
numbers of which the paper speaks; and "pooled", the sum of its patches, which tells a classifier
that a view means the same wherever it stands, as shared weights tell a network.

What the paper says of them rests on feature noise that an opponent may choose.  Drawn for each
patch by itself it averages out in a sum of patches; what all patches have in common adds up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.paper.gradient_descent import Progress, misclassified, train
from mvlib.paper.multi_view_data import (
    BLOCK,
    SampleKind,
    StreamedPatches,
    feature_vectors,
    stored,
)
from mvlib.paper.network import init_weights, logits
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw
from mvlib.studies.single_model import SingleModelStudy

FORMS = ("flattened", "pooled")
KINDS: tuple[SampleKind, ...] = ("single", "multi")
TESTED = ("train", *KINDS)
MEMORY_LIMIT = 2 << 30  # bytes that the kernels of a study may take
SLOWNESS = 100  # operations a number of the kernel and fit, about


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierStudy:
    r"""Support vector machines with kernels $(1 + \langle X, X'\rangle / s)^D$ on one data draw.

    Choice: of the feature noise that Definition 3.1 allows, alpha in [0, gamma] at will, the
    `common_noise` is one worst case: alpha_v' is uniform, and the same in all patches of an input.

    Attributes:
        base: data, N, draw and test sets; learner, objective and schedule of the networks.
        degrees: D >= 1 of the polynomials; 1 is a linear classifier.
        penalties: values of C > 0 to choose from; the larger, the fewer training errors.
        n_validation: fresh inputs of each kind on which C is chosen, >= 1.
        common_noise: gamma >= 0, besides the feature noise of `base.data`.
        n_networks: L >= 0, networks of `base` that are trained on the same inputs.
    """

    base: SingleModelStudy
    degrees: tuple[int, ...] = (1, 2, 3)
    penalties: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    n_validation: int = 500
    common_noise: float = 0.0
    n_networks: int = 0

    def __post_init__(self) -> None:
        chosen = (("degrees", "D", self.degrees), ("penalties", "C", self.penalties))
        for field, symbol, values in chosen:
            named = isinstance(values, tuple) and len(values) > 0
            require(named, field, symbol, values, "be a tuple of one value at least", "try (1,)")
        for degree in self.degrees:
            require_int("degrees", "D", degree, 1, "1 is linear")
        for penalty in self.penalties:
            require_number("penalties", "C", penalty, 0, math.inf, "try 1.0", open_low=True)
        require_int("n_validation", "n", self.n_validation, 1, "choose C on some inputs")
        require_number("common_noise", "gamma", self.common_noise, 0, math.inf, "try k^-1.5")
        one_draw.check_networks("n_networks", self.n_networks, 0, "0 trains none")
        mu = self.base.data.single_view_fraction
        require(mu > 0, "single_view_fraction", "mu", mu, "be > 0", "errors are counted over mu")
        size = 8 * _kernel_entries(self) * (len(FORMS) + 1)  # one more, raised to its power
        fits = size <= MEMORY_LIMIT
        need = f"leave kernels of {size} bytes within the {MEMORY_LIMIT} that they may take"
        require(fits, "n_train", "N", self.base.n_train, need, "take fewer inputs")


def _kernel_entries(study: ClassifierStudy) -> int:
    base = study.base
    inputs = base.n_train + 2 * study.n_validation + base.n_test_single + base.n_test_multi
    return base.n_train * inputs


def _fits(study: ClassifierStudy) -> int:
    return len(FORMS) * len(study.degrees) * len(study.penalties)


def classifier_flops(study: ClassifierStudy) -> float:
    """Floating-point operations, about: products of flattened inputs, fits, and networks."""
    base = study.base
    entry = 2.0 * base.data.n_patches * base.data.dim + SLOWNESS * _fits(study)
    trained = one_draw.training_flops(base, base.schedule, networks=study.n_networks)
    return _kernel_entries(study) * entry + trained


def run_classifiers(
    study: ClassifierStudy, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Fit every classifier with every C, keep the C with the least validation error over mu (the
    smallest of several), and test.

    s is the mean square of the training inputs, so that C does not depend on their scale.  Of k
    classes each two are told apart, and the pairs vote.

    Returns:
        Forms of the input on the first axis, degrees on the second: penalty, the C kept;
        validation_error over mu; train_error, single_error, multi_error.  Of the networks, (L,):
        network_train_error, network_single_error, network_multi_error.
    """
    names = ("penalty", "validation_error", "train_error", "single_error", "multi_error")
    found = {name: np.full((len(FORMS), len(study.degrees)), np.inf) for name in names}
    tick = one_draw.ticker(1 + _fits(study), progress)
    products, labels, wrong = _products(study)
    tick()
    mu = study.base.data.single_view_fraction
    for i, j in np.ndindex(len(FORMS), len(study.degrees)):
        of_form = {name: product[i] for name, product in products.items()}
        scale = of_form["train"].diagonal().mean()
        kernels = {name: (1 + G / scale) ** study.degrees[j] for name, G in of_form.items()}
        for penalty in sorted(study.penalties):
            errors = _errors(kernels, labels, penalty)
            single, multi = (errors.pop(f"{kind} validation") for kind in KINDS)
            over_mu = error_in_units_of_mu(single, multi, mu)
            if over_mu < found["validation_error"][i, j]:
                kept = {"penalty": penalty, "validation_error": over_mu} | {
                    f"{name}_error": error for name, error in errors.items()
                }
                for name, value in kept.items():
                    found[name][i, j] = value
            tick()
    return found | {f"network_{name}_error": wrong[name].mean(axis=1) for name in TESTED}


def _errors(
    kernels: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], penalty: float
) -> dict[str, float]:
    """Share of each set's inputs that a machine fitted to "train" misclassifies."""
    from sklearn.svm import SVC  # a second of start that other studies do without

    machine = SVC(C=penalty, kernel="precomputed").fit(kernels["train"], labels["train"])
    return {
        name: float((machine.predict(kernel) != labels[name]).mean())
        for name, kernel in kernels.items()
    }


def _products(
    study: ClassifierStudy,
) -> tuple[dict[str, Float[np.ndarray, "forms n N"]], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Products of every set's inputs with the training inputs, in each form, labels, and which of
    them each network misclassifies, by set: those in `TESTED` and validation sets."""
    base = study.base
    X, y = map(torch.cat, zip(*_drawn(study, "train", "mixture", base.n_train), strict=True))
    W = _networks(study, X, y)
    nothing = W.new_empty(0, BLOCK, base.data.n_classes)  # scores of no networks
    sets: dict[str, tuple[str, SampleKind, int]] = {"train": ("train", "mixture", base.n_train)}
    for kind, n in zip(KINDS, (base.n_test_single, base.n_test_multi), strict=True):
        sets |= {kind: ("test", kind, n)}
        sets |= {f"{kind} validation": ("validation", kind, study.n_validation)}
    products, labels, wrong = {}, {}, {}
    for name, (which, kind, n) in sets.items():
        rows = [
            (
                _inner(x, X),
                y,
                misclassified(logits(W, x, base.learner) if len(W) else nothing[:, : len(x)], y),
            )
            for x, y in _drawn(study, which, kind, n)
        ]
        inner, own, missed = zip(*rows, strict=True)
        products[name] = torch.cat(inner, dim=1).double().numpy()
        labels[name] = torch.cat(own).numpy()
        wrong[name] = torch.cat(missed, dim=1).numpy()
    return products, labels, wrong


def _drawn(
    study: ClassifierStudy, name: str, kind: SampleKind, n: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of a sample of the draw, chunk by chunk, with the common noise."""
    base = study.base
    views = feature_vectors(base.data, base.draw).flatten(0, 1)
    inputs = StreamedPatches(base.data, n, seed=base.draw, name=name, kind=kind,
                             rounded=base.learner.rounds_inputs)  # fmt: skip
    for i, chunk in enumerate(inputs.chunks()):
        X = stored(chunk)
        if study.common_noise > 0:
            generator = stream(base.draw, "common noise", name, kind, i)
            alpha = study.common_noise * torch.rand(len(X), len(views), generator=generator)
            X = (X.float() + (alpha @ views)[:, None]).to(X.dtype)
        yield X, chunk.labels


def _networks(study: ClassifierStudy, X: Tensor, labels: Tensor) -> Float[Tensor, "L k m d"]:
    base, data = study.base, study.base.data
    if study.n_networks == 0:
        return torch.empty(0, data.n_classes, base.learner.n_neurons, data.dim)
    seeds = one_draw.seeds_of(base.draw, study.n_networks)
    W0 = init_weights(seeds, base.learner, n_classes=data.n_classes, dim=data.dim)
    return train(W0, X, labels, base.objective, learner=base.learner, schedule=base.schedule,
                 seeds=seeds).weights  # fmt: skip


def _inner(X: Float[Tensor, "n P d"], others: Float[Tensor, "N P d"]) -> Float[Tensor, "forms n N"]:
    """Products of inputs in each of `FORMS`, in float32: they are sums of P d terms."""
    return torch.cat([
        torch.stack([a @ b.T for a, b in zip(_in_forms(X), _in_forms(part), strict=True)])
        for part in others.split(BLOCK)
    ], dim=2)  # fmt: skip


def _in_forms(X: Float[Tensor, "n P d"]) -> tuple[Tensor, Tensor]:
    X = X.float()
    return X.flatten(1), X.sum(dim=1)


register(Kind(
    name="classifiers", configuration=ClassifierStudy, run=run_classifiers, work=classifier_flops,
    steps=lambda study: 1 + _fits(study),
))  # fmt: skip
