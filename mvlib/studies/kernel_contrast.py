r"""The study of Section 2.1: networks frozen at their initialisation, as random feature maps.

A frozen network is $f(X) = \langle \theta, \Phi_{W_0}(X) \rangle$.  Ensembles of such functions,
their average trained directly, and students on fresh features are each trained in two ways; and
one network is trained for real, to see how far it leaves this picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.paper.ensemble import ensemble_outputs
from mvlib.paper.gradient_descent import Progress, misclassified, train
from mvlib.paper.multi_view_data import SampleKind, StreamedPatches, sample, stored
from mvlib.paper.network import LearnerParams, init_weights
from mvlib.paper.objectives import CrossEntropy
from mvlib.paper.step_rules import FixedSteps, Schedule
from mvlib.paper.tangent_kernel import (
    kernel_descent,
    kernel_drift,
    kernel_ridge,
    linearisation_error,
    ntk,
    predict,
    tangent_outputs,
    tangent_weights,
)
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw
from mvlib.studies.single_model import SingleModelStudy

METHODS = ("ridge", "descent")
WHO = ("single", "ensemble", "average", "hard_student", "distilled_student")
RECORDS = 40  # of the network trained for real, about
SLOWNESS = 8  # of factors and of whatever waits for memory, beside large products

Outputs = Float[Tensor, "methods _ n k"]  # of any number of networks
Tick = Callable[[], None]  # one more step of progress
# Of each network W_0, and theta (methods, two, k, m, d): two models on its features by each method.
Models = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastStudy:
    """Tangent-kernel learners on one data draw.

    Attributes:
        base: data, learner, N, draw and test sets, and the step rule of the watched network.  The
            members' features are those of its networks 0, 1, ..., however many it has itself.
        n_seeds: L >= 2, members of the ensemble and of the trained average.
        n_students: fresh feature maps, >= 1, each fitted to hard labels and to the ensemble.
        diag_reg: lambda > 0 of the ridge, in units of the kernel's mean diagonal.
        descent_steps: T >= 1 of gradient descent on the cross-entropy.
        watch_steps: T >= 1 of the network trained for real.
        n_watch: the first so many training inputs, in [1, N], on which its distance from its
            linearisation and the drift of its kernel are measured.
    """

    base: SingleModelStudy
    n_seeds: int
    n_students: int
    diag_reg: float
    descent_steps: int
    watch_steps: int
    n_watch: int

    def __post_init__(self) -> None:
        one_draw.check_networks("n_seeds", self.n_seeds, 2, "an ensemble needs two members")
        one_draw.check_networks("n_students", self.n_students, 1, "train at least one student")
        require_number("diag_reg", "lambda", self.diag_reg, 0, math.inf, "try 0.01", open_low=True)
        require_int("descent_steps", "T", self.descent_steps, 1, "train for at least one step")
        require_int("watch_steps", "T", self.watch_steps, 1, "watch at least one step")
        require_int("n_watch", "n", self.n_watch, 1, "watch at least one input")
        usual = self.base.objective == CrossEntropy() and self.base.batches is None
        require(usual, "base", "", self.base, "have CrossEntropy() and no batches",
                "the watched network is trained as the kernels are")  # fmt: skip
        N = self.base.n_train
        require(self.n_watch <= N, "n_watch", "n", self.n_watch, f"be <= N = {N}", "choose fewer")

    @property
    def watched(self) -> Schedule:
        """Of the network trained for real: a fixed number of steps."""
        return replace(self.base.schedule, stop_rule=FixedSteps(steps=self.watch_steps))


def _reports(study: ContrastStudy) -> int:
    """Of progress: one for each feature map, the average and the network trained for real."""
    return study.n_seeds + 1 + study.n_students + 1


def contrast_flops(study: ContrastStudy) -> float:
    """Floating-point operations, about; factors and eigenvalues of kernels, the products of
    descent and the making of features count `SLOWNESS`-fold."""
    base, data, m = study.base, study.base.data, study.base.learner.n_neurons
    k, N, md = data.n_classes, base.n_train, m * data.dim
    maps = study.n_seeds + study.n_students
    fits = study.n_seeds + 1 + 2 * study.n_students
    one_pass = 2.0 * data.n_patches * md * k  # of one input through one map
    kernels = k * N**2 * md * maps  # symmetric
    outputs = 2 * one_pass * (base.n_test_single + base.n_test_multi) * maps
    factors = k * N**3 / 3 * (maps + 1)
    descent = 2.0 * k * N**2 * study.descent_steps * fits
    features = 2 * one_pass * 3 * N * maps  # for the kernel, for weights, for the average's
    trained = one_draw.training_flops(base, study.watched, networks=1)
    return kernels + outputs + SLOWNESS * (factors + descent + features) + trained


def run_contrast(
    study: ContrastStudy, progress: Progress | None = None, *, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Five learners by two methods: ridge regression on the labels as one-hot vectors, solved
    exactly, and gradient descent on the cross-entropy.

    The learners: single, each of the L; ensemble, the mean of their outputs; average,
    $F = (f_1 + ... + f_L) / L$ trained as one; hard_student, fresh features and the hard labels;
    distilled_student, the same features, in the same order, and the ensemble's outputs on the
    training set (ridge) or their softmax (descent).

    Choice: steps and ridge are in units of each kernel, so the average's smaller scale (its kernel
    is 1/L of the members' mean) changes nothing: all learners get equally far in T steps.

    Returns:
        ``{method}_{who}_{kind}_wrong``, bool (networks, n), for method in `METHODS`, who in `WHO`
        and kind in single, multi: which test inputs were misclassified (a tie is an error), the
        same inputs in every row; ensemble and average have one row.
        ``{method}_{who}_train_error`` (networks,): share of training inputs misclassified.
        ``{method}_ensemble_train_gap``, scalar: mean distance of a distilled student's targets
        from the hard labels, all that distillation could tell it.  Of network 0 trained for real,
        records first: steps, watched_train_error, linearisation_error, kernel_drift.
    """
    base = study.base
    learner = base.learner
    drawn = sample(base.data, base.n_train, seed=base.draw, name="train", device=device,
                   rounded=learner.rounds_inputs)  # fmt: skip
    X, labels = stored(drawn), drawn.labels
    hard = torch.nn.functional.one_hot(labels, base.data.n_classes).float()
    tick = one_draw.ticker(_reports(study), progress)
    members, single, average = _members(study, X, hard, tick)
    ridge, descent = ensemble = _over_networks(single)
    soft = torch.stack([ridge[0], descent[0].softmax(dim=-1)])  # (methods, N, k)
    students, taught = _students(study, X, torch.stack([hard.expand_as(soft), soft], dim=1), tick)
    gaps = zip(METHODS, (soft - hard).abs().mean(dim=(1, 2)), strict=True)
    found = {f"{method}_ensemble_train_gap": gap for method, gap in gaps}
    outputs = (single, ensemble, average, *taught.unbind(dim=1))
    for name, rows in _wrong(outputs, labels).items():
        found[f"{name}_train_error"] = rows.float().mean(dim=1)
    tests: dict[SampleKind, int] = {"single": base.n_test_single, "multi": base.n_test_multi}
    for kind, n in tests.items():
        inputs = StreamedPatches(base.data, n, seed=base.draw, name="test", kind=kind,
                                 device=device, rounded=learner.rounds_inputs)  # fmt: skip
        by_chunk = [
            _wrong(_outputs(members, students, stored(chunk), learner), chunk.labels)
            for chunk in inputs.chunks()
        ]
        for name in by_chunk[0]:
            found[f"{name}_{kind}_wrong"] = torch.cat([part[name] for part in by_chunk], dim=1)
    found |= _watched(study, X, labels)
    tick()
    return one_draw.as_arrays(found)


