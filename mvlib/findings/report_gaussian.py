"""What the book shows of networks on inputs without views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mvlib.experiments.gaussian import MOST, condition_name, inputs_name
from mvlib.experiments.settings import Scale
from mvlib.findings.formatting import Family, Record, mean, number, percent
from mvlib.findings.gaussian import (
    Cell,
    Row,
    beyond_a_majority,
    minority_followed,
    multi_view_removed,
    removed,
    removed_by_majority,
    removed_by_votes,
    second_right,
    share_removed,
    variance_share,
)
from mvlib.findings.report_networks import size_curves
from mvlib.findings.theorems import mean_error
from mvlib.findings.worlds import World
from mvlib.run.sweep import load_family
from mvlib.store.entries import Arrays, Store
from mvlib.studies.gaussian import gains
from mvlib.studies.single_model import SingleModelStudy

MultiView = tuple[SingleModelStudy, Sequence[Arrays]]  # with the arrays of each data draw
Counts = tuple[np.ndarray, np.ndarray]  # inputs that c networks know, and their average with them
Curves = dict[str, list[tuple[int, np.ndarray, float]]]  # labels -> value, networks, their average
KINDS = {"photographs": "photographs", "views": "single-view inputs"}
BEST, WORST = 6, 4  # cells in the table of extremes


def load_rows(scale: Scale, name: str, store: Store) -> list[Row]:
    """The studies of a family with their arrays."""
    family: Family = load_family(scale, name, store)
    return [(e.study, arrays) for e, arrays in family]


def single_view_examples(draws: Sequence[Arrays]) -> list[Arrays]:
    """`gains` of the stored single-view test inputs of each draw, as of one learner: those on which
    networks of the multi-view data err."""
    measured = [
        gains(torch.as_tensor(a["example_outputs"]), torch.as_tensor(a["example_labels"]))
        for a in draws
    ]
    return [{key: value[None].numpy() for key, value in one.items()} for one in measured]


def setting_values(rows: Sequence[Row]) -> Record:
    """The grid's sizes."""
    studies = [study for study, _ in rows]
    study, margin = studies[0], max(s.data.margin for s in studies)
    mixture = next(s.data for s in studies if s.data.n_clusters > 1)
    return {
        "d": study.data.dim,
        "places": study.data.positions,
        "k": study.data.n_classes,
        "n-train": study.n_train,
        "n-test": study.n_test,
        "n-networks": study.n_networks,
        "n-cells": sum(len(s.learners) for s in studies),
        "n-draws": len({s.draw for s in studies}),
        "n-clusters": mixture.n_clusters,
        "cluster-norm": f"{mixture.cluster_norm:g}",
        "noise": f"{100 * max(s.data.label_noise for s in studies):g}%",
        "margin": f"{100 * margin:g}%" if margin else "no inputs",
        "epochs": study.plan.epochs,
        "forms": "; ".join(form.label for form in study.learners),
    }


