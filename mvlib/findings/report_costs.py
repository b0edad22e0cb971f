"""What the book shows of the cost of a training step, from what `benchmarks/` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvlib.experiments.settings import Experiment
from mvlib.findings.formatting import Family, Record, mean, number, percent
from mvlib.findings.theorems import learned, mean_error
from mvlib.run.computing import work
from mvlib.run.cost import CostModel, PowerLaw, Shape, predict_seconds, shape_of, theory_shape
from mvlib.store.entries import Arrays
from mvlib.studies.one_draw import TYPICAL_STEPS
from mvlib.studies.single_model import SingleModelStudy

SYMBOLS = {
    "n_classes": "k",
    "n_patches": "P",
    "n_train": "N",
    "dim": "d",
    "n_neurons": "m",
    "n_networks": "L",
}
PRICES = {
    "flops": "an operation of the products",
    "correlations": "a correlation in the pointwise pass",
    "patch_floats": "a number of the patches",
    "weight_floats": "a weight",
    "once": "a step",
}
RATIOS = {
    "share_of_matmul": "bfloat16: the two matrix products alone / a step of mvlib",
    "share_of_matmul_float32": "float32: the two matrix products alone / a step of mvlib",
    "over_loop": "float32: a loop over networks with autograd, Definition 3.4 as printed / a step",
    "over_loop_tuned": "float32: the same with a tuned activation / a step",
    "over_torch_func": "float32: torch.func, vmap of grad, as printed / a step",
    "over_torch_func_tuned": "float32: the same with a tuned activation / a step",
    "over_jax": "float32: JAX, jit of vmap of grad / a step",
    "over_loop_autocast": "bfloat16: the loop under autocast, as printed / a step",
    "over_loop_autocast_tuned": "bfloat16: the same with a tuned activation / a step",
    "over_jax_bf16": "bfloat16: JAX, jit of vmap of grad / a step",
    "study_over_float32": "a whole study in float32, at the commit before / in bfloat16",
    "extra_memory_mb": "memory over data and weights, MB",
    "data_mb_over_float32": "memory of the training inputs / in float32",
    "reproduce_minutes": "minutes of two cores for all of the book",
}
THEORY = (10, 50, 100, 200, 1000)  # k

Measured = Mapping[str, Any]  # a file of `benchmarks/`


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Training steps along one size, all others fixed."""

    sizes: list[int]  # the values measured
    seconds: np.ndarray  # (values, 3): median, least and greatest over the rounds
    law: PowerLaw  # through the medians
    modelled: list[float]  # seconds by the cost model
    extra_bytes: list[float]  # memory beside the data and the weights


def named(sizes: Mapping[str, int]) -> str:
    """Sizes by the paper's symbols."""
    return ", ".join(f"{SYMBOLS[name]} = {value}" for name, value in sizes.items())


def scaling_axes(scaling: Measured, model: CostModel) -> dict[str, Axis]:
    """Size -> what was measured along it."""
    centre, over_rounds = scaling["centre"], ("seconds", "seconds_low", "seconds_high")
    return {
        name: Axis(
            sizes=axis["sizes"],
            seconds=np.stack([axis[key] for key in over_rounds], axis=1),
            law=PowerLaw(**axis["seconds_law"]),
            modelled=[predict_seconds(Shape(**centre | {name: n}), model) for n in axis["sizes"]],
            extra_bytes=axis["extra_bytes"],
        )
        for name, axis in scaling["axes"].items()
    }


def scaling_values(scaling: Measured, model: CostModel) -> Record:
    """Machine, rounds and the shape in the middle; how well the model fits, and the dimension at
    which the pointwise pass costs as much as the products."""
    machine, prices = scaling["details"], model.prices
    return {
        "machine": f"{machine['cpus']} cores ({machine['cpu']}), {machine['threads']} threads",
        "rounds": machine["rounds"],
        "centre": named(scaling["centre"]),
        "even-dim": number(prices.get("correlations", 0) / (4 * prices["flops"]), 0),
        "worst": percent(model.worst_error, 0),
        "typical": percent(model.median_error, 0),
    }


def scaling_table(axes: Mapping[str, Axis]) -> list[Record]:
    """Memory at both ends of every axis, and the exponent of seconds."""
    return [
        {
            "size": SYMBOLS[name],
            "from": axis.sizes[0],
            "to": axis.sizes[-1],
            "extra memory, MB, at both ends": "{:.0f} and {:.0f}".format(*ends),
            "exponent of seconds": axis.law.exponent,
            "95% interval": f"[{axis.law.low:.2f}, {axis.law.high:.2f}]",
        }
        for name, axis in axes.items()
        for ends in [[axis.extra_bytes[i] / 1e6 for i in (0, -1)]]
    ]


def price_table(model: CostModel) -> list[Record]:
    """The fitted prices."""
    prices = model.prices.items()
    return [{"price of": PRICES[kind], "nanoseconds": 1e9 * price} for kind, price in prices]


def foretold(
    axes: Mapping[str, Axis], scaling: Measured, largest: Measured
) -> dict[str, tuple[list[float], list[float]]]:
    """What the points are -> predicted and measured seconds a step."""
    held, every = scaling["held_out"], axes.values()
    return {
        "points of the fit": (
            [second for axis in every for second in axis.modelled],
            [float(second) for axis in every for second in axis.seconds[:, 0]],
        ),
        "shapes not fitted": (
            [shape["predicted_seconds"] for shape in held],
            [float(np.median(shape["seconds"])) for shape in held],
        ),
        "the largest, streamed": ([largest["predicted_seconds"]], [largest["seconds"]]),
    }