def _members(
    study: ContrastStudy, X: Tensor, hard: Tensor, tick: Tick
) -> tuple[Models, Outputs, Outputs]:
    """The ensemble's members: each fitted by itself, and its part in the average.  And outputs on
    the training set, of each member and of the average."""
    learner, own, outputs = study.base.learner, [], []
    starts = _starts(study, study.n_seeds, "init", X)
    targets = hard.expand(len(METHODS), 1, *hard.shape)
    mean = hard.new_zeros(hard.shape[1], len(hard), len(hard))
    for W0 in starts:
        K = ntk(W0, X, None, learner)
        dual = _fit(K, targets, study)
        own.append(tangent_weights(W0, X, dual, learner))
        outputs.append(predict(K, dual))
        mean.add_(K, alpha=1 / len(starts))
        del K  # or it would stay beside the next
        tick()
    # sum_j alpha_j mean(K)(X, X_j) is the mean over l of <sum_j alpha_j phi_l(X_j), phi_l(X)>.
    dual = _fit(mean, targets, study)
    parts = [tangent_weights(W0, X, dual, learner) for W0 in starts]
    tick()
    both = [torch.cat(pair, dim=1) for pair in zip(own, parts, strict=True)]
    models = list(zip(starts, both, strict=True))
    return models, torch.cat(outputs, dim=1), predict(mean, dual)