def by_condition(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by condition, and all of them."""
    names = dict.fromkeys(c.condition for c in cells)
    return {name: [c for c in cells if c.condition == name] for name in names} | {"all": [*cells]}


def by_labels(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by what labels the inputs: a linear function, or a network."""
    linear = [c for c in cells if c.labels == "linear"]
    return {"linear labels": linear, "network labels": [c for c in cells if c.labels != "linear"]}


def mean_errors(cells: Sequence[Cell]) -> tuple[float, float]:
    """Test error of one network and of the average, mean over cells."""
    return mean([c.single.mean() for c in cells]), mean([c.ensemble for c in cells])


def grid_table(cells: Sequence[Cell]) -> list[Record]:
    """What averaging does, by condition."""
    return [
        {
            "cells": name,
            "training error, worst": max(c.train_error for c in some),
            "one network: test error": single,
            "average of all": ensemble,
            "points removed": 100 * (single - ensemble),
            "share of errors removed": 1 - ensemble / single,
            "share of cross-entropy removed": mean([c.loss_removed for c in some]),
            "variance / mean square": mean([c.variance for c in some]),
        }
        for name, some in by_condition(cells).items()
        for single, ensemble in [mean_errors(some)]
    ]


def gain_values(rows: Sequence[Row], cells: Sequence[Cell], multi_view: MultiView) -> Record:
    """What averaging removes over the grid, and on multi-view data beside it."""
    single, ensemble = mean_errors(cells)
    curves = np.concatenate([a["variance_curve"] for _, a in rows])
    shares = [c.removed for c in cells]
    mv_removed, mu = multi_view_removed(*multi_view), multi_view[0].data.single_view_fraction
    return {
        "mv-removed": number(mv_removed),
        "loss-removed": number(removed(rows, "loss"), 2),
        "halved": number(curves[:, 1] / curves[:, 0], 2),
        "single-points": percent(single),
        "together-points": percent(ensemble),
        "points": number(100 * (single - ensemble), 2),
        "mv-points": number(100 * mv_removed * mean_error(*multi_view) * mu, 2),
        "median-share": number(np.median(shares), 2),
        "n-helped": sum(share > 0 for share in shares),
    }


def errors_left(cells: Sequence[Cell], multi_view: MultiView) -> tuple[np.ndarray, np.ndarray]:
    """Share of a single network's errors left in averages of 1, 2, ...: (cells, networks), and on
    multi-view data (draws, networks)."""
    curves = [np.nanmean(curve, axis=1) for curve in size_curves(*multi_view)]
    return np.array([c.curve / c.curve[0] for c in cells]), np.array([c / c[0] for c in curves])


def left_values(left: np.ndarray, mv_left: np.ndarray) -> Record:
    """The two curves of `errors_left` with half of the networks and with all."""
    half = left.shape[1] // 2
    return {
        "half": half,
        "mv-networks": mv_left.shape[1],
        "left": number(left[:, -1], 2),
        "left-half": number(left[:, half - 1], 2),
        "mv-left": number(mv_left[:, -1], 2),
        "mv-left-half": number(mv_left[:, half - 1], 2),
    }


def who_is_followed(rows: Sequence[Row], draws: Sequence[Arrays]) -> dict[str, Counts]:
    """Kind of data -> numbers of inputs that 0, 1, ... networks get right, and of those among them
    that the average gets right, over all learners."""

    def counts(learners: Sequence[Arrays], name: str) -> np.ndarray:
        return np.concatenate([a[name] for a in learners]).sum(axis=0)

    kinds = {"no views": [a for _, a in rows], "single-view inputs": single_view_examples(draws)}
    return {
        kind: (counts(learners, "agreement"), counts(learners, "agreement_ensemble"))
        for kind, learners in kinds.items()
    }


def followed_values(groups: Mapping[str, Counts]) -> Record:
    """Errors that no vote could remove, and how often the average follows a minority."""
    values: dict[str, object] = {"n-examples": int(groups["single-view inputs"][0].sum())}
    for prefix, counts in zip(("", "mv-"), groups.values(), strict=True):
        values[f"{prefix}minority"] = number(minority_followed(*counts), 2)
        values[f"{prefix}beyond"] = number(beyond_a_majority(counts[0]), 2)
    return values


def extremes_table(cells: Sequence[Cell]) -> list[Record]:
    """The cells in which averaging removes the largest shares of errors, and the smallest."""
    order = sorted(cells, key=lambda c: -c.removed)
    return [
        {
            **{name: getattr(c, name) for name in ("inputs", "labels", "condition", "learner")},
            "one network": mean(c.single),
            "average": c.ensemble,
            "share removed": c.removed,
        }
        for c in [*order[:BEST], *order[-WORST:]]
    ]


def extremes_values(cells: Sequence[Cell]) -> Record:
    """The best cell, and shares of errors removed by labels and by label noise."""
    best = max(cells, key=lambda c: c.removed)
    linear, network = by_labels(cells).values()
    condition = by_condition(cells)
    groups = {
        "linear": linear,
        "other": network,
        "clean": condition["clean"],
        "label-noise": condition["label noise"],
    }
    errors = {name: mean_errors(some) for name, some in groups.items()}
    return {
        "best": f"{best.inputs}, {best.labels} labels, {best.condition}, {best.learner}",
        "best-share": number(best.removed, 2),
        "best-single": percent(best.single),
        "best-ensemble": percent(best.ensemble),
        **{f"share-{name}": number(1 - many / one, 2) for name, (one, many) in errors.items()},
    }


def gain_and_scatter(
    cells: Sequence[Cell], draws: Sequence[Arrays], photographs: World
) -> dict[str, np.ndarray]:
    """Kind of data -> variance between networks over the mean square (of photographs not known),
    share of errors that votes remove, and share that the average removes, (3, cells, data draws or
    training sets).  Votes are foretold from pairs of networks; on single-view inputs, where
    networks err on about half and a foretold vote is a coin, they are counted."""
    points = {
        name: [(c.variance, removed_by_votes(c.single.mean(), c.scatter), c.removed) for c in some]
        for name, some in by_labels(cells).items()
    }
    points["photographs"] = [
        (np.nan, *votes_and_average(draw["single"], draw["ensemble"])) for draw in photographs.draws
    ]
    points["single-view inputs"] = [
        (
            variance_share(e)[0],
            removed_by_majority(e["agreement"][0]),
            share_removed(e)[0],
        )
        for e in single_view_examples(draws)
    ]
    return {name: np.array(some).T for name, some in points.items()}


def votes_and_average(single: np.ndarray, ensemble: np.ndarray) -> tuple[float, float]:
    """Shares of errors that votes are foretold to remove and that the average removes, of what
    networks (L, n) and their average (1, n) get wrong."""
    every = np.bincount((~single).sum(axis=0), minlength=len(single) + 1)
    error = float(single.mean())
    return removed_by_votes(error, second_right(every)), 1 - float(ensemble.mean()) / error


def scatter_values(cells: Sequence[Cell], points: Mapping[str, np.ndarray]) -> Record:
    """How well the gain is foretold, and by what; the scatter of some cells in the text."""
    _, foretold, less = np.concatenate([points[name] for name in by_labels(cells)], axis=1)
    by = {
        "variance": [c.variance for c in cells],
        "disagreement": [c.disagreement for c in cells],
        "scatter": [c.scatter for c in cells],
    }
    share = [c.removed for c in cells]
    most = [c for c in cells if c.labels == "linear" and c.condition == MOST]
    groups = {"most": most or list(cells), **dict(zip(("linear", "other"),
              by_labels(cells).values(), strict=True))}  # fmt: skip
    return {
        **{f"rank-{name}": number(rank_correlation(x, share), 2) for name, x in by.items()},
        "off": number(abs(foretold - less), 2),
        **{
            f"scatter-{name}": number([c.scatter for c in some], 2) for name, some in groups.items()
        },
        **{f"votes-{tag}": number(points[name][1], 2) for tag, name in KINDS.items()},
        **{f"average-{tag}": number(points[name][2], 2) for tag, name in KINDS.items()},
    }


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's."""
    a, b = (np.argsort(np.argsort(values)) for values in (x, y))
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))