def largest_values(largest: Measured) -> Record:
    """The largest run beside what was predicted of it."""
    seconds, predicted = largest["seconds"], largest["predicted_seconds"]
    steps = largest["seconds_of_steps"]
    return {
        "large-shape": named(largest["shape"]),
        "large-data": f"{largest['data_bytes'] / 1e9:.0f} GB",
        "large-seconds": number(seconds, 1),
        "large-steps": len(steps),
        "large-range": f"{min(steps):.1f} to {max(steps):.1f}",
        "large-predicted": number(predicted, 1),
        "large-drawing": number(predicted - largest["predicted_training_seconds"], 1),
        "large-ratio": number(seconds / predicted, 2),
        "large-memory": number(largest["extra_bytes"] / 1e6, 0),
        "large-memory-predicted": number(largest["predicted_extra_bytes"] / 1e6, 0),
    }


def theory_table(model: CostModel) -> list[Record]:
    """Steps in the theorems' own regime as k grows, on the machine of the model."""
    shapes = [theory_shape(k) for k in THEORY]
    return [
        {
            "k": shape.n_classes,
            "P": shape.n_patches,
            "N": shape.n_train,
            "d": shape.dim,
            "inputs, TB": f"{4 * shape.rows * shape.dim / 1e12:.3g}",
            "operations a step": f"{shape.work()['flops']:.1e}",
            "hours a step, this machine": f"{hours:.2g}",
            "all steps, years": f"{TYPICAL_STEPS * hours / 8766:.2g}",
        }
        for shape in shapes
        for hours in [predict_seconds(shape, model) / 3600]
    ]


def flop_rate(study: SingleModelStudy, model: CostModel) -> float:
    """Operations of the products a second, in a step of these networks."""
    shape = shape_of(study)
    return shape.work()["flops"] / predict_seconds(shape, model)


def work_table(chosen: Sequence[Experiment], rate: float) -> list[Record]:
    """Work of families of experiments, and their time at so many operations a second."""
    families: dict[str, list[float]] = {}
    for e in chosen:
        families.setdefault(e.name, []).append(work(e.study) / 1e12)
    return [
        {
            "experiments": name,
            "how many": len(tflop),
            "work, TFLOP": f"{sum(tflop):.3g}",
            "hours, this machine": f"{sum(tflop) * 1e12 / rate / 3600:.3g}",
        }
        for name, tflop in families.items()
    ]


def work_values(chosen: Sequence[Experiment], rate: float) -> Record:
    """The rate in GFLOP/s, and days that all experiments take at it."""
    days = sum(work(e.study) for e in chosen) / rate / 86400
    return {"rate": f"{rate / 1e9:.0f}", "paper-days": f"{days:.0f}"}


def precision_table(family: Family) -> list[Record]:
    """A row a draw: the same networks trained in float32 and in bfloat16, at each step of rounding
    the same but for it; errors over mu, the largest difference of single-view errors, and the share
    of classes with the same views learned."""
    pairs = list(zip(family[::2], family[1::2], strict=True))
    return [
        {
            "draw": wide.study.draw,
            "networks": wide.study.n_networks,
            "error / mu in float32": mean_error(wide.study, [a]),
            "in bfloat16": mean_error(narrow.study, [b]),
            "largest difference of a network": float(gaps.max()),
            "classes with the same views": percent(same_views(a, b), 1),
        }
        for (wide, a), (narrow, b) in pairs
        for gaps in [np.abs(a["single_error"] - b["single_error"])]
    ]


def precision_values(family: Family) -> Record:
    """Over all draws: how many networks and classes, the share of classes with the same views,
    and the difference of mean errors over mu, the largest of any draw."""
    pairs = list(zip(family[::2], family[1::2], strict=True))
    gaps = [mean_error(e.study, [b]) - mean_error(e.study, [a]) for (e, a), (_, b) in pairs]
    study = family[0][0].study
    return {
        "precision-draws": len(pairs),
        "precision-classes": len(pairs) * study.n_networks * study.data.n_classes,
        "precision-same": percent([same_views(a, b) for (_, a), (_, b) in pairs]),
        "precision-gap": number(max(map(abs, gaps)), 4),
    }


def same_views(a: Arrays, b: Arrays) -> float:
    """Share of classes, over networks, in which two trainings learned the same views."""
    return mean((learned(a["correlations"]) == learned(b["correlations"])).all(axis=-1))


def comparison_table(latest: Measured, goals: Measured) -> list[Record]:
    """A step against other ways to write it: measured, wanted, and at best."""
    signs = {"at_least": ">=", "at_most": "<="}
    ratios, ceilings = latest["details"]["ratios"], latest["details"]["ceilings"]
    return [
        {
            "measure": text,
            "measured": ratio["median"] if ratio else latest.get(key) or "not measured",
            "quartiles": "{:.2f} to {:.2f}".format(*ratio["quartiles"]) if ratio else "",
            "goal": "".join(f"{signs[k]} {b}" for k, b in goals.get(key, {}).items() if k in signs),
            "ceiling": number(ceilings[key]["median"], 2) if key in ceilings else "",
        }
        for key, text in RATIOS.items()
        for ratio in [ratios.get(key)]
    ]
