r"""Two views made by hand: the left and the right half of a photograph.

A network that has learned to read one half of a class alone would err on half of the images that
show the other: Theorem 1 on real pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mvlib.deep.image_sets import HALVES, image_sets, only_half
from mvlib.paper.ensemble import ensemble_outputs
from mvlib.paper.gradient_descent import Progress
from mvlib.store.kinds import Kind, register
from mvlib.studies.images import ImageStudy, image_flops, image_steps, outputs_of, trained_learners
from mvlib.studies.one_draw import as_arrays


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewStudy:
    """Networks on images some of which have only one half."""

    base: ImageStudy  # `base.data.single_view_fraction` is mu


def run_views(
    study: ViewStudy, *, progress: Progress | None = None, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Train the networks and test them on whole images and on each half alone.

    Returns:
        wrong (3, L, n) in the order of `HALVES`, ensemble_wrong (3, n), and train_error (L,).
    """
    sets = image_sets(study.base.data, device=device)
    learners = trained_learners(study.base, sets, progress=progress)
    outputs = torch.stack([outputs_of(learners, only_half(sets.X_test, half)) for half in HALVES])
    together = torch.stack([ensemble_outputs(some) for some in outputs])
    train = outputs_of(learners, sets.X)
    return as_arrays({
        "wrong": outputs.argmax(dim=-1) != sets.y_test,
        "ensemble_wrong": together.argmax(dim=-1) != sets.y_test,
        "train_error": (train.argmax(dim=-1) != sets.y).float().mean(dim=1),
    })  # fmt: skip


register(Kind(name="image views", configuration=ViewStudy, run=run_views,
              work=lambda study: image_flops(study.base),
              steps=lambda study: image_steps(study.base), version=2))  # fmt: skip
