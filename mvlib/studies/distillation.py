r"""The study behind Theorem 3 and self-distillation: students of networks of an earlier study on
the same draw.  All a student needs of these is their scores on the training set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.paper import objectives
from mvlib.paper.batches import Batches, check_batches
from mvlib.paper.ensemble import disjoint_ensembles, ensemble_outputs
from mvlib.paper.gradient_descent import Checkpoint, Progress, classification_error
from mvlib.paper.step_rules import Schedule
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw
from mvlib.studies.single_model import SingleModelStudy
from mvlib.studies.teachers import CONTROLS, without_knowledge

Target = Literal["labels", "average", "each", "one-hot", "shuffled", "smoothed"]
TARGETS: tuple[Target, ...] = get_args(Target)
Form = Literal["capped", "printed", "temperature"]
FORMS: tuple[Form, ...] = get_args(Form)
PASS = "pass train_outputs of the teaching study"


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationStudy:
    r"""Students of one teacher.

    Attributes:
        teacher: the study whose networks teach; its data, learner, draw and test sets are used.
        schedule: of the students.
        n_students: fresh networks; student r starts from the same weights whatever it is taught,
            so that studies are paired.
        target: what stands in the place of G in (4.3).  "average": c times the mean of all
            networks, (4.1), or, where the teaching study has disjoint ensembles, of one of them,
            the next for every student in turn.  "each": student r has network r to itself
            (self-distillation).  "labels": no teacher, training (3.1).  Controls carry no dark
            knowledge, see `without_knowledge`: "one-hot", "shuffled" and "smoothed", where
            outputs beyond the cap count as the cap.
        form: "printed" is (4.3); "capped" drops its push on outputs above the cap (see
            `TruncatedDistillation`); "temperature" is Hinton's form.
        generation: 1 for students of networks, 2, 3, ... down a chain of students; each draws
            its own initialisations.
        teacher_scale: c of (4.1), > 0.
        tau: of (4.2), > 0.
        rate_ratio: $\eta'/\eta$ of (4.3), >= 0.
        temperature, weight: T > 0 and lambda >= 0 of Hinton's form.
        record_every, n_watch, batches: as in `SingleModelStudy`; what the teachers were trained
            on does not matter here.
        growth: record as well what the proofs bound, see `one_draw.growth_probes`.
        keep_outputs: keep train_outputs, which are most of what is stored and which only
            students of these students need.
    """

    teacher: SingleModelStudy | DistillationStudy
    schedule: Schedule
    n_students: int
    target: Target = "average"
    form: Form = "capped"
    generation: int = 1
    teacher_scale: float = objectives.TEACHER_SCALE
    tau: float = objectives.TAU
    rate_ratio: float = objectives.RATE_RATIO
    temperature: float = 4.0
    weight: float = 1.0
    record_every: int = 0
    n_watch: int = 0
    batches: Batches | None = None
    growth: bool = False
    keep_outputs: bool = True

    def __post_init__(self) -> None:
        big = math.inf
        require(self.target in TARGETS, "target", "G", self.target, f"be one of {TARGETS}",
                "pick one")  # fmt: skip
        require(self.form in FORMS, "form", "", self.form, f"be one of {FORMS}", "pick one")
        one_draw.check_networks("n_students", self.n_students, 1, "train at least one student")
        enough = self.target != "each" or self.n_students <= self.n_teachers
        require(enough, "n_students", "L", self.n_students,
                f"be <= {self.n_teachers}", "each needs a teacher")  # fmt: skip
        first = 1 if isinstance(self.teacher, SingleModelStudy) else self.teacher.generation + 1
        mute = isinstance(self.teacher, DistillationStudy) and not self.teacher.keep_outputs
        require(not mute, "teacher.keep_outputs", "", False, "be True",
                "students learn from what it keeps")  # fmt: skip
        below = "students of a generation start alike: count on from the teacher's"
        require_int("generation", "", self.generation, first, below)
        require_number("teacher_scale", "c", self.teacher_scale, 0, big, "try 8", open_low=True)
        require_number("tau", "tau", self.tau, 0, big, "try 0.4", open_low=True)
        require_number("rate_ratio", "eta'/eta", self.rate_ratio, 0, big, "try 4")
        require_number("temperature", "T", self.temperature, 0, big, "try 4", open_low=True)
        require_number("weight", "lambda", self.weight, 0, big, "try 1")
        require_int("record_every", "", self.record_every, 0, "0 records the end only")
        require_int("n_watch", "n", self.n_watch, 0, "0 watches no test error")
        check_batches(self.batches, self.base.n_train)
        for field in ("growth", "keep_outputs"):
            value = getattr(self, field)
            require(isinstance(value, bool), field, "", value, "be True or False",
                    "False keeps less")  # fmt: skip

    @property
    def base(self) -> SingleModelStudy:
        """The study at the root: data, learner, draw and test sets."""
        return self.teacher if isinstance(self.teacher, SingleModelStudy) else self.teacher.base

    @property
    def n_teachers(self) -> int:
        """How many networks the teaching study has."""
        if isinstance(self.teacher, SingleModelStudy):
            return self.teacher.n_networks
        return self.teacher.n_students


def averages(study: DistillationStudy, outputs: Tensor) -> Tensor:
    """Of all networks, (1, N, k), or of each student's own ensemble, (students, N, k)."""
    size = study.teacher.ensemble_size if isinstance(study.teacher, SingleModelStudy) else 0
    if not 0 < size < len(outputs):
        return ensemble_outputs(outputs)[None]
    means = disjoint_ensembles(outputs, size)
    return means[torch.arange(study.n_students, device=means.device) % len(means)]


