"""Theorem 3 and self-distillation as findings, and the controls that belong beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvlib.core.intervals import mean_interval
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import mean, number, with_interval
from mvlib.findings.theorems import (
    all_learned,
    counted,
    ensemble_errors,
    learned,
    mean_error,
    mean_of_draws,
    missed,
    network_errors,
    rough,
    with_ends,
)
from mvlib.paper.evaluation import predicted_single_error
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy


def _finding(
    study: SingleModelStudy, draws: Sequence[Arrays], *, caveat: str, **claim: Any
) -> Finding:
    """The mean error of students over mu, students nested in draws; the caveat ends with stop rule,
    fit and multi-view error, what every number about students depends on."""
    errors, fitted = network_errors(study, draws), np.concatenate([a["fitted"] for a in draws])
    return Finding(
        **claim,
        **estimate(*with_ends(errors)),
        n=len(fitted),
        caveat=(
            f"{caveat} {len(fitted)} students on {counted(draws)}, {taken(draws)}; "
            f"{int(fitted.sum())} fit their training "
            f"set; multi-view error {mean_of_draws([a['multi_error'] for a in draws]):.4f}; "
            f"bootstrap over draws, then students."
        ),
        few=rough(draws),
    )


def taken(draws: Sequence[Arrays]) -> str:
    """How many steps students took, in words."""
    steps = np.concatenate([a["stop_step"] for a in draws])
    if steps.min() == steps.max():
        return f"each after exactly {steps[0]} steps"
    return f"each stopped when it fitted, after {steps.min()} to {steps.max()} steps"


def less_than_hard(
    study: SingleModelStudy, hard: Sequence[Arrays], taught: Sequence[Arrays]
) -> tuple[float, float, float]:
    """How much lower the error of taught students is than that of the same students on hard
    labels (same data and initial weights), over mu: mean and 95% interval, paired.

    Taught students may be there for the first of the draws alone, as some controls are.
    """
    sides = network_errors(study, hard[: len(taught)]), network_errors(study, taught)
    differences = [h - t for h, t in zip(*sides, strict=True)]
    return with_ends(differences)


def _beside_hard(study: SingleModelStudy, hard: Sequence[Arrays], taught: Sequence[Arrays]) -> str:
    less = with_interval(less_than_hard(study, hard, taught))
    return f"Below the same students on hard labels by {less}, paired."


def theorem_3(
    study: SingleModelStudy, hard: Sequence[Arrays], distilled: Sequence[Arrays]
) -> Finding:
    r"""A student distilled from the ensemble errs on at most $0.001\mu$ of the test data.

    Choice: the capped form of (4.3), see `TruncatedDistillation`.

    Paper: Theorem 3.
    """
    members = study.ensemble_size or study.n_networks
    taught = max(float(a["teacher_train_error"].max()) for a in distilled)
    return _finding(
        study,
        distilled,
        claim="theorem-3",
        statement=f"A student of the average of {members} errs on almost nothing.",
        predicted=0.001,
        source="the paper's number",
        direction="at most",
        turn=mean_error(study, hard),
        caveat=f"{_beside_hard(study, hard, distilled)} Training error of the teacher {taught:g}.",
    )


def self_distillation_claim(
    study: SingleModelStudy, hard: Sequence[Arrays], taught: Sequence[Arrays]
) -> Finding:
    r"""A student of one single network errs on about $\mu/4$: an ensemble of two in disguise.
    With V views a class it is $(1 - 1/V)^2\mu$.

    Choice: the text prints no theorem, only the introduction's bound of $0.26\mu$ and the idea.
    Our reading: (4.3), capped, with G one trained network, another one for every student.  That
    bound leaves 4% above $\mu/4$; with other V we leave as much.

    Paper: Theorem 4 (self-distillation).
    """
    return _finding(
        study,
        taught,
        claim="self-distillation",
        statement="A student of one network has its own view and its teacher's.",
        predicted=1.04 * missed(study.data.n_views, known=2),
        source="the paper's number",
        direction="at most",
        turn=mean_error(study, hard),
        caveat=(
            "An ensemble of two in disguise comes to "
            f"{missed(study.data.n_views, known=2):g}. {_beside_hard(study, hard, taught)}"
        ),
    )


def hard_label_student(study: SingleModelStudy, hard: Sequence[Arrays]) -> Finding:
    """The same students without a teacher, stopped when they fit as networks are."""
    return _finding(
        study,
        hard,
        claim="hard-label-student",
        statement="Students on hard labels err as single networks do.",
        predicted=missed(study.data.n_views),
        source="ours",
        turn=missed(study.data.n_views) / 2,
        caveat="Networks like those of Theorem 1, from the students' initial weights.",
    )


def control(
    study: SingleModelStudy, name: str, hard: Sequence[Arrays], taught: Sequence[Arrays]
) -> Finding:
    """Students of a teacher without dark knowledge: what (4.3) does by itself."""
    what = {
        "control-one-hot": "whose teacher knows the label alone",
        "control-shuffled": "of the average's soft labels, dealt out anew within each class,",
        "self-control": "whose teacher knows the label alone, at the tau of self-distillation,",
    }[name]
    return _finding(
        study,
        taught,
        claim=name,
        statement=f"A student {what} errs as on hard labels.",
        predicted=missed(study.data.n_views),
        source="ours",
        turn=missed(study.data.n_views) / 2,
        caveat=f"Not a claim of the paper. {_beside_hard(study, hard, taught)}",
    )


def distilled_ensemble_gain(study: SingleModelStudy, distilled: Sequence[Arrays]) -> Finding:
    """What averaging distilled students still gains (the synthetic Figure 8)."""
    alone, averages = network_errors(study, distilled), ensemble_errors(study, distilled)
    gains = [np.array([a.mean() - b]) for a, b in zip(alone, averages, strict=True)]
    one = number(mean_of_draws(alone))
    return Finding(
        claim="distilled-ensemble-gain",
        statement="An ensemble of distilled students is hardly better than one of them, which errs "
        f"on {one} mu in all.",
        predicted=0.0,
        source="the paper's words",
        turn=missed(study.data.n_views) / 2,  # the gain of networks is .5
        **estimate(mean(gains), *mean_interval(gains)),
        n=len(gains),
        caveat=(
            f"Mean error of {len(distilled[0]['single_error'])} students, {one} mu, less that of "
            f"their average, {number(averages)} mu, on each of {len(gains)} data draws; an "
            f"ensemble is one unit: bootstrap over draws alone."
        ),
        few=rough(distilled),
    )


def own_and_teachers_view(
    teachers: Sequence[Arrays], taught: Sequence[Arrays]
) -> dict[str, np.ndarray]:
    """For each student and class: the view that the student's "own" start favours and the view that
    its "teacher" has, in 0..V-1, (students of all draws, k), and whether the student "has" learned
    each view, (students, k, V)."""
    pairs = list(zip(teachers, taught, strict=True))
    return {
        "own": np.concatenate([b["predicted_winner"] for b in taught]),
        "teacher": np.concatenate(
            [a["correlations"][: len(b["single_error"])].argmax(axis=-1) for a, b in pairs]
        ),
        "has": np.concatenate([learned(b["correlations"]) for b in taught]),
    }


def implicit_ensemble_prediction(
    study: SingleModelStudy, teachers: Sequence[Arrays], taught: Sequence[Arrays]
) -> float:
    """Self-distillation's error over mu if a student had exactly the view of its own start and its
    teacher's: one view of V where they agree, two where they differ, corrected for finite size as
    Theorem 1 is (`predicted_single_error`)."""
    views, data = own_and_teachers_view(teachers, taught), study.data
    missing = 1 - (2 - mean(views["own"] == views["teacher"])) / data.n_views
    return predicted_single_error(missing, n_classes=data.n_classes, sparsity=data.sparsity)


def share_with_all_views(draws: Sequence[Arrays]) -> float:
    """Share of (network or student, class) pairs that ended with all V views."""
    return mean_of_draws([all_learned(a["correlations"]) for a in draws])
