"""What the book shows of networks on photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mvlib.deep.photographs import class_names
from mvlib.experiments.images import ImageSize
from mvlib.findings.finding import Finding, records
from mvlib.findings.formatting import Family, Record, mean, number, percent, with_interval
from mvlib.findings.images import REPORTED
from mvlib.findings.worlds import World, frozen_features, gain, mean_error, removed, share_of_gain
from mvlib.store.entries import Arrays
from mvlib.studies.images import ImageStudy

ROWS = {
    "single": "single",
    "ensemble": "ensemble",
    "average": "training the average",
    "distilled": "distilled",
    "self_distilled": "self-distilled",
}
TITLES = {False: "halves of one photograph", True: "halves of two photographs"}

Learners = Mapping[str, World]  # "networks" or kind of frozen features, on one training set
Pair = tuple[np.ndarray, np.ndarray]  # errors of one network, and of the ensemble
Way = tuple[str, np.ndarray, np.ndarray]  # title, errors (shares, networks), ensemble's (shares,)


def setting_values(study: ImageStudy, size: ImageSize) -> Record:
    """The setting of the chapter's networks and of frozen features."""
    return {
        "dataset": study.data.dataset,
        "n-train": study.data.n_train,
        "n-test": study.data.n_test,
        "n-kernel-test": size.n_kernel_test,
        "n-learners": study.n_learners,
        "n-averages": size.n_averages,
        "n-sets": size.n_sets,
        "n-set-learners": size.n_set_learners,
        "n-students": size.n_students,
        "copies": study.data.copies,
        "augmented": study.data.copies - 1,
        "epochs": study.schedule.epochs,
        "width": study.width,
        "temperature": study.temperature,
        "longer": size.longer,
        "filters": size.n_filters,
        "ridge": size.diag_reg,
    }


def every_row(world: World, kernels: Mapping[str, Arrays]) -> dict[str, World]:
    """Networks and each kind of frozen features, on the first training set."""
    frozen = {kind: frozen_features(kind, [arrays]) for kind, arrays in kernels.items()}
    return {"networks": replace(world, draws=world.draws[:1]), **frozen}


def error_panels(learners: Learners) -> list[tuple[str, dict[str, np.ndarray]]]:
    """The rows' test errors for `image_figures.error_rows`."""
    return [
        (
            title.replace("ntk", "NTK"),
            {shown: world.draws[0][row].mean(axis=1) for row, shown in ROWS.items()},
        )
        for title, world in learners.items()
    ]


def error_table(learners: Learners) -> list[Record]:
    """Mean test error of each row, in percent."""
    numbers, shown = learners["networks"], ROWS | {"hard_student": "student, hard labels"}
    return [
        {"test error, %": title}
        | {
            of: 100 * mean_error(world, row) if world.has(row) else "as single"
            for of, world in learners.items()
        }
        | {"learners (networks)": len(numbers.draws[0].get(row, ())) or ""}
        for row, title in shown.items()
    ]


def error_values(learners: Learners) -> Record:
    """The mean errors that the text names."""
    short = {"networks": "net", "ntk": "ntk", "random convolutions": "conv"}
    every = learners.items()
    return {f"{short[of]}-{row}": percent(mean_error(w, row)) for of, w in every for row in ROWS}


def reported_table(learners: Learners) -> list[Record]:
    """Accuracies beside those reported for the paper's Figure 1."""
    networks, ntk = learners["networks"], learners["ntk"]
    return [
        {
            "test accuracy, %": shown,
            "ours: networks": number(100 * (1 - mean_error(networks, row)), 1),
            "ours: NTK": number(100 * (1 - mean_error(ntk, row)), 1),
            "reported (second-hand): CIFAR-10": number(REPORTED[row][0], 2),
            "reported (second-hand): CIFAR-100": number(REPORTED[row][1], 2),
        }
        for row, shown in ROWS.items()
    ]