def target_outputs(study: DistillationStudy, outputs: Tensor, labels: Tensor) -> Tensor:
    """G on the training set, (1 or students, N, k), the scale c in it.

    Raises:
        BadInput: if the teachers' scores there are not of shape (teachers, N, k).
    """
    base, c = study.base, study.teacher_scale
    shape, found = (study.n_teachers, base.n_train, base.data.n_classes), tuple(outputs.shape)
    require(found == shape, "teacher_outputs", "G", found, f"be {shape}", PASS)
    if study.target == "each":
        return c * outputs[: study.n_students]
    G = c * averages(study, outputs)
    if study.target not in CONTROLS:
        return G
    if study.target == "smoothed":
        G = G.clamp(max=study.tau**-2)
    return without_knowledge(G, labels, study.target, scale=c,
                             generator=stream(base.draw, "shuffled teacher"))  # fmt: skip


def student_objective(
    study: DistillationStudy, outputs: np.ndarray | None, labels: Tensor
) -> objectives.Objective:
    """What the students are trained on.

    Raises:
        BadInput: if a teacher is needed and none is given.
    """
    if study.target == "labels":
        return objectives.CrossEntropy()
    wanted = f"be given for target {study.target!r}"
    require(outputs is not None, "teacher_outputs", "G", outputs, wanted, PASS)
    G = target_outputs(study, torch.as_tensor(outputs, device=labels.device), labels)
    if study.form == "temperature":
        return objectives.TemperatureDistillation(
            teacher_outputs=G, temperature=study.temperature, weight=study.weight
        )
    capped = study.form == "capped"
    return objectives.TruncatedDistillation(
        teacher_outputs=G, tau=study.tau, rate_ratio=study.rate_ratio, stop_at_cap=capped
    )


def run_distillation(
    study: DistillationStudy, teacher_outputs: np.ndarray | None = None,
    progress: Progress | None = None, *, device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train the students and test them as `run_single_model` tests networks, on the same inputs.

    Args:
        teacher_outputs: train_outputs of the teaching study, (teachers, N, k); not for "labels".
        progress, device, checkpoint: as in `train_networks`.

    Returns:
        what `one_draw.Trained` gives as lottery and results, and, with `growth`, as shown,
        networks being students; and teacher_train_error, the share of training samples that each
        teacher (the average, each network) gets wrong: 0 for a teacher that has fitted, which every
        claim presumes.

    Raises:
        BadInput: if a teacher is needed and none, or one of another shape, is given.
    """
    found = one_draw.train_networks(
        study.base, partial(student_objective, study, teacher_outputs), study.schedule,
        networks=study.n_students,
        # Students share nothing with the networks of the same seeds, nor generations.
        name="student" if study.generation == 1 else f"student {study.generation}",
        record_every=study.record_every, n_watch=study.n_watch, growth=study.growth,
        batches=study.batches, progress=progress, device=device, checkpoint=checkpoint,
    )  # fmt: skip
    wrong = teacher_train_error(study, teacher_outputs, found.data.labels.cpu())
    shown = found.shown() if study.growth else {}
    told = {"teacher_train_error": wrong} | shown | found.lottery() | found.results()
    if not study.keep_outputs:
        del told["train_outputs"]
    return one_draw.as_arrays(told)


def teacher_train_error(
    study: DistillationStudy, outputs: np.ndarray | None, labels: Tensor
) -> Tensor:
    """Share of the training set that each teacher gets wrong, (1,) or (students,); NaN without."""
    if study.target == "labels" or outputs is None:
        return torch.full((1,), math.nan)
    own = torch.as_tensor(outputs)
    own = own[: study.n_students] if study.target == "each" else averages(study, own)
    return classification_error(own, labels)


register(Kind(
    name="students", configuration=DistillationStudy, run=run_distillation, version=2,
    work=lambda study: one_draw.training_flops(
        study.base, study.schedule, networks=study.n_students, batches=study.batches
    ),
    steps=lambda study: one_draw.expected_steps(study.schedule.stop_rule),
))  # fmt: skip
