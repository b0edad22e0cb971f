"""Theorem 3 and self-distillation as findings, and the controls that belong beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mvlib.core.intervals import mean_interval
from mvlib.findings.finding import UNIT_MU, Direction, Finding, Source
from mvlib.findings.theorems import (
    all_learned,
    counted,
    ensemble_errors,
    mean_error,
    missed,
    network_errors,
    rough,
)
from mvlib.paper.evaluation import learned_views, predicted_single_error
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy


def _finding(
    study: SingleModelStudy,
    draws: Sequence[Arrays],
    *,
    claim: str,
    statement: str,
    predicted: float,
    source: Source,
    turn: float,
    caveat: str,
    direction: Direction = "at",
) -> Finding:
    """The mean error of students over mu, students nested in draws."""
    errors = network_errors(study, draws)
    low, high = mean_interval(errors)
    return Finding(
        claim=claim,
        statement=statement,
        predicted=predicted,
        source=source,
        direction=direction,
        turn=turn,
        measured=mean_error(study, draws),
        low=low,
        high=high,
        n=sum(len(e) for e in errors),
        unit=UNIT_MU,
        caveat=f"{caveat} {_stopped(draws)}",
    )


def _stopped(draws: Sequence[Arrays]) -> str:
    """Stop rule, fit, multi-view error: what every number about students depends on."""
    fitted = np.concatenate([a["fitted"] for a in draws])
    multi = np.mean([a["multi_error"].mean() for a in draws])
    return (
        f"{len(fitted)} students on {counted(draws)}, each after exactly "
        f"{int(draws[0]['stop_step'].max())} steps; {int(fitted.sum())} fit their training set; "
        f"multi-view error {multi:.4f}; bootstrap over draws, then students.{rough(draws)}"
    )


def less_than_hard(
    study: SingleModelStudy, hard: Sequence[Arrays], taught: Sequence[Arrays]
) -> tuple[float, float, float]:
    """How much lower the error of taught students is than that of the same students on hard
    labels (same data and initial weights), over mu: mean and 95% interval, paired.

    Taught students may be there for the first of the draws alone, as some controls are.
    """
    pairs = zip(
        network_errors(study, hard[: len(taught)]), network_errors(study, taught), strict=True
    )
    differences = [h - t for h, t in pairs]
    return float(np.mean([d.mean() for d in differences])), *mean_interval(differences)


def _beside_hard(study: SingleModelStudy, hard: Sequence[Arrays], taught: Sequence[Arrays]) -> str:
    mean, low, high = less_than_hard(study, hard, taught)
    return f"Below the same students on hard labels by {mean:.3f} [{low:.3f}, {high:.3f}], paired."


def theorem_3(
    study: SingleModelStudy, hard: Sequence[Arrays], distilled: Sequence[Arrays]
) -> Finding:
    r"""A student distilled from the ensemble errs on at most $0.001\mu$ of the test data.

    Choice: the capped form of (4.3), see `TruncatedDistillation`.

    Paper: Theorem 3.
    """
    taught = max(float(a["teacher_train_error"].max()) for a in distilled)
    return _finding(
        study,
        distilled,
        claim="theorem-3",
        statement=f"A student of the average of {study.n_networks} errs on almost nothing.",
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
    Our reading: (4.3), capped, with G one trained network, another one for every student.

    Paper: Self-distillation.
    """
    return _finding(
        study,
        taught,
        claim="self-distillation",
        statement="A student of one network has its own view and its teacher's.",
        predicted=missed(study.data.n_views, known=2),
        source="the paper's words",
        turn=mean_error(study, hard),
        caveat=f"The introduction bounds it by 0.26. {_beside_hard(study, hard, taught)}",
    )


def hard_label_student(study: SingleModelStudy, hard: Sequence[Arrays]) -> Finding:
    """The same students without a teacher, trained for as many steps."""
    return _finding(
        study,
        hard,
        claim="hard-label-student",
        statement="The same students on hard labels err as single networks do.",
        predicted=missed(study.data.n_views),
        source="ours",
        turn=missed(study.data.n_views) / 2,
        caveat="Trained past the first fit, unlike the networks of Theorem 1.",
    )


def control(
    study: SingleModelStudy, name: str, hard: Sequence[Arrays], taught: Sequence[Arrays]
) -> Finding:
    """Students of a teacher without dark knowledge: what (4.3) does by itself."""
    what = {
        "control-one-hot": "A teacher that is certain of the label and sees nothing else",
        "control-shuffled": "The average's soft labels, dealt out anew within each class",
    }[name]
    return _finding(
        study,
        taught,
        claim=name,
        statement=f"{what}: without dark knowledge there is little to gain.",
        predicted=missed(study.data.n_views),
        source="ours",
        turn=missed(study.data.n_views) / 2,
        caveat=f"Not a claim of the paper. {_beside_hard(study, hard, taught)}",
    )


def distilled_ensemble_gain(study: SingleModelStudy, distilled: Sequence[Arrays]) -> Finding:
    """What averaging distilled students still gains (the synthetic Figure 8)."""
    single = [e.mean() for e in network_errors(study, distilled)]
    gains = [
        np.array([s - e]) for s, e in zip(single, ensemble_errors(study, distilled), strict=True)
    ]
    low, high = mean_interval(gains)
    members = len(distilled[0]["single_error"])
    return Finding(
        claim="distilled-ensemble-gain",
        statement="An ensemble of distilled students is hardly better than one of them.",
        predicted=0.0,
        source="the paper's words",
        direction="at",
        turn=missed(study.data.n_views) / 2,  # the gain of networks is .5
        measured=float(np.mean(gains)),
        low=low,
        high=high,
        n=len(gains),
        unit=UNIT_MU,
        caveat=(
            f"Mean error of {members} students less the error of their average, on each of "
            f"{len(gains)} data draws; an ensemble is one unit: bootstrap over draws alone."
            f"{rough(distilled)}"
        ),
    )


def own_and_teachers_view(
    teachers: Sequence[Arrays], taught: Sequence[Arrays]
) -> dict[str, np.ndarray]:
    """For each student and class: the view the student's own start favours, the view its teacher
    has, and which views the student ends with.

    Returns:
        own, teacher: in 0..V-1, (students of all draws, k); has: whether each of the student's
        views counts as learned, (students, k, V).
    """
    own, teacher, has = [], [], []
    for a, b in zip(teachers, taught, strict=True):
        n = len(b["single_error"])
        own.append(b["predicted_winner"])
        teacher.append(a["correlations"][:n].argmax(axis=-1))
        has.append(learned_views(torch.as_tensor(b["correlations"])).numpy())
    return {name: np.concatenate(x) for name, x in
            (("own", own), ("teacher", teacher), ("has", has))}  # fmt: skip


def implicit_ensemble_prediction(
    study: SingleModelStudy, teachers: Sequence[Arrays], taught: Sequence[Arrays]
) -> float:
    """Self-distillation's error over mu if a student had exactly the view of its own start and its
    teacher's: one view of V where they agree, two where they differ, corrected for finite size as
    Theorem 1 is (`predicted_single_error`)."""
    views, data = own_and_teachers_view(teachers, taught), study.data
    known = 2 - float((views["own"] == views["teacher"]).mean())
    missing = 1 - known / data.n_views
    return predicted_single_error(missing, n_classes=data.n_classes, sparsity=data.sparsity)


def share_with_all_views(draws: Sequence[Arrays]) -> float:
    """Share of (student, class) pairs that ended with all V views."""
    return float(np.mean([all_learned(a["correlations"]).mean() for a in draws]))