def _students(
    study: ContrastStudy, X: Tensor, targets: Tensor, tick: Tick
) -> tuple[Models, Float[Tensor, "methods two students N k"]]:
    """Fresh features, each fitted to both kinds of targets, (methods, two, N, k); and their
    outputs on the training set."""
    learner, models, outputs = study.base.learner, [], []
    for W0 in _starts(study, study.n_students, "student", X):
        K = ntk(W0, X, None, learner)
        dual = _fit(K, targets, study)
        models.append((W0, tangent_weights(W0, X, dual, learner)))
        outputs.append(predict(K, dual))
        del K
        tick()
    return models, torch.stack(outputs, dim=2)


def _starts(study: ContrastStudy, n: int, name: str, X: Tensor) -> Tensor:
    """Initial weights, where X is."""
    data, seeds = study.base.data, one_draw.seeds_of(study.base.draw, n)
    return init_weights(seeds, study.base.learner, n_classes=data.n_classes, dim=data.dim,
                        name=name, device=str(X.device))  # fmt: skip


def _fit(
    K: Float[Tensor, "k N N"], targets: Float[Tensor, "methods fits N k"], study: ContrastStudy
) -> Float[Tensor, "methods fits k N"]:
    ridge, descent = targets
    return torch.stack([
        kernel_ridge(K, ridge, diag_reg=study.diag_reg),
        kernel_descent(K, descent, steps=study.descent_steps),
    ])  # fmt: skip


def _over_networks(outputs: Outputs) -> Float[Tensor, "methods 1 n k"]:
    return torch.stack([ensemble_outputs(members) for members in outputs])[:, None]


def _outputs(
    members: Models, students: Models, X: Tensor, learner: LearnerParams
) -> tuple[Outputs, ...]:
    """Of the learners, in the order of `WHO`."""

    def of_each(models: Models) -> tuple[Outputs, ...]:
        outputs = [tangent_outputs(*model, X, learner) for model in models]
        return torch.stack(outputs, dim=2).unbind(dim=1)

    single, parts = of_each(members)
    return single, _over_networks(single), _over_networks(parts), *of_each(students)


def _wrong(outputs: tuple[Outputs, ...], labels: Tensor) -> dict[str, Bool[Tensor, "networks n"]]:
    """Which inputs each learner misclassifies, by ``{method}_{who}``."""
    return {
        f"{method}_{who}": misclassified(F, labels)
        for who, by_method in zip(WHO, outputs, strict=True)
        for method, F in zip(METHODS, by_method, strict=True)
    }


def _watched(study: ContrastStudy, X: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Train network 0 for real and record how far it leaves its linearisation."""
    learner, watched = study.base.learner, X[: study.n_watch]
    W0 = _starts(study, 1, "init", X)
    start = ntk(W0[0], watched, None, learner)
    probes = {
        "linearisation_error": partial(linearisation_error, W0=W0, X=watched, learner=learner),
        "kernel_drift": partial(kernel_drift, start=start, X=watched, learner=learner),
    }
    trajectory = train(
        W0, X, labels, CrossEntropy(), learner=learner, schedule=study.watched, probes=probes,
        seeds=one_draw.seeds_of(study.base.draw, 1),
        record_every=max(1, study.watch_steps // RECORDS),
    )  # fmt: skip
    return {
        "steps": trajectory.recorded_steps,
        "watched_train_error": trajectory.train_error[:, 0],
        **{name: rows[:, 0] for name, rows in trajectory.probes.items()},
    }


register(Kind(name="tangent kernels", configuration=ContrastStudy, run=run_contrast,
              work=contrast_flops, steps=_reports, version=2))  # fmt: skip
