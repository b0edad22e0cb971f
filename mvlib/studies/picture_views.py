"""Networks and students whose views are photographs: chapter 8's views that are made by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import require
from mvlib.deep.picture_views import PictureViews
from mvlib.paper.gradient_descent import Checkpoint, Progress
from mvlib.paper.multi_view_data import SampleKind, sample, stored
from mvlib.store.kinds import Kind, kind_of, register
from mvlib.studies.distillation import DistillationStudy, run_distillation
from mvlib.studies.single_model import SingleModelStudy, run_single_model

SHOWN = 2  # test inputs of each kind that are kept, to look at


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureStudy:
    """A study of networks, or of their students, on data of which every view is many photographs.

    A kind of its own, whose numbers depend on how photographs are read.
    """

    base: SingleModelStudy | DistillationStudy

    def __post_init__(self) -> None:
        look = self.root.data.appearance
        tip = "give the data's appearance a collection of photographs"
        require(isinstance(look, PictureViews), "base", "v", look, "have PictureViews", tip)

    @property
    def root(self) -> SingleModelStudy:
        """The networks' study: data, learner, draw and test sets."""
        return self.base if isinstance(self.base, SingleModelStudy) else self.base.base

    @property
    def teacher(self) -> PictureStudy | None:
        """The study that teaches, if this is one of students."""
        base = self.base
        return PictureStudy(base=base.teacher) if isinstance(base, DistillationStudy) else None


def run_picture_study(
    study: PictureStudy, teacher_outputs: np.ndarray | None = None,
    progress: Progress | None = None, *, device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What `run_single_model` or `run_distillation` returns; and of networks sheets (inputs, P, d)
    and sheet_labels, the first multi-view and then the first single-view test inputs, in float16.
    """
    base = study.base
    if isinstance(base, DistillationStudy):
        return run_distillation(
            base, teacher_outputs, progress, device=device, checkpoint=checkpoint
        )
    found = run_single_model(base, progress, device=device, checkpoint=checkpoint)
    kinds: tuple[SampleKind, ...] = ("multi", "single")
    shown = [sample(base.data, SHOWN, seed=base.draw, name="test", kind=kind) for kind in kinds]
    return found | {
        "sheets": np.concatenate([stored(inputs).half().numpy() for inputs in shown]),
        "sheet_labels": np.concatenate([inputs.labels.numpy() for inputs in shown]),
    }


register(Kind(
    name="pictures as views", configuration=PictureStudy, run=run_picture_study,
    work=lambda study: kind_of(study.base).work(study.base),
    steps=lambda study: kind_of(study.base).steps(study.base),
))  # fmt: skip