def gain_values(world: World, ntk: World) -> Record:
    """Gains and shares of gains beside the claims, over all training sets."""
    gained = gain(world, "ensemble")
    first, others = (replace(world, draws=some) for some in (world.draws[:1], world.draws[1:]))
    again = gain(first, "ensemble_of_distilled", base="distilled")
    return {
        "removed": with_interval(removed(world)),
        "average-first": with_interval(share_of_gain(first, "average"), ".2f"),
        "average-others": with_interval(share_of_gain(others, "average"), ".2f"),
        "gain": with_interval(gained, ".2%"),
        "gain-again": with_interval(again, ".2%"),
        "gain-again-share": number(again[0] / gain(first, "ensemble")[0], 2),
        "ntk-average-share": with_interval(share_of_gain(ntk, "average"), ".2f"),
        "ntk-distilled-gain": with_interval(gain(ntk, "distilled", base="hard_student"), ".2%"),
    }


def fit_values(families: Mapping[str, Sequence[Arrays]]) -> Record:
    """Name -> share of the training images, as they are, that learners of a family get wrong."""
    return {
        f"fit-{name}": percent([a["train_error"].mean() for a in of], 2)
        for name, of in families.items()
    }


def world_values(world: World) -> Record:
    """Errors of a network, of the ensemble and of a student, and what the ensemble gains."""
    errors = {row: percent(mean_error(world, row)) for row in ("single", "ensemble", "distilled")}
    said = {"removed": (removed(world), ".1%"), "gain": (gain(world, "ensemble"), ".2%")}
    return errors | {name: with_interval(*found) for name, found in said.items()}


def half_errors(views: Family) -> tuple[list[float], dict[str, Pair]]:
    """mu of each study; where the halves come from -> errors of one network and of the ensemble,
    (2, shares) each: on whole images, on half images (mean of left and right)."""
    shares, curves = [], {}
    for two, title in TITLES.items():
        sets = [(e.study.base.data, a) for e, a in views]
        chosen = [(data, a) for data, a in sets if data.two_photographs == two]
        shares = [data.single_view_fraction for data, _ in chosen]
        alone = np.array([a["wrong"].mean(axis=(1, 2)) for _, a in chosen])
        together = np.array([a["ensemble_wrong"].mean(axis=1) for _, a in chosen])
        one, many = (np.stack([e[:, 0], e[:, 1:].mean(axis=1)]) for e in (alone, together))
        curves[title] = one, many
    return shares, curves


def half_table(shares: Sequence[float], curves: Mapping[str, Pair]) -> list[Record]:
    """The curves of `half_errors`, in percent."""
    return [
        {"halves of": title.removeprefix("halves of "), "μ": mu}
        | {
            f"{kind} images: {who}, %": float(100 * errors[row, i])
            for row, kind in ((1, "half"), (0, "whole"))
            for who, errors in zip(("one network", "ensemble"), pair, strict=True)
        }
        for title, pair in curves.items()
        for i, mu in enumerate(shares)
    ]


def half_values(shares: Sequence[float], curves: Mapping[str, Pair]) -> Record:
    """Both ends of the curves for halves of one photograph."""
    values: dict[str, object] = {"last-share": f"{shares[-1]:g}"}
    one, many = curves[TITLES[False]]
    for row, kind in enumerate(("whole", "half")):
        for who, errors in (("one", one), ("many", many)):
            for at, end in ((0, "first"), (-1, "last")):
                values[f"{who}-{kind}-{end}"] = percent(errors[row, at])
        values[f"gain-{kind}"] = number(100 * (one - many)[row, -1], 1)
    return values


def by_noise(single: Arrays, noisy: Family) -> dict[str, Arrays]:
    """Share of training labels replaced -> networks; none first."""
    return {"0%": single} | {f"{e.study.data.label_noise:.0%}": a for e, a in noisy}


