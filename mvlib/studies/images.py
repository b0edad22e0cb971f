r"""Networks and students on photographs: the network half of the paper's Figures 1, 6 and 8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.deep import image_networks
from mvlib.deep.image_networks import Epochs, Loss, ResidualNet
from mvlib.deep.image_sets import ImageData, ImageSets, image_sets
from mvlib.deep.optimisers import Weights
from mvlib.paper.ensemble import ensemble_outputs, size_curve
from mvlib.paper.gradient_descent import Progress
from mvlib.store.kinds import Kind, register
from mvlib.studies.one_draw import as_arrays, ticker
from mvlib.studies.teachers import CONTROLS, without_knowledge

LESSONS = ("labels", "average", "each", *CONTROLS)
SUBSETS = 20  # ensembles tried of every size
HALF = 5000  # training images from which outputs on them are kept in half precision: they are many


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageStudy:
    r"""Learners on one draw of training images.

    Choice: a student matches its teacher's softened outputs and sees no labels; teacher and
    student both at temperature T.

    Attributes:
        data: training and test images.
        width: c of `ResidualNet`.
        schedule: how each learner is trained.
        n_learners: L >= 1.
        first_seed: learners have seeds first_seed, first_seed + 1, ...
        members: each learner is the mean of so many networks trained as one; 1 is a network.
        target: "labels"; "average", the outputs of the teachers' mean; "each", learner l those of
            teacher l; or one of `CONTROLS`, the mean's without what it knows beyond the labels.
        teacher: the study whose networks' outputs on the same training set are taught, if any.
        temperature: T > 0.
        normalisation: of `ResidualNet`.
    """

    data: ImageData
    width: int
    schedule: Epochs
    n_learners: int
    first_seed: int
    members: int = 1
    target: str = "labels"
    teacher: ImageStudy | None = None
    temperature: float = 4.0
    normalisation: str = "none"

    def __post_init__(self) -> None:
        require_int("width", "c", self.width, 1, "try 16")
        require_int("n_learners", "L", self.n_learners, 1, "train at least one")
        require_int("first_seed", "seed", self.first_seed, 0, "pass a plain int")
        require_int("members", "L", self.members, 1, "train at least one network")
        require_number("temperature", "T", self.temperature, 0, math.inf, "try 4", open_low=True)
        image_networks.require_normalisation(self.normalisation)
        target, teacher = self.target, self.teacher
        require(target in LESSONS, "target", "", target, f"be one of {LESSONS}", "pick one")
        require((target == "labels") == (teacher is None), "teacher", "G", target,
                "have a teacher, or be labels", "set target and teacher together")  # fmt: skip
        if teacher:
            require(teacher.data == self.data, "teacher", "G", "its data", "be the student's own",
                    "teach on the same training set")  # fmt: skip
            n, most = self.n_learners, teacher.n_learners
            require(target != "each" or n <= most, "n_learners", "L", n, f"be <= {most}",
                    "each needs a teacher of its own")  # fmt: skip
            copies = self.data.copies
            require(target != "each" or copies == 1, "copies", "", copies, "be 1 for target 'each'",
                    "of augmented images the mean's outputs alone are kept")  # fmt: skip

    @property
    def seeds(self) -> list[int]:
        """Of the learners, in order."""
        return list(range(self.first_seed, self.first_seed + self.n_learners))


def image_steps(study: ImageStudy) -> int:
    """Training steps of all learners."""
    return study.n_learners * study.schedule.steps(study.data.n_shown)


def image_flops(study: ImageStudy) -> float:
    """Floating-point operations of training and testing, about, taking images of 28 x 28 pixels."""
    net = ResidualNet(n_classes=10, channels=1, side=28, width=study.width)
    passes = 3 * study.data.n_shown * study.schedule.epochs + study.data.n_test
    return net.flops() * passes * study.n_learners * study.members


def run_image_study(
    study: ImageStudy, *, teacher_outputs: np.ndarray | None = None,
    progress: Progress | None = None, device: str = "cpu",
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train the learners, test each of them and their ensemble; `teacher_outputs`,
    (teachers, N, k), are what `study.teacher` returned as train_outputs.

    Returns:
        what `learner_errors` returns; on the training images as they are train_error (L,) against
        the labels trained on and true_train_error (L,) against the labels before noise; and
        train_outputs (L, N, k), or where images are augmented those of the learners' mean alone,
        (1, N copies, k); of `HALF` images or more in float16.

    Raises:
        BadInput: if a student's teacher outputs are missing or of another shape.
    """
    sets = image_sets(study.data, device=device)
    learners = trained_learners(study, sets, teacher_outputs=teacher_outputs, progress=progress)
    train, test = (outputs_of(learners, X) for X in (sets.X, sets.X_test))
    kept = train if study.data.copies == 1 else ensemble_outputs(train)[None]
    n = study.data.n_train
    fitted = train[:, :n].argmax(dim=-1)
    return as_arrays({
        **learner_errors(test.cpu(), sets.y_test.cpu()),
        "train_error": (fitted != sets.y[:n]).float().mean(dim=1),
        "true_train_error": (fitted != sets.true_y[:n]).float().mean(dim=1),
        "train_outputs": kept.half() if len(sets.X) >= HALF else kept,
    })  # fmt: skip


