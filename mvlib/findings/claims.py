"""Every claim of the book beside its measurement, in the paper's order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from mvlib.core.checks import require
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import Experiment, Scale, base_study, precision_of
from mvlib.findings import robustness, students, worlds
from mvlib.findings.finding import Finding
from mvlib.findings.formatting import Family
from mvlib.findings.gaussian import gaussian_ensemble_gain, multi_view_removed
from mvlib.findings.images import image_claims, residual_claims
from mvlib.findings.limit import limit_findings, train_average_ratio
from mvlib.findings.other_learners import classifier_findings, mixup_findings
from mvlib.findings.picture_views import KINDS as HANDMADE
from mvlib.findings.picture_views import picture_claims
from mvlib.findings.tangent_kernels import networks_train_average, ntk_contradictions
from mvlib.findings.theorems import lottery_finding, theorem_1, theorem_2
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

CONTROLS = ("control-one-hot", "control-shuffled", "self-control")
# Networks on photographs: the families of a `worlds.photographs`, "single" first.
IMAGES = tuple(
    f"images-{kind}"
    for kind in ("single", "distilled", "self-distilled", "one-hot", "shuffled", "smoothed",
                 "average", "wide")
)  # fmt: skip
# The same of networks with batch normalisation and augmentation.
RESIDUAL = (
    *(n.replace("images", "residual") for n in IMAGES if n != "images-self-distilled"),
    "residual-as-long",
)
ROBUSTNESS = ("four-features", "views", "stronger-view")  # in the order of `robustness_findings`
# The families of experiments that the findings rest on.
NEEDED = (
    *("single-model", "many-inputs", "contrast", "joint"),
    *("hard-labels", "distilled", "self-distilled"),
    *(*CONTROLS, "control-smoothed", "joint-size"),
    *("gaussian", "gaussian-students"),
    *("many-classes-grown", "average-reduced"),
    *("mixup", "hard-labels-as-long", "classifiers", "classifiers-noise"),
    *(*IMAGES, "images-kernels", *RESIDUAL),
    *HANDMADE,
    *ROBUSTNESS,
)


def needed(scale: Scale) -> list[Experiment]:
    """Every experiment that `findings` reads."""
    return [e for name in NEEDED for e in experiments(scale, name)]


def findings(scale: Scale, run: Callable[[Experiment], Arrays]) -> list[Finding]:
    """Every finding at one scale; `run` returns an experiment's stored or fresh arrays.

    Raises:
        BadInput: if they are of different precisions.
    """
    study, chosen = base_study(scale), needed(scale)
    check_one_precision(chosen)
    families: dict[str, Family] = {
        name: [(e, run(e)) for e in group]
        for name, group in itertools.groupby(chosen, key=lambda e: e.name)
    }
    of = {name: [arrays for _, arrays in family] for name, family in families.items()}
    single = of["single-model"]
    photographs, residual = (
        worlds.photographs([pair for name in names for pair in families[name]])
        for names in (IMAGES, RESIDUAL)
    )
    return [
        theorem_1(study, single),
        theorem_2(study, single, families["many-inputs"]),
        lottery_finding(single),
        *ntk_contradictions(study, of["contrast"]),
        networks_train_average(study, single, of["joint"]),
        *student_findings(study, of),
        gaussian_ensemble_gain([(e.study, a) for e, a in families["gaussian"]], study, single),
        *limit_findings(families["many-classes-grown"]),
        train_average_ratio(families["average-reduced"]),
        *mixup_findings(of["mixup"], of["hard-labels-as-long"]),
        *classifier_findings(
            families["classifiers-noise"][0][0].study,
            of["classifiers-noise"],
            of["classifiers"],
            single,
        ),
        *picture_claims(
            families["handmade-single"][0][0].study.base, {name: of[name] for name in HANDMADE}
        ),
        *image_claims(photographs, of["images-kernels"][0], multi_view_removed(study, single)),
        *residual_claims(residual),
        *worlds.world_claims(
            worlds.multi_view(study, families),
            worlds.gaussian(families["gaussian-students"]),
            photographs,
        ),
        *robustness.robustness_findings(*(families[name] for name in ROBUSTNESS)),
    ]  # fmt: skip


def check_one_precision(chosen: Sequence[Experiment]) -> None:
    """Refuse experiments whose networks were trained in different precisions: a difference of two
    of them would be of rounding, too.

    Raises:
        BadInput: naming an experiment of each.
    """
    found = {precision_of(e.study): f"{e.name} ({e.label})" for e in chosen}
    found.pop(None, None)
    require(len(found) <= 1, "precision", "", found, "be the same for all that is compared",
            "compute them in one")  # fmt: skip


def student_findings(study: SingleModelStudy, of: Mapping[str, Sequence[Arrays]]) -> list[Finding]:
    """What is claimed of students, from their families' arrays, one a data draw."""
    hard, distilled = of["hard-labels"], of["distilled"]
    return [
        students.hard_label_student(study, hard),
        students.theorem_3(study, hard, distilled),
        students.distilled_ensemble_gain(study, distilled),
        students.self_distillation_claim(study, hard, of["self-distilled"]),
        *(students.control(study, name, hard, of[name]) for name in CONTROLS),
    ]
