"""What chapter 7 shows of networks on inputs without views (names as in `report_networks`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.experiments.gaussian import condition_name, inputs_name
from mvlib.experiments.settings import Scale
from mvlib.findings.gaussian import (
    Cell,
    Row,
    agreement_counts,
    beyond_a_majority,
    error_gain,
    loss_removed,
    minority_followed,
    multi_view_curves,
    multi_view_removed,
    single_errors,
    single_view_examples,
    variance_share,
)
from mvlib.findings.report_networks import Record
from mvlib.findings.theorems import network_errors
from mvlib.run.sweep import load_family
from mvlib.store.entries import Arrays, Store
from mvlib.studies.gaussian import GaussianStudy
from mvlib.studies.single_model import SingleModelStudy

MultiView = tuple[SingleModelStudy, Sequence[Arrays]]  # with the arrays of each data draw
Counts = tuple[np.ndarray, np.ndarray]  # inputs that c networks know, and their average with them
Curves = dict[str, list[tuple[int, np.ndarray, float]]]  # labels -> value, networks, their average
BEST, WORST = 6, 4  # cells in the table of extremes


def load_rows(scale: Scale, name: str, store: Store) -> list[Row]:
    """The studies of a family with their arrays."""
    rows = load_family(scale, name, store)
    return [(e.study, arrays) for e, arrays in rows if isinstance(e.study, GaussianStudy)]


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
    return {
        f"{what} labels": [c for c in cells if (c.labels == "linear") == (what == "linear")]
        for what in ("linear", "network")
    }


def mean_errors(cells: Sequence[Cell]) -> tuple[float, float]:
    """Test error of one network and of the average, mean over cells."""
    single = [c.single.mean() for c in cells]
    return float(np.mean(single)), float(np.mean([c.ensemble for c in cells]))


def share_removed(single: Any, ensemble: Any) -> Any:
    """Share of the error (or loss) of single networks that their average is free of."""
    return 1 - ensemble / single


def grid_table(cells: Sequence[Cell]) -> list[Record]:
    """What averaging does, by condition."""
    return [
        {
            "cells": name,
            "training error, worst": max(c.train_error for c in some),
            "one network: test error": single,
            "average of all": ensemble,
            "points removed": 100 * (single - ensemble),
            "share of errors removed": share_removed(single, ensemble),
            "share of cross-entropy removed": float(np.mean([c.loss_removed for c in some])),
            "variance / mean square": float(np.mean([c.variance for c in some])),
        }
        for name, some in by_condition(cells).items()
        for single, ensemble in [mean_errors(some)]
    ]


def gain_values(rows: Sequence[Row], cells: Sequence[Cell], multi_view: MultiView) -> Record:
    """What averaging removes over the grid, and on multi-view data beside it."""
    single, ensemble = mean_errors(cells)
    curves = np.concatenate([a["variance_curve"] for _, a in rows])
    shares = np.array([c.removed for c in cells])
    removed = multi_view_removed(*multi_view)
    one = np.mean([e.mean() for e in network_errors(*multi_view)])
    points = 100 * removed * one * multi_view[0].data.single_view_fraction
    return {
        "mv-removed": f"{removed:.3f}",
        "loss-removed": f"{loss_removed(rows):.2f}",
        "halved": f"{(curves[:, 1] / curves[:, 0]).mean():.2f}",
        "single-points": f"{single:.1%}",
        "together-points": f"{ensemble:.1%}",
        "points": f"{100 * (single - ensemble):.2f}",
        "mv-points": f"{points:.2f}",
        "median-share": f"{np.median(shares):.2f}",
        "n-helped": int((shares > 0).sum()),
    }


def errors_left(cells: Sequence[Cell], multi_view: MultiView) -> tuple[np.ndarray, np.ndarray]:
    """Share of a single network's errors left in averages of 1, 2, ...: (cells, networks), and on
    multi-view data (draws, networks)."""
    return np.array([c.curve / c.curve[0] for c in cells]), multi_view_curves(*multi_view)


def left_values(left: np.ndarray, mv_left: np.ndarray) -> Record:
    """The two curves of `errors_left` with half of the networks and with all."""
    half = left.shape[1] // 2
    return {
        "half": half,
        "mv-networks": mv_left.shape[1],
        "left": f"{left[:, -1].mean():.2f}",
        "left-half": f"{left[:, half - 1].mean():.2f}",
        "mv-left": f"{mv_left[:, -1].mean():.2f}",
        "mv-left-half": f"{mv_left[:, half - 1].mean():.2f}",
    }


def who_is_followed(rows: Sequence[Row], draws: Sequence[Arrays]) -> dict[str, Counts]:
    """Kind of data -> numbers of inputs that 0, 1, ... networks get right, and of those among them
    that the average gets right."""
    examples = single_view_examples(draws)
    every = np.sum([e["agreement"][0] for e in examples], axis=0)
    known = np.sum([e["agreement_ensemble"][0] for e in examples], axis=0)
    return {"no views": agreement_counts(rows), "single-view inputs": (every, known)}


def followed_values(groups: Mapping[str, Counts]) -> Record:
    """Errors that no vote could remove, and how often the average follows a minority."""
    values: dict[str, object] = {"n-examples": int(groups["single-view inputs"][0].sum())}
    for prefix, counts in zip(("", "mv-"), groups.values(), strict=True):
        values[f"{prefix}minority"] = f"{minority_followed(*counts):.2f}"
        values[f"{prefix}beyond"] = f"{beyond_a_majority(counts[0]):.2f}"
    return values


def extremes_table(cells: Sequence[Cell]) -> list[Record]:
    """The cells in which averaging removes the largest shares of errors, and the smallest."""
    order = sorted(cells, key=lambda c: -c.removed)
    return [
        {
            **{name: getattr(c, name) for name in ("inputs", "labels", "condition", "learner")},
            "one network": float(c.single.mean()),
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
        "share-linear": linear,
        "share-other": network,
        "share-clean": condition["clean"],
        "share-label-noise": condition["label noise"],
    }
    return {
        "best": f"{best.inputs}, {best.labels} labels, {best.condition}, {best.learner}",
        "best-share": f"{best.removed:.2f}",
        "best-single": f"{best.single.mean():.1%}",
        "best-ensemble": f"{best.ensemble:.1%}",
        **{name: f"{share_removed(*mean_errors(some)):.2f}" for name, some in groups.items()},
    }


def gain_and_variance(cells: Sequence[Cell], draws: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Kind of data -> variance between networks over the mean square, share of errors and share of
    cross-entropy removed, (3, cells or data draws)."""
    points = {
        name: np.array([(c.variance, c.removed, c.loss_removed) for c in some]).T
        for name, some in by_labels(cells).items()
    }
    points["single-view inputs"] = np.concatenate(
        [
            [
                variance_share(e),
                share_removed(single_errors(e), e["ensemble_error"]),
                share_removed(e["single_loss"].mean(axis=1), e["ensemble_loss"]),
            ]
            for e in single_view_examples(draws)
        ],
        axis=1,
    )
    return points