def noise_table(networks: Mapping[str, Arrays]) -> list[Record]:
    """What is called variance, and what the ensemble gains; keys as from `by_noise`."""
    return [
        {
            "labels replaced": share,
            "single error, %": mean(each),
            "spread (standard deviation)": spread,
            "ensemble's gain": less,
            "gain / spread": less / spread,
            "variance / squared error": float(a["variance"]) / mean(a["squared_error"]),
            "cross-entropy, single": mean(a["cross_entropy"]),
            "cross-entropy, ensemble": float(a["ensemble_cross_entropy"]),
        }
        for share, a in networks.items()
        for each in [100 * a["wrong"].mean(axis=1)]
        for spread in [float(each.std(ddof=1))]
        for less in [mean(each) - 100 * mean(a["ensemble_wrong"])]
    ]


def noise_values(networks: Mapping[str, Arrays]) -> Record:
    """The table's first row in the text, and how many networks were as good as the ensemble."""
    clean, single = noise_table(networks)[0], networks["0%"]
    as_good = single["wrong"].mean(axis=1) <= single["ensemble_wrong"].mean()
    return {
        "spread": number(clean["spread (standard deviation)"], 2),
        "gain-over-spread": number(clean["gain / spread"], 1),
        "variance-share": percent(clean["variance / squared error"], 0),
        "as-good": int(as_good.sum()),
    }


def deletions(inside: Arrays) -> list[Way]:
    """The ways in which channels are deleted."""
    return [
        (f"{way}, {how}", inside[f"{key}_error"][i], inside[f"{key}_ensemble_error"][i])
        for i, way in enumerate(("at random", "by class"))
        for key, how in (("as_trained", "as trained"), ("refitted", "readout refitted"))
    ]


def deletion_table(shares: Sequence[float], ways: Sequence[Way]) -> list[Record]:
    """Errors with shares of the channels deleted, in percent."""
    return [
        {"channels deleted, %": 100 * share}
        | {
            f"{title}: {who}, %": float(100 * errors[j].mean())
            for title, *found in ways
            for who, errors in zip(("one network", "ensemble"), found, strict=True)
        }
        for j, share in enumerate(shares)
    ]


def deletion_values(shares: Sequence[float], ways: Sequence[Way]) -> Record:
    """Errors with most channels deleted at random."""
    values: dict[str, object] = {
        "most-deleted": percent(shares[-1]),
        "least-kept": percent(1 - shares[-1]),
    }
    for how, (_, single, ensemble) in zip(("kept", "refitted"), ways[:2], strict=True):
        values[f"one-{how}"] = percent(single[-1])
        values[f"many-{how}"] = percent(ensemble[-1])
    return values


def map_agreement(heat: np.ndarray) -> np.ndarray:
    """Correlation of the heat maps of every two networks, (pairs, images), of maps (networks,
    images, rows, columns); 0 where a map is flat."""
    flat = heat.reshape(*heat.shape[:2], -1)
    flat = flat - flat.mean(axis=2, keepdims=True)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12)
    return np.einsum("aip,bip->abi", unit, unit)[np.triu_indices(len(unit), 1)]


def shown_classes(study: ImageStudy, labels: np.ndarray) -> list[str]:
    """The classes of some images of the study's data, by name."""
    names = class_names(study.data.dataset)
    return [names[label] for label in labels]


def agreement_table(agreement: np.ndarray, titles: Sequence[str]) -> list[Record]:
    """`map_agreement` image by image."""
    return [
        {
            "image": f"{i} ({title})",
            "correlation of two networks' maps: mean": mean(pairs),
            "smallest": float(pairs.min()),
            "largest": float(pairs.max()),
        }
        for i, (title, pairs) in enumerate(zip(titles, agreement.T, strict=True), start=1)
    ]


def claim_table(found: Sequence[Finding]) -> list[Record]:
    """Every claim on photographs, and its verdict."""
    columns = {
        "claim": "statement",
        "bound": "prediction",
        "measured [95% interval]": "summary",
        "verdict": "verdict",
        "how": "caveat",
    }
    return records(found, columns)
