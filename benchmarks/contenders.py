r"""One full-batch step of gradient descent on several networks, written in four ways.

All start from the same weights and data in memory, all do
$W \leftarrow W - \eta \nabla L(W)$ for every network, and all must arrive at the same weights
(`disagreement`) before anybody looks at a clock.
"""

from __future__ import annotations

import copy
import importlib.util
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from jax_worker import Arrays, serve
from mvlib.paper.gradient_descent import Trajectory, train
from mvlib.paper.multi_view_data import sample, stored
from mvlib.paper.network import LearnerParams, ascent_direction, init_weights
from mvlib.paper.objectives import CrossEntropy, cross_entropy_residual
from mvlib.paper.step_rules import ConstantStep, FixedSteps, Schedule
from mvlib.run.cost import Shape
from mvlib.studies.one_draw import seeds_of
from mvlib.studies.single_model import SingleModelStudy
from rounds import Seconds, timed

TIMED_STEPS = 2  # in one call of train(...); its first pass and its last are not counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What every contender is given.

    Attributes:
        W: the weights all start from, (seeds, k, m, d).
        X, labels: the training set, (n, P, d) and (n,); X as the learner's precision has it.
        schedule: step sizes of the study the problem comes from.
        eta: the constant step size of the others; it moves the largest weight by about as much
            as there is of it, so that weights afterwards say whether gradients agree.
    """

    W: Tensor
    X: Tensor
    labels: Tensor
    learner: LearnerParams
    schedule: Schedule
    eta: float


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to do a step: how long one takes, and the weights after one."""

    seconds: Seconds
    updated: Callable[[], Tensor]


def problem(study: SingleModelStudy, dtype: torch.dtype = torch.float32) -> Problem:
    """The study's own training set and networks at their initialisation."""
    data, learner = study.data, study.learner
    drawn = sample(data, study.n_train, seed=study.draw, name="train", dtype=dtype,
                   rounded=learner.rounds_inputs)  # fmt: skip
    seeds = seeds_of(study.draw, study.n_networks)
    W = init_weights(seeds, learner, n_classes=data.n_classes, dim=data.dim, dtype=dtype)
    X, labels = stored(drawn), drawn.labels
    ascent = ascent_direction(
        W, X, lambda F, rows: cross_entropy_residual(F, labels[rows]), learner
    )
    eta = float(W.abs().max() / ascent.abs().max())
    return Problem(W=W, X=X, labels=labels, learner=learner, schedule=study.schedule, eta=eta)


def random_problem(shape: Shape, study: SingleModelStudy) -> Problem:
    """A problem of any shape with the learner and the schedule of a study, Gaussian patches of
    length about 1: what a step costs depends on sizes and precision alone, and the multi-view
    distribution does not have every size."""
    generator = torch.Generator().manual_seed(0)
    S, k, m, d = shape.n_networks, shape.n_classes, shape.n_neurons, shape.dim
    learner = replace(study.learner, n_neurons=m)
    X = torch.empty(shape.n_train, shape.n_patches, d, dtype=input_dtype(learner))
    X.normal_(std=d**-0.5, generator=generator)
    return Problem(
        W=init_weights(range(S), learner, n_classes=k, dim=d),
        X=X,
        labels=torch.arange(shape.n_train) % k,
        learner=learner,
        schedule=study.schedule,
        eta=1.0,
    )


def input_dtype(learner: LearnerParams) -> torch.dtype:
    """Of the inputs of a learner in single precision."""
    return torch.bfloat16 if learner.rounds_inputs else torch.float32


def disagreement(given: Problem, updated: Tensor, reference: Tensor) -> float:
    """Length of the difference of two updates over the length of the reference's."""
    difference = torch.linalg.vector_norm(updated - reference)
    return float(difference / torch.linalg.vector_norm(reference - given.W))


# -- mvlib ------------------------------------------------------------------------------------


def trained(given: Problem, schedule: Schedule, **options: Any) -> Trajectory:
    """mvlib's own training of the problem."""
    W, X, labels = given.W, given.X, given.labels
    return train(W, X, labels, CrossEntropy(), learner=given.learner, schedule=schedule, **options)


def step_seconds(given: Problem) -> float:
    """Seconds a step of `train(...)` takes, called as a user calls it: from one report of
    progress to the next, which is one whole turn of its loop with step size, update, products,
    scores, loss, training error and stop rule.

    The last pass is left out: it is followed by no update and may be cheaper.
    """
    reports: list[float] = []
    schedule = replace(given.schedule, stop_rule=FixedSteps(steps=TIMED_STEPS + 1))
    trained(given, schedule, progress=lambda step, share: reports.append(time.perf_counter()))
    return (reports[TIMED_STEPS] - reports[0]) / TIMED_STEPS


def mvlib_train(given: Problem) -> Contender:
    """`mvlib.train`; its timed steps choose their size by the study's own rule, which is more
    work than the constant the others use."""

    def updated() -> Tensor:
        schedule = Schedule(step_rule=ConstantStep(given.eta), stop_rule=FixedSteps(steps=1))
        return trained(given, schedule).weights

    return Contender(lambda: step_seconds(given), updated)


