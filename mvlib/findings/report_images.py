"""What chapter 8 shows of networks on photographs (names as in `report_networks`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.experiments.images import ImageSize
from mvlib.findings.finding import Finding
from mvlib.findings.images import (
    REPORTED,
    Rows,
    gain,
    kernel_rows,
    mean_errors,
    network_rows,
    share_of_gain,
)
from mvlib.findings.report_networks import Family, Record
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

Learners = Mapping[str, Rows]  # "networks" or kind of frozen features -> rows
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
        "epochs": study.schedule.epochs,
        "width": study.width,
        "temperature": study.temperature,
        "filters": size.n_filters,
        "ridge": size.diag_reg,
    }


def every_row(networks: Sequence[Arrays], kernels: Mapping[str, Arrays]) -> dict[str, Rows]:
    """Networks, and each kind of frozen features -> whether each learner of a row errs.

    Args:
        networks: single, average, distilled and self-distilled.
        kernels: kind of frozen features -> arrays.
    """
    return {"networks": network_rows(*networks)} | {
        kind: kernel_rows(arrays) for kind, arrays in kernels.items()
    }


def error_panels(learners: Learners) -> list[tuple[str, dict[str, np.ndarray]]]:
    """The rows' test errors for `image_figures.error_rows`."""
    return [
        (
            title.replace("ntk", "NTK"),
            {shown: rows[row].mean(axis=1) for row, shown in ROWS.items()},
        )
        for title, rows in learners.items()
    ]


def error_table(learners: Learners) -> list[Record]:
    """Mean test error of each row, in percent."""
    errors = {title: mean_errors(rows) for title, rows in learners.items()}
    records = [
        {"test error, %": shown}
        | {title: 100 * found[row] for title, found in errors.items()}
        | {"learners (networks)": len(learners["networks"][row])}
        for row, shown in ROWS.items()
    ]
    hard = {
        title: 100 * found["hard_student"] if "hard_student" in found else "as single"
        for title, found in errors.items()
    }
    return [*records, {"test error, %": "student, hard labels", **hard, "learners (networks)": ""}]


def error_values(learners: Learners) -> Record:
    """The mean errors that the text names."""
    short = {"networks": "net", "ntk": "ntk", "random convolutions": "conv"}
    return {
        f"{short[title]}-{row}": f"{mean_errors(rows)[row]:.1%}"
        for title, rows in learners.items()
        for row in ROWS
    }


def reported_table(learners: Learners) -> list[Record]:
    """Accuracies beside those reported for the paper's Figure 1."""
    networks, ntk = mean_errors(learners["networks"]), mean_errors(learners["ntk"])
    return [
        {
            "test accuracy, %": shown,
            "ours: networks": f"{100 * (1 - networks[row]):.1f}",
            "ours: NTK": f"{100 * (1 - ntk[row]):.1f}",
            "reported (second-hand): CIFAR-10": f"{REPORTED[row][0]:.2f}",
            "reported (second-hand): CIFAR-100": f"{REPORTED[row][1]:.2f}",
            "the paper's NTK": "",
        }
        for row, shown in ROWS.items()
    ]


def claim_table(found: Sequence[Finding]) -> list[Record]:
    """Every claim on photographs, and its verdict."""
    return [
        {
            "claim": f.statement,
            "bound": f.prediction,
            "measured [95% interval]": f.summary(),
            "verdict": f.verdict,
            "how": f.caveat,
        }
        for f in found
    ]


def gain_values(learners: Learners, wide: Arrays) -> Record:
    """Gains and shares of gains beside the claims; `wide` are networks with as many weights as a
    trained average."""
    rows, ntk = learners["networks"], learners["ntk"]
    gained = gain(rows, "ensemble")
    students = {"single": rows["distilled"], "ensemble": rows["ensemble_of_distilled"]}
    again = gain(students, "ensemble")
    points, share = "{:.2%} [{:.2%}, {:.2%}]", "{:.2f} [{:.2f}, {:.2f}]"
    return {
        "gain": points.format(*gained),
        "gain-again": points.format(*again),
        "gain-again-share": f"{again[0] / gained[0]:.2f}",
        "ntk-average-share": share.format(*share_of_gain(ntk, "average")),
        "ntk-distilled-gain": points.format(*gain(ntk, "distilled", base="hard_student")),
        "wide-share": share.format(*share_of_gain({**rows, "wide": wide["wrong"]}, "wide")),
    }


