"""What the book shows of tangent kernels beside networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.findings.finding import Finding, records
from mvlib.findings.formatting import Family, Record, mean, number
from mvlib.findings.tangent_kernels import kernel_errors
from mvlib.findings.theorems import ensemble_errors, mean_of_draws, network_errors
from mvlib.paper.evaluation import LEARNED_SHARE
from mvlib.store.entries import Arrays
from mvlib.studies.kernel_contrast import METHODS, WHO
from mvlib.studies.single_model import SingleModelStudy

# Of `WHO`, in its order: the row's name, its name in words of the text, the networks' family.
LEARNERS = (
    ("single", "one", "single-model"),
    ("ensemble", "ens", "single-model"),
    ("training the average", "avg", "joint"),
    ("student, hard labels", "hard", "hard-labels"),
    ("student, distilled", "dist", "distilled"),
)
GAP = "mean distance of the teacher's outputs from the labels"
Panels = Mapping[str, Mapping[str, Sequence[np.ndarray]]]


def setting_values(family: Family) -> Record:
    """How the frozen learners were fitted."""
    study = family[0][0].study
    return {
        "n-seeds": study.n_seeds,
        "n-students": study.n_students,
        "n-draws": len(family),
        "ridge": study.diag_reg,
        "descent-steps": study.descent_steps,
    }


def learner_errors(study: SingleModelStudy, draws: Mapping[str, Sequence[Arrays]]) -> Panels:
    """Test errors of five learners in percent of all test inputs, one array a data draw: tangent
    kernels by each method (from "contrast"), then networks (from the families in `LEARNERS`).
    Their ensembles have as many members as the average that is trained as one, any of a draw's."""
    kernels = {
        f"tangent kernels, {method}": {
            row: kernel_errors(study, draws["contrast"], method, who)
            for who, (row, _, _) in zip(WHO, LEARNERS, strict=True)
        }
        for method in METHODS
    }
    networks = {row: network_errors(study, draws[name]) for row, _, name in LEARNERS}
    single, joint = draws["single-model"], draws["joint"]
    sized = [_ensembles_of(a, len(b["single_error"])) for a, b in zip(single, joint, strict=True)]
    networks["ensemble"] = [
        np.nanmean(errors, keepdims=True) for errors in network_errors(study, sized)
    ]
    networks["training the average"] = [np.array([e]) for e in ensemble_errors(study, joint)]
    percent = 100 * study.data.single_view_fraction  # of mu
    return {
        title: {row: [percent * errors for errors in draws] for row, draws in rows.items()}
        for title, rows in {**kernels, "networks": networks}.items()
    }


def _ensembles_of(single: Arrays, members: int) -> Arrays:
    """Errors of the averages of so many of a draw's networks, as far as they were tried."""
    curves = {"single_error": "size_curve", "multi_error": "size_curve_multi"}
    return {name: single[curve][members - 1] for name, curve in curves.items()}


def mean_table(panels: Panels) -> list[Record]:
    """Mean error over data draws: a row a learner, a column a panel."""
    return [
        {"test error, %": row} | {title: mean_of_draws(rows[row]) for title, rows in panels.items()}
        for row, _, _ in LEARNERS
    ]


def mean_values(rows: list[Record]) -> Record:
    """The same by the names that the text uses: ridge-one, ..., net-dist."""
    return {
        f"{key}-{short}": f"{error:.2g}%"
        for (_, short, _), row in zip(LEARNERS, rows, strict=True)
        for key, error in zip((*METHODS, "net"), list(row.values())[1:], strict=True)
    }


def teacher_table(kernels: Sequence[Arrays]) -> list[Record]:
    """What a kernel teacher's outputs on the training set tell beyond the labels."""
    return [
        {
            "fit": method,
            GAP: mean([float(a[f"{method}_ensemble_train_gap"]) for a in kernels]),
            "training error of a student": mean_of_draws(
                [a[f"{method}_hard_student_train_error"] for a in kernels]
            ),
        }
        for method in METHODS
    ]


def teacher_values(rows: list[Record]) -> Record:
    """The distances, by method."""
    return {f"gap-{row['fit']}": number(row[GAP], 4) for row in rows}


def laziness_values(kernels: Sequence[Arrays]) -> Record:
    """When the networks trained for real leave their linearisation by half, the first of them and
    the last, and how far their kernels turn."""
    half = [int(a["steps"][(a["linearisation_error"] > 0.5).argmax()]) for a in kernels]
    drift = number([a["kernel_drift"][-1] for a in kernels], 2)
    return {"lazy-until": f"{min(half)} to {max(half)}", "drift-end": drift}


def joint_errors(study: SingleModelStudy, runs: Family) -> dict[str, dict[int, float]]:
    """Test error over mu of L networks trained as one, by form and L."""
    return {
        f"{form} trained as one": {
            e.study.n_members: ensemble_errors(study, [a])[0]
            for e, a in runs
            if e.study.mean == (form == "mean")
        }
        for form in ("mean", "sum")
    }


def joint_table(study: SingleModelStudy, runs: Family) -> list[Record]:
    """A row a run."""
    return [
        {
            "trained as one": "mean" if e.study.mean else "sum",
            "L": e.study.n_members,
            "average: test error / μ": ensemble_errors(study, [a])[0],
            "members: single-view error": mean(a["single_error"]),
            "classes with both views, average": both_in_average(a["correlations"]),
            "steps": int(a["stop_step"].max()),
            "fitted": str(bool(a["fitted"].all())),
        }
        for e, a in runs
    ]


def both_in_average(correlations: np.ndarray) -> float:
    """Share of classes all of whose views some member has learned, (members, k, V).  Members are
    no networks of their own: the mark is a share of the largest correlation of all."""
    known = correlations.max(axis=0) > LEARNED_SHARE * correlations.max()
    return mean(known.all(axis=-1))


def finding_table(found: Sequence[Finding]) -> list[Record]:
    """A row a claim."""
    columns = {
        "claim": "heading",
        "goal or prediction": "predicted",
        "measured ratio [95% interval]": "summary",
        "how": "caveat",
    }
    return records(found, columns)
