"""Where each claim is shown in the book and which function measures it: what links are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mvlib.findings.finding import NAMED, Finding

MV = "mvlib.findings."


class Place(NamedTuple):
    """Of the claims whose names begin with `claims`: the label of the figure or table with the
    measurement, the function that computes the finding, and what one would look it up by if the
    paper has no name for it."""

    claims: str
    shown: str
    code: str
    said: str = ""


PLACES: dict[str, tuple[Place, ...]] = {
    "02-single-model": (
        Place("theorem-1", "fig-network-errors", "theorems.theorem_1"),
        Place("lottery-winners", "fig-margins", "theorems.lottery_finding", "The lottery"),
    ),
    "03-ensemble": (Place("theorem-2", "tab-size", "theorems.theorem_2"),),
    "04-distillation": (
        Place("theorem-3", "tab-students", "students.theorem_3"),
        Place("hard-label", "tab-students", "students.hard_label_student",
              "Students on hard labels"),
        Place("control-", "tab-students", "students.control",
              "Control: students of teachers that know no sample"),
        Place("distilled-ensemble", "fig-second-helping", "students.distilled_ensemble_gain",
              "Averaging distilled students"),
    ),
    "05-self-distillation": (
        Place("self-distillation", "fig-self-students", "students.self_distillation_claim",
              "Theorem 4 (self-distillation)"),
        Place("self-control", "fig-self-students", "students.control",
              "Control of self-distillation"),
    ),
    "06-ntk-contrast": (
        Place("ntk-ensemble", "tab-kernel-claims", "tangent_kernels.ntk_contradiction",
              "Tangent kernels: the ensemble"),
        Place("ntk-train", "tab-kernel-claims", "tangent_kernels.ntk_contradiction",
              "Tangent kernels: training the average"),
        Place("ntk-distilled", "tab-kernel-claims", "tangent_kernels.ntk_contradiction",
              "Tangent kernels: distillation"),
        Place("networks-train-average", "tab-kernel-claims",
              "tangent_kernels.networks_train_average", "Networks: training the average"),
        *(
            Place(f"{kind}-classifier{setting}", table, "other_learners.classifier_findings",
                  f"Not learnable by {kind} classifiers")
            for kind in ("linear", "polynomial")
            for setting, table in (("-without", "tab-classifiers"), ("", "tab-classifiers-noise"))
        ),
    ),
    "07-gaussian-inputs": (
        Place("gaussian-", "tab-gain", "gaussian.gaussian_ensemble_gain",
              "Gaussian inputs: the ensemble"),
    ),
    "08-real-images": (
        Place("images-ensemble", "tab-image-claims", "images.image_claims",
              "Photographs: the ensemble"),
        Place("images-distilled", "tab-image-claims", "images.image_claims",
              "Photographs: the distilled share"),
        Place("images-self", "tab-image-claims", "images.image_claims",
              "Photographs: self-distillation"),
        Place("images-train-average", "tab-image-claims", "images.image_claims",
              "Photographs: training the average"),
        Place("images-ntk", "tab-image-claims", "images.image_claims",
              "Photographs: distillation of tangent kernels"),
        Place("residual-distilled", "tab-augmented-claims", "images.residual_claims",
              "Normalised networks: the distilled share"),
        Place("residual-train-average", "tab-augmented-claims", "images.residual_claims",
              "Normalised networks: training the average"),
        Place("worlds-", "tab-worlds-claims", "worlds.distilled_share",
              "Three kinds of data: the distilled share"),
        Place("handmade-", "tab-handmade-claims", "picture_views.picture_claims",
              "Photographs as views"),
    ),
    "09-how-far-it-holds": (
        Place("four-features-single", "tab-four", "robustness.four_features_single",
              "Section 2.3: one network"),
        Place("four-features-ensemble", "tab-four", "robustness.four_features_ensemble",
              "Section 2.3: the ensemble"),
        Place("views-error", "tab-views", "robustness.views_error", "More than two views"),
        Place("flips", "tab-flips", "robustness.flips", "Remark 3.2: a stronger view"),
    ),
    "10-towards-the-limit": (
        Place("limit-", "fig-limit", "limit.limit_findings", "Many classes, reduced"),
        Place("train-average-ratio", "tab-average-ratio", "limit.train_average_ratio",
              "Networks of a small start: training the average"),
    ),
    "11-mixup": (
        Place("mixup-", "tab-mixup-claims", "other_learners.mixup_findings", "Midpoint mixup"),
    ),
}  # fmt: skip
# What the first page, and a chapter with many claims, say before one unfolds the rest.
HEADLINES = (
    *("theorem-1", "lottery-winners", "theorem-2", "theorem-3", "control-one-hot"),
    *("self-distillation", "ntk-distilled-over-hard", "networks-train-average-over-single"),
    *("gaussian-ensemble-gain", "images-ensemble-gain", "images-distilled-share-of-gain"),
    *("images-train-average-share-of-gain", "mixup-classes-with-both-views"),
)
# Where each claim is shown, by the beginning of its name.
CHAPTERS = {chapter: tuple(p.claims for p in places) for chapter, places in PLACES.items()}


def place(claim: str) -> tuple[str, Place]:
    """Chapter and place of a claim.

    Raises:
        LookupError: if the claim has none.
    """
    for chapter, places in PLACES.items():
        for one in places:
            if claim.startswith(one.claims):
                return chapter, one
    raise LookupError(f"no chapter shows {claim}; add it to PLACES in book/places.py")


def link(claim: str, text: str) -> str:
    """A link to the figure or table that shows a claim's measurement."""
    return f"{{ref}}`{text} <{place(claim)[1].shown}>`"


def code(claim: str, text: str = "code") -> str:
    """A link to the reference of the function that computes a claim's finding."""
    return f"{{py:obj}}`{text} <{MV}{place(claim)[1].code}>`"


def measured_by(function: str) -> str:
    """The figure or table of what a function finds, by its number; "" if it finds nothing."""
    shown = (p.shown for places in PLACES.values() for p in places if MV + p.code == function)
    return next((f"{{numref}}`{label}`" for label in shown), "")


def claims_page(found: Sequence[Finding]) -> str:
    """The table of all claims on the page from paper to code: a claim's name leads to where it is
    measured, its verdict to what was predicted."""
    rows = []
    for f in found:
        chapter, at = place(f.claim)
        verdict = f'<a href="chapters/{chapter}.html#verdict-{f.claim}">{f.verdict}</a>'
        name = at.code.rpartition(".")[2]
        claim = link(f.claim, at.said or NAMED[f.claim])
        rows.append(f"| {claim} | {f.statement} | {verdict} | {code(f.claim, name)} |")
    return "\n".join(
        ["| claim | what it says | verdict | in the code |", "|---|---|---|---|", *rows, ""]
    )