def disagreement_values(cells: Sequence[Cell], draws: Sequence[Arrays]) -> Record:
    """How often two networks differ, and errors removed for each input on which they do."""
    single, ensemble = mean_errors(cells)
    examples = single_view_examples(draws)
    seen = np.mean([[e["disagreement"], error_gain(e)] for e in examples], axis=(0, 2))
    values: dict[str, object] = {}
    for name, (differ, gain) in {
        "no-views": (np.mean([c.disagreement for c in cells]), single - ensemble),
        "views": seen,
    }.items():
        values[f"differ-{name}"] = f"{differ:.2f}"
        values[f"per-{name}"] = f"{gain / differ:.2f}"
    return values


def errors_along(
    rows: Sequence[Row], samples: Sequence[Row], widths: Sequence[Row]
) -> dict[str, Curves]:
    """Errors along the number of samples N and along the width of the learner.

    Args:
        rows: the grid, which has one N of its own.
        samples: studies that differ in N from one of these each.
        widths: one study a kind of labels, with learners that differ in width.
    """

    def point(value: int, arrays: Arrays, i: int) -> tuple[int, np.ndarray, float]:
        return value, arrays["single_error"][i], float(arrays["ensemble_error"][i])

    plain = [
        r for r in rows if (inputs_name(r[0]), condition_name(r[0])) == ("one Gaussian", "clean")
    ]
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
            "one network": float(single.mean()),
            "average": ensemble,
            "share removed": float(share_removed(single.mean(), ensemble)),
        }
        for kind in along["N"]
        for what, curves in along.items()
        for value, single, ensemble in curves[kind]
    ]


def along_values(along: Mapping[str, Curves], widths: Sequence[Row]) -> Record:
    """Both ends of the curves: shares of errors removed, and variance."""
    values: dict[str, object] = {}
    ends = {"N": ("few", "many"), "width": ("narrow", "wide")}
    for i, (study, arrays) in enumerate(widths):
        kind, variance = study.data.labels.kind, variance_share(arrays)
        values[f"swept-{i}"] = kind
        for what, names in ends.items():
            for name, at in zip(names, (0, -1), strict=True):
                _, single, ensemble = along[what][kind][at]
                values[f"{name}-{i}"] = f"{share_removed(single.mean(), ensemble):.2f}"
        values[f"var-narrow-{i}"] = f"{variance[0]:.2f}"
        values[f"var-wide-{i}"] = f"{variance[-1]:.2f}"
    return values