# -- a module a network, in a loop ------------------------------------------------------------


class Network(nn.Module):
    """The network as one writes it with autograd: k m neurons as rows of one matrix.

    Its activation is Definition 3.4 as printed, three pieces chosen by `torch.where`; or, `tuned`,
    what was fastest of all that was tried in eager PyTorch.
    """

    def __init__(self, weights: Tensor, learner: LearnerParams, *, tuned: bool = False) -> None:
        super().__init__()
        self.tuned = tuned
        self.k, self.m, d = weights.shape
        self.learner = learner
        self.weight = nn.Parameter(weights.reshape(-1, d).clone())

    def forward(self, X: Tensor) -> Tensor:
        """Scores (n, k)."""
        q, varrho = self.learner.power, self.learner.threshold
        z = nn.functional.linear(X, self.weight)
        if self.tuned:
            u = z.clamp(0, varrho)
            polynomial = u.square().square() if q == 4 else u.pow(q)
            active = polynomial / (q * varrho ** (q - 1)) + torch.relu(z - varrho)
        else:
            rising = torch.where(
                z <= varrho, z**q / (q * varrho ** (q - 1)), z - (1 - 1 / q) * varrho
            )
            active = torch.where(z <= 0, torch.zeros_like(z), rising)
        return active.unflatten(-1, (self.k, self.m)).sum(dim=(1, 3))


def module_loop(given: Problem, *, tuned: bool = False) -> Contender:
    """One `nn.Module` and one `torch.optim.SGD` a network, one network after the other; in
    bfloat16 under `torch.autocast`, as PyTorch's recipe for mixed precision has it."""
    networks = [Network(W, given.learner, tuned=tuned) for W in given.W]
    optimizers = [torch.optim.SGD(net.parameters(), lr=given.eta) for net in networks]
    mixed = partial(torch.autocast, "cpu", torch.bfloat16, enabled=given.learner.rounds_inputs)

    def step() -> None:
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            with mixed():
                loss = nn.functional.cross_entropy(network(given.X), given.labels)
            loss.backward()
            optimizer.step()

    def reset() -> None:
        with torch.no_grad():
            for network, W in zip(networks, given.W, strict=True):
                network.weight.copy_(W.reshape(network.weight.shape))

    def seconds() -> float:
        reset()
        return timed(step)

    def updated() -> Tensor:
        reset()
        step()
        return torch.stack([net.weight.detach() for net in networks]).view_as(given.W)

    return Contender(seconds, updated)


# -- torch.func -------------------------------------------------------------------------------


def torch_func(given: Problem, *, tuned: bool = False) -> Contender:
    """`stack_module_state`, `functional_call` and `vmap(grad(...))`, as PyTorch's tutorial on
    model ensembling has it."""
    networks = [Network(W, given.learner, tuned=tuned) for W in given.W]
    state, buffers = torch.func.stack_module_state(networks)
    stacked = {name: value.detach() for name, value in state.items()}
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def loss(parameters: dict[str, Tensor], X: Tensor, labels: Tensor) -> Tensor:
        scores = torch.func.functional_call(skeleton, (parameters, {}), (X,))
        return nn.functional.cross_entropy(scores, labels)

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))

    def step() -> dict[str, Tensor]:
        found = gradients(stacked, given.X, given.labels)
        return {name: value - given.eta * found[name] for name, value in stacked.items()}

    assert not buffers
    return Contender(lambda: timed(step), lambda: step()["weight"].view_as(given.W))


# -- JAX --------------------------------------------------------------------------------------


def jax_missing() -> str | None:
    """Why there is no JAX contender, or None if there is one."""
    if importlib.util.find_spec("jax") is None:
        return "jax is not installed; pip install -r benchmarks/requirements.txt"
    return None


@contextmanager
def jax_grad(given: Problem) -> Iterator[Contender]:
    """`jit` of `vmap(grad(...))`, in a process of its own with as many threads as torch has here;
    compiled and warmed up, its data on the device.  bfloat16 inputs travel as float32: numpy has
    no such type, and the numbers are the same."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=serve, args=(theirs, torch.get_num_threads()), daemon=True)
    worker.start()
    theirs.close()  # else a worker that died would be waited for
    try:
        ours.send(
            Arrays(
                W=given.W.numpy(),
                X=given.X.to(given.W.dtype).numpy(),
                labels=given.labels.numpy(),
                bfloat16=given.learner.rounds_inputs,
                power=given.learner.power,
                threshold=given.learner.threshold,
                eta=given.eta,
            )
        )
        weights = torch.from_numpy(ours.recv().copy())

        def seconds() -> float:
            ours.send(True)
            return ours.recv()

        yield Contender(seconds, lambda: weights)
        ours.send(False)
        worker.join(timeout=10)
    finally:
        ours.close()
        worker.terminate()
        worker.join()
