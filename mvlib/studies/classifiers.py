r"""Classifiers that learn no features: linear ones and polynomials of a small degree, by their
kernels, with the best regularisation that a validation set finds.

An input reaches them in two forms: "flattened", all its patches side by side, the vector of P d
numbers of which the paper speaks; and "pooled", the sum of its patches, which tells a classifier
that a view means the same wherever it stands, as shared weights tell a network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.paper.gradient_descent import Progress
from mvlib.paper.multi_view_data import BLOCK, SampleKind, StreamedPatches, stored
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw
from mvlib.studies.single_model import SingleModelStudy

FORMS = ("flattened", "pooled")
KINDS: tuple[SampleKind, ...] = ("single", "multi")
MEMORY_LIMIT = 1 << 30  # bytes that the kernels of a study may take
SLOWNESS = 100  # operations a number of the kernel and fit, about


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierStudy:
    r"""Support vector machines with kernels $(1 + \langle X, X'\rangle / s)^D$ on one data draw.

    Attributes:
        base: data, N, draw and test sets.
        degrees: D >= 1 of the polynomials; 1 is a linear classifier.
        penalties: values of C > 0 to choose from; the larger, the fewer training errors.
        n_validation: fresh inputs of each kind on which C is chosen, >= 1.
    """

    base: SingleModelStudy
    degrees: tuple[int, ...] = (1, 2, 3)
    penalties: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    n_validation: int = 500

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
    """Floating-point operations, about: products of flattened inputs, and fits."""
    data = study.base.data
    return _kernel_entries(study) * (2.0 * data.n_patches * data.dim + SLOWNESS * _fits(study))


def run_classifiers(
    study: ClassifierStudy, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Fit every classifier with every C, keep the C with the least validation error over mu (the
    smallest of several), and test.

    s is the mean square of the training inputs, so that C does not depend on their scale.  Of k
    classes each two are told apart, and the pairs vote.

    Returns:
        Forms of the input on the first axis, degrees on the second: penalty, the C kept;
        validation_error over mu; train_error, single_error, multi_error.
    """
    names = ("penalty", "validation_error", "train_error", "single_error", "multi_error")
    found = {name: np.full((len(FORMS), len(study.degrees)), np.inf) for name in names}
    tick = one_draw.ticker(1 + _fits(study), progress)
    products, labels = _products(study)
    tick()
    mu = study.base.data.single_view_fraction
    for i, j in np.ndindex(len(FORMS), len(study.degrees)):
        of_form = {name: product[i] for name, product in products.items()}
        scale = of_form["train"].diagonal().mean()
        kernels = {name: (1 + G / scale) ** study.degrees[j] for name, G in of_form.items()}
        for penalty in sorted(study.penalties):
            errors = _errors(kernels, labels, penalty)
            validated = (errors.pop(f"{kind} validation") for kind in KINDS)
            over_mu = error_in_units_of_mu(*validated, mu)
            if over_mu < found["validation_error"][i, j]:
                kept = {"penalty": penalty, "validation_error": over_mu} | {
                    f"{name}_error": error for name, error in errors.items()
                }
                for name, value in kept.items():
                    found[name][i, j] = value
            tick()
    return found


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
) -> tuple[dict[str, Float[np.ndarray, "forms n N"]], dict[str, np.ndarray]]:
    """Products of every set's inputs with the training inputs, in each form, and labels, by set:
    "train", "single", "multi", "single validation", "multi validation"."""
    base = study.base
    train = one_draw.training_set(base).patches
    sets: dict[str, tuple[str, SampleKind, int]] = {"train": ("train", "mixture", base.n_train)}
    for kind, n in zip(KINDS, (base.n_test_single, base.n_test_multi), strict=True):
        sets |= {kind: ("test", kind, n)}
        sets |= {f"{kind} validation": ("validation", kind, study.n_validation)}
    products, labels = {}, {}
    for name, (which, kind, n) in sets.items():
        inputs = StreamedPatches(base.data, n, seed=base.draw, name=which, kind=kind,
                                 rounded=base.learner.rounds_inputs)  # fmt: skip
        chunks = [(_inner(stored(c), train), c.labels) for c in inputs.chunks()]
        products[name] = torch.cat([G for G, _ in chunks], dim=1).double().numpy()
        labels[name] = torch.cat([y for _, y in chunks]).numpy()
    return products, labels


def _inner(
    X: Float[Tensor, "n P d"], others: Float[Tensor, "N P d"] | StreamedPatches
) -> Float[Tensor, "forms n N"]:
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