def half_errors(views: Family) -> tuple[list[float], dict[str, Pair]]:
    """Errors on whole and on half images, by where the halves come from.

    Returns:
        mu of each study; title -> errors of one network and of the ensemble, (2, shares) each:
        on whole images, on half images (mean of left and right).
    """
    shares, curves = [], {}
    for two, title in TITLES.items():
        chosen = [
            (e.study.base.data, a) for e, a in views if e.study.base.data.two_photographs == two
        ]
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
                values[f"{who}-{kind}-{end}"] = f"{errors[row, at]:.1%}"
        values[f"gain-{kind}"] = f"{100 * (one - many)[row, -1]:.1f}"
    return values


def by_noise(single: Arrays, noisy: Family) -> dict[str, Arrays]:
    """Share of training labels replaced -> networks; none first."""
    return {"0%": single} | {f"{e.study.data.label_noise:.0%}": a for e, a in noisy}


def noise_table(networks: Mapping[str, Arrays]) -> list[Record]:
    """What is called variance, and what the ensemble gains; keys as from `by_noise`."""
    records: list[Record] = []
    for share, a in networks.items():
        each, together = 100 * a["wrong"].mean(axis=1), 100 * float(a["ensemble_wrong"].mean())
        spread, less = float(each.std(ddof=1)), float(each.mean() - together)
        records.append(
            {
                "labels replaced": share,
                "single error, %": float(each.mean()),
                "spread (standard deviation)": spread,
                "ensemble's gain": less,
                "gain / spread": less / spread,
                "variance / squared error": float(a["variance"]) / float(a["squared_error"].mean()),
                "cross-entropy, single": float(a["cross_entropy"].mean()),
                "cross-entropy, ensemble": float(a["ensemble_cross_entropy"]),
            }
        )
    return records


def noise_values(networks: Mapping[str, Arrays]) -> Record:
    """The table's first row in the text, and how many networks were as good as the ensemble."""
    clean, single = noise_table(networks)[0], networks["0%"]
    as_good = single["wrong"].mean(axis=1) <= single["ensemble_wrong"].mean()
    return {
        "spread": f"{clean['spread (standard deviation)']:.2f}",
        "gain-over-spread": f"{clean['gain / spread']:.1f}",
        "variance-share": f"{clean['variance / squared error']:.0%}",
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
            f"{title}: {who}, %": float(100 * error)
            for title, single, ensemble in ways
            for who, error in (("one network", single[j].mean()), ("ensemble", ensemble[j]))
        }
        for j, share in enumerate(shares)
    ]


def deletion_values(shares: Sequence[float], ways: Sequence[Way]) -> Record:
    """Errors with most channels deleted at random."""
    values: dict[str, object] = {"most-deleted": f"{shares[-1]:.1%}"}
    for how, (_, single, ensemble) in zip(("kept", "refitted"), ways[:2], strict=True):
        values[f"one-{how}"] = f"{100 * float(single[-1].mean()):.1f}%"
        values[f"many-{how}"] = f"{100 * float(ensemble[-1]):.1f}%"
    return values


def map_agreement(heat: np.ndarray) -> np.ndarray:
    """Correlation of the heat maps of every two networks, (pairs, images), of maps (networks,
    images, rows, columns); 0 where a map is flat."""
    flat = heat.reshape(*heat.shape[:2], -1)
    flat = flat - flat.mean(axis=2, keepdims=True)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-12)
    return np.einsum("aip,bip->abi", unit, unit)[np.triu_indices(len(unit), 1)]


def agreement_table(agreement: np.ndarray, labels: np.ndarray) -> list[Record]:
    """`map_agreement` image by image."""
    return [
        {
            "image": f"{i} (class {label})",
            "correlation of two networks' maps: mean": float(pairs.mean()),
            "smallest": float(pairs.min()),
            "largest": float(pairs.max()),
        }
        for i, (label, pairs) in enumerate(zip(labels, agreement.T, strict=True), start=1)
    ]
