r"""Two views made by hand: the left and the right half of a photograph.

Some training images have only one half.  A network that has learned to read one half of a class
alone would err on half of the images that show the other: Theorem 1 on real pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mvlib.ensemble import ensemble_outputs
from mvlib.image_sets import HALVES, image_sets, only_half
from mvlib.image_training import (
    ImageStudy,
    image_flops,
    image_steps,
    outputs_of,
    trained_learners,
)
from mvlib.training import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewStudy:
    """Networks on images some of which have only one half.

    Attributes:
        base: the networks and their data; `base.data.single_view_fraction` is mu.
    """

    base: ImageStudy

    @property
    def draw(self) -> int:
        """The draw of training images."""
        return self.base.draw


def view_steps(study: ViewStudy) -> int:
    """Training steps of all networks."""
    return image_steps(study.base)


def view_flops(study: ViewStudy) -> float:
    """Floating-point operations, about."""
    return image_flops(study.base)


def run_views(
    study: ViewStudy,
    progress: Progress | None = None,
    *,
    device: str = "cpu",
    folder: str | Path | None = None,
) -> dict[str, np.ndarray]:
    """Train the networks and test them on whole images and on each half alone.

    Returns:
        wrong (3, L, n) in the order of `HALVES`, ensemble_wrong (3, n), and train_error (L,).
    """
    sets = image_sets(study.base.data, device=device, folder=folder)
    learners = trained_learners(study.base, sets, progress=progress)
    wrong, together = [], []
    for half in HALVES:
        X = only_half(sets.X_test, half)
        outputs = torch.stack([outputs_of(members, X) for members in learners])
        wrong.append(outputs.argmax(dim=-1) != sets.y_test)
        together.append(ensemble_outputs(outputs).argmax(dim=-1) != sets.y_test)
    train = torch.stack([outputs_of(members, sets.X) for members in learners])
    arrays = {
        "wrong": torch.stack(wrong),
        "ensemble_wrong": torch.stack(together),
        "train_error": (train.argmax(dim=-1) != sets.y).float().mean(dim=1),
    }
    return {name: array.cpu().numpy() for name, array in arrays.items()}
