"""What was tried to make a training step faster, each against the step as it is.

    python benchmarks/tried.py     # about three minutes on two cores -> benchmarks/tried.json

The same pass over the book's training set in float32, written in other ways, by turns; all must
arrive at the same ascent direction first.  The README's table "What pays, what does not" reads from
here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from contenders import Problem, problem, trained
from mvlib.experiments.settings import base_study, vary
from mvlib.paper import network as learner
from mvlib.paper.evaluation import learned_views, view_correlations
from mvlib.paper.multi_view_data import feature_vectors
from mvlib.paper.network import ascent_direction
from mvlib.paper.objectives import cross_entropy_residual
from mvlib.paper.step_rules import BoundedRelativeStep, WhenFitted
from report import HERE, command_line, provenance, write_atomically
from rounds import interleave, ratio, timed

TRIED_PATH = HERE / "tried.json"
AGREEMENT = 1e-4  # relative, as in run.py: rounding makes 1e-6
Pass = Callable[[], Tensor]
Pointwise = Callable[[Tensor, Problem], tuple[Tensor, Tensor]]


def main(arguments: list[str] | None = None) -> int:
    """Measure, write; returns the exit code 0."""
    options = command_line(__doc__, TRIED_PATH, rounds=7).parse_args(arguments)
    made_by = provenance(options.note)
    given = problem(vary(base_study("book"), precision="float32"))
    ways, reasons = variants(given), {}
    try:
        ways["torch.compile of the pointwise pass"] = compiled(given)
    except Exception as error:  # no compiler, or none that works: the plain path is what is kept
        reasons["torch.compile of the pointwise pass"] = str(error).splitlines()[0]
    reference = ways["as kept"]()
    for name, way in ways.items():
        gap = float((way() - reference).norm() / reference.norm())
        if not gap <= AGREEMENT:
            raise ValueError(f"{name!r} is off by {gap:.2g} and must agree to {AGREEMENT:g}.")
    seconds = interleave({n: partial(timed, way) for n, way in ways.items()}, options.rounds)
    kept = seconds["as kept"]
    record = {
        "times_as_long": {n: asdict(ratio(turns, kept)) for n, turns in seconds.items()},
        "reasons": reasons,
        "zeros": zeros(given),
        "step_rule": step_rule(),
        "details": made_by,
    }
    write_atomically(options.output, record)
    print(json.dumps(record, indent=2))
    return 0


def variants(given: Problem) -> dict[str, Pass]:
    """The pass as it is, and in other ways that need no compiler."""
    W, X, y = given.W, given.X, given.labels

    def residual(F: Tensor, rows: slice) -> Tensor:
        return cross_entropy_residual(F, y[rows])

    kept = partial(ascent_direction, W, X, residual, given.learner)
    ways: dict[str, Pass] = {"as kept": kept}
    for name, floats in (("blocks of 2^16", 1 << 16), ("blocks of 2^22", 1 << 22),
                         ("the whole data at once", 1 << 60)):  # fmt: skip
        ways[name] = partial(in_blocks, kept, floats)
    ways["powers by pow"] = partial(by_rows, given, with_pow)
    ways["neurons as columns"] = partial(by_columns, given)
    return ways


def in_blocks(kept: Pass, floats: int) -> Tensor:
    """The pass as it is with blocks of another size."""
    before = learner.CACHE_FLOATS
    learner.CACHE_FLOATS = floats
    try:
        return kept()
    finally:
        learner.CACHE_FLOATS = before


def with_pow(z: Tensor, given: Problem) -> tuple[Tensor, Tensor]:
    """Activations and slopes from their definitions, one power each."""
    q, varrho = given.learner.power, given.learner.threshold
    u = z.clamp(0, varrho)
    value = u**q / (q * varrho ** (q - 1)) + torch.relu(z - varrho)
    return value, (u / varrho) ** (q - 1)


def by_rows(given: Problem, pointwise: Pointwise) -> Tensor:
    """The pass as it is, with another pointwise pass."""
    S, k, m, d = given.W.shape
    N, P, _ = given.X.shape
    ascent = given.W.new_zeros(S * k * m, d)
    size = max(1, learner.CACHE_FLOATS // (P * S * k * m))
    for block, y in zip(given.X.split(size), given.labels.split(size), strict=True):
        x = block.reshape(-1, d)
        activation, slope = pointwise(given.W.view(-1, d) @ x.T, given)
        F = activation.view(S, k, m, len(block), P).sum(dim=4).sum(dim=2).permute(2, 0, 1)
        a = (cross_entropy_residual(F, y) / N).permute(1, 2, 0)
        slope.view(S, k, m, len(block), P).mul_(a[:, :, None, :, None])
        ascent.addmm_(slope, x)
    return ascent.view_as(given.W)


def by_columns(given: Problem) -> Tensor:
    """Patches as rows and neurons as columns: sums over patches run across memory."""
    S, k, m, d = given.W.shape
    N, P, _ = given.X.shape
    q, varrho = given.learner.power, given.learner.threshold
    ascent = given.W.new_zeros(S * k * m, d)
    size = max(1, learner.CACHE_FLOATS // (P * S * k * m))
    for block, y in zip(given.X.split(size), given.labels.split(size), strict=True):
        x = block.reshape(-1, d)
        z = x @ given.W.view(-1, d).T
        u = z.clamp(0, varrho)
        slope = u.clone()
        for _ in range(q - 2):
            slope.mul_(u)
        z.sub_(varrho).relu_().addcmul_(slope, u, value=1 / (q * varrho ** (q - 1)))
        F = z.view(len(block), P, S, k, m).sum(dim=(1, 4))
        a = cross_entropy_residual(F, y) / (N * varrho ** (q - 1))
        slope.view(len(block), P, S, k, m).mul_(a[:, None, :, :, None])
        ascent.addmm_(slope.T, x)
    return ascent.view_as(given.W)


def compiled(given: Problem) -> Pass:
    """The pointwise pass fused by torch.compile; raises whatever that raises where it cannot."""

    @torch.compile(dynamic=False)
    def fused(z: Tensor) -> tuple[Tensor, Tensor]:
        q, varrho = given.learner.power, given.learner.threshold
        u = z.clamp(0, varrho)
        slope = (u / varrho) ** (q - 1)
        return slope * u / q + torch.relu(z - varrho), slope

    way = partial(by_rows, given, lambda z, _: fused(z))
    way()  # compiles, for both sizes of blocks
    return way


def zeros(given: Problem) -> dict[str, float]:
    """What exact skipping could save: the share of correlations below 0, and of patches in which
    one network, or all of them, read nothing positive."""
    positive = (given.X[:200].reshape(-1, given.W.shape[3]) @ given.W.flatten(0, 2).T) > 0
    S = len(given.W)
    one = positive.view(len(positive), S, -1).any(dim=2)
    return {
        "correlations": 1 - float(positive.float().mean()),
        "patches_of_one_network": 1 - float(one.float().mean()),
        "patches_of_all": 1 - float(positive.any(dim=1).float().mean()),
    }


def step_rule() -> list[dict[str, float]]:
    """Steps until fitted, and where that ends, for several relative changes (smoke study, draw 3:
    an exploration draw); the smallest is the reference."""
    base = replace(vary(base_study("smoke", draw=3), precision="float32"), n_networks=6)
    given = problem(base)
    views = feature_vectors(base.data, base.draw)
    rows: list[dict[str, float]] = []
    reference: Tensor | None = None
    for change in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        rule = BoundedRelativeStep(max_step=3e4, relative_change=change)
        schedule = replace(base.schedule, step_rule=rule, stop_rule=WhenFitted(limit=3000))
        start = time.perf_counter()
        got = trained(given, schedule)
        seconds = time.perf_counter() - start
        learned = learned_views(view_correlations(got.weights, views))
        reference = learned if reference is None else reference
        rows.append({
            "relative_change": change,
            "steps": float(got.stop_step.float().mean()),
            "seconds": seconds,
            "same_learned_views": float((learned == reference).all(dim=-1).float().mean()),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