def errors_along(
    rows: Sequence[Row], samples: Sequence[Row], widths: Sequence[Row]
) -> dict[str, Curves]:
    """Errors along the number of samples N, of `samples` and those rows of the grid that differ
    from them in N alone, and along the width of the learner, of `widths`, one study a kind of
    labels."""

    def point(value: int, arrays: Arrays, i: int) -> tuple[int, np.ndarray, float]:
        return value, arrays["single_error"][i], float(arrays["ensemble_error"][i])

    names = ("one Gaussian", "clean")
    plain = [r for r in rows if (inputs_name(r[0]), condition_name(r[0])) == names]
    along: dict[str, Curves] = {"N": {}, "width": {}}
    for wide, arrays in widths:
        kind = wide.data.labels.kind
        same = [row for row in [*samples, *plain] if row[0].data.labels.kind == kind]
        same.sort(key=lambda row: row[0].n_train)
        along["N"][kind] = [point(study.n_train, a, 0) for study, a in same]
        along["width"][kind] = [point(f.width, arrays, i) for i, f in enumerate(wide.learners)]
    return along


def along_table(along: Mapping[str, Curves]) -> list[Record]:
    """The points of `errors_along`."""
    return [
        {
            "labels": kind,
            "setting": f"{what} = {value}",
            "one network": mean(single),
            "average": ensemble,
            "share removed": float(1 - ensemble / single.mean()),
        }
        for kind in along["N"]
        for what, curves in along.items()
        for value, single, ensemble in curves[kind]
    ]


def along_values(along: Mapping[str, Curves], widths: Sequence[Row]) -> Record:
    """Both ends of the curves: shares of errors removed, and variance."""
    values: dict[str, object] = {}
    ends = (("N", 0, "few"), ("N", -1, "many"), ("width", 0, "narrow"), ("width", -1, "wide"))
    for i, (study, arrays) in enumerate(widths):
        values[f"swept-{i}"] = kind = study.data.labels.kind
        for what, at, name in ends:
            _, single, ensemble = along[what][kind][at]
            values[f"{name}-{i}"] = number(1 - ensemble / single.mean(), 2)
        for _, at, name in ends[2:]:
            values[f"var-{name}-{i}"] = number(variance_share(arrays)[at], 2)
    return values