def trained_learners(
    study: ImageStudy, sets: ImageSets, *, teacher_outputs: np.ndarray | None = None,
    progress: Progress | None = None,
) -> list[list[Weights]]:  # fmt: skip
    """The learners' networks after training, `members` for each, whose members s start where
    networks 1000 s, 1000 s + 1, ... do; learner s is the same alone or among others."""
    channels, side = sets.X.shape[1:3]
    net = ResidualNet(n_classes=sets.n_classes, channels=channels, side=side, width=study.width,
                      normalisation=study.normalisation)  # fmt: skip
    train = partial(image_networks.train_together, tick=ticker(image_steps(study), progress))
    trained, lessons = [], _lessons(study, sets, teacher_outputs)
    for seed, (targets, loss) in zip(study.seeds, lessons, strict=True):
        seeds = [seed] if study.members == 1 else [1000 * seed + i for i in range(study.members)]
        starts = [image_networks.init_network(s, net, device=str(sets.X.device)) for s in seeds]
        trained.append(train(starts, sets.X, targets, study.schedule, seed=seed, loss=loss))
    return trained


def _lessons(
    study: ImageStudy, sets: ImageSets, outputs: np.ndarray | None
) -> Sequence[tuple[Tensor, Loss]]:
    """What each learner is trained on: targets, one a training image, and the loss."""
    if study.target == "labels":
        return [(sets.y, nnf.cross_entropy)] * study.n_learners
    shape = None if outputs is None else outputs.shape
    networks = study.teacher.n_learners if study.teacher else 0
    need = (networks if study.data.copies == 1 else 1, len(sets.X), sets.n_classes)
    remedy = "pass the teacher's train_outputs"
    require(shape == need, "teacher_outputs", "G", shape, f"have shape {need}", remedy)
    teachers = torch.as_tensor(outputs).float().to(sets.X.device)
    together, n = ensemble_outputs(teachers), study.n_learners
    if study.target in CONTROLS:
        dealt = stream(study.data.draw, "shuffled teacher")
        (together,) = without_knowledge(together[None], sets.y, study.target, generator=dealt)
    taught = teachers[:n] if study.target == "each" else [together] * n
    return [image_networks.soft_labels(one, study.temperature) for one in taught]


def outputs_of(learners: Sequence[Sequence[Weights]], X: Tensor) -> Float[Tensor, "learners n k"]:
    """Outputs of every learner, each the mean of its members'."""

    def of(W: Weights) -> Tensor:
        return image_networks.in_blocks(partial(image_networks.image_outputs, W), X)

    return torch.stack([torch.stack([*map(of, some)]).mean(dim=0) for some in learners])


def learner_errors(
    outputs: Float[Tensor, "learners n k"], labels: Int[Tensor, " n"]
) -> dict[str, Tensor]:
    r"""What learners and their ensemble get wrong, and where their spread goes.

    Returns:
        wrong (L, n) and ensemble_wrong (n,), whether the largest output is not the label's;
        size_curve (L, subsets), errors of ensembles of 1 .. L; cross_entropy (L,) and
        ensemble_cross_entropy; and, with p the probabilities and bar p their mean over learners,
        squared_error (L,) = $\mathbb E\|p - y\|^2$, whose mean is exactly squared_bias +
        variance = $\mathbb E\|\bar p - y\|^2 + \mathbb E\|p - \bar p\|^2$.
    """
    together = ensemble_outputs(outputs)
    p, y = outputs.softmax(dim=-1), nnf.one_hot(labels, outputs.shape[-1])
    centre = p.mean(dim=0)
    return {
        "wrong": outputs.argmax(dim=-1) != labels,
        "ensemble_wrong": together.argmax(dim=-1) != labels,
        "size_curve": size_curve(outputs, labels, at_most=SUBSETS),
        "cross_entropy": torch.stack([nnf.cross_entropy(one, labels) for one in outputs]),
        "ensemble_cross_entropy": nnf.cross_entropy(together, labels),
        "squared_error": (p - y).square().sum(dim=-1).mean(dim=-1),
        "squared_bias": (centre - y).square().sum(dim=-1).mean(),
        "variance": (p - centre).square().sum(dim=-1).mean(),
    }


register(Kind(name="image networks", configuration=ImageStudy, run=run_image_study,
              work=image_flops, steps=image_steps, version=2))  # fmt: skip
