"""Experiments on inputs without views.

Settings were chosen on draw 0: single networks fit their training set and err well above zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from mvlib.deep.networks import Architecture, Form
from mvlib.deep.optimisers import Adam, Plan
from mvlib.experiments.settings import FIRST_DRAW, Families, Scale
from mvlib.studies.gaussian import GaussianData, GaussianStudy
from mvlib.studies.gaussian_kernels import GaussianKernelStudy
from mvlib.studies.teachers import CONTROLS

# name -> (label noise, margin)
CONDITIONS: dict[str, tuple[float, float]] = {
    "clean": (0.0, 0.0),
    "label noise": (0.1, 0.0),
    "margin": (0.0, 0.2),
    "noise and margin": (0.1, 0.2),
}
LABELS: tuple[Architecture, ...] = (
    Architecture(kind="linear"),
    Architecture(kind="fully connected", width=32, depth=1),
    Architecture(kind="residual", width=32, depth=1),
    Architecture(kind="convolutional", width=8, depth=1),
)
MOST = "margin"  # where, with linear labels, averaging removes most errors
LEARNERS: tuple[Form, ...] = ("fully connected", "residual", "convolutional")


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSize:
    """What a scale changes.

    Attributes:
        widths: of `LEARNERS`, two hidden layers (blocks, convolutions) each.
        labels: the labelling networks.
        conditions: names from `CONDITIONS`.
        sample_counts: N of the sweep, beside the grid's own.
        sweep_widths: of the fully connected learner.
        learning_rate: of Adam, at the start.
        equal_weights: width of a fully connected network with about as many weights as
            `n_networks` of `widths` have together.
        averages: how many times `n_networks` networks are trained as one.
        n_compared: data draws on which students and averages are trained.
        n_frozen, n_frozen_students, n_frozen_test, diag_reg: networks frozen at their start,
            students of their ensemble, test inputs, and the ridge.
    """

    dim: int
    positions: int
    widths: tuple[int, int, int]
    n_train: int
    n_networks: int = 10
    n_test: int
    epochs: int = 40
    labels: tuple[Architecture, ...] = LABELS
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    sample_counts: tuple[int, ...]
    sweep_widths: tuple[int, ...]
    learning_rate: float = 0.004
    equal_weights: int
    averages: int = 1
    n_compared: int = 8
    n_frozen: int = 5
    n_frozen_students: int = 3
    n_frozen_test: int = 2000
    diag_reg: float = 1e-3


GRID_SIZES: dict[str, GridSize] = {
    "smoke": GridSize(
        dim=12, positions=4, widths=(48, 32, 16), n_train=200, n_networks=4, n_test=500,
        epochs=30, labels=(LABELS[0], LABELS[3]), conditions=("clean", "label noise"),
        sample_counts=(100,), sweep_widths=(24, 48), learning_rate=0.015, equal_weights=104,
        n_compared=2, n_frozen=2, n_frozen_students=1, n_frozen_test=200,
    ),
    "book": GridSize(
        dim=32, positions=8, widths=(128, 96, 48), n_train=1000, n_test=6000,
        sample_counts=(250, 500, 2000, 4000), sweep_widths=(32, 64, 128, 256), equal_weights=442,
    ),
    "paper": GridSize(
        dim=512, positions=32, widths=(1024, 512, 128), n_train=50000, n_test=50000,
        sample_counts=(5000, 20000, 100000), sweep_widths=(128, 512, 2048), equal_weights=3723,
    ),
}  # fmt: skip


def gaussian_families(scale: Scale) -> Families:
    """Every way of making data, with all learners, and sweeps over two sizes.

    Every kind of input and of labels has a data draw of its own, on which the conditions are
    compared.
    """
    size, grid = GRID_SIZES[scale], {}
    learners = tuple(
        Architecture(kind=kind, width=width, depth=2)
        for kind, width in zip(LEARNERS, size.widths, strict=True)
    )
    plan = Plan(
        optimiser=Adam(),
        learning_rate=size.learning_rate,
        epochs=size.epochs,
        batch_size=100,
        precision="bfloat16",
    )
    for draw, (n_clusters, labels) in enumerate(product((1, 8), size.labels), FIRST_DRAW):
        for condition in size.conditions:
            label_noise, margin = CONDITIONS[condition]
            data = GaussianData(
                dim=size.dim,
                positions=size.positions,
                n_classes=4,
                n_clusters=n_clusters,
                cluster_norm=4.0,
                labels=labels,
                label_noise=label_noise,
                margin=margin,
            )
            study = GaussianStudy(
                data=data,
                learners=learners,
                plan=plan,
                n_train=size.n_train,
                n_networks=size.n_networks,
                draw=draw,
                n_test=size.n_test,
            )
            grid[f"{inputs_name(study)}, {labels.kind} labels, {condition}"] = study
    # Sweeps start from one Gaussian, the first two kinds of labels, the first learner.
    swept = [grid[f"one Gaussian, {labels.kind} labels, clean"] for labels in size.labels[:2]]
    full = learners[0]
    widths = tuple(replace(full, width=width) for width in size.sweep_widths)
    # Students and averages: the first learner on every kind of data, and where most is gained.
    compared = {
        label: study
        for label, study in grid.items()
        if study.draw < FIRST_DRAW + size.n_compared
        and (
            condition_name(study) == "clean"
            or (condition_name(study) == MOST and study.data.labels.kind == "linear")
        )
    }
    plain = {label: study for label, study in compared.items() if condition_name(study) == "clean"}
    return {
        "gaussian": grid,
        "gaussian-samples": {
            f"{study.data.labels.kind} labels, N = {N}": replace(study, learners=(full,), n_train=N)
            for study in swept
            for N in size.sample_counts
        },
        "gaussian-width": {
            f"{study.data.labels.kind} labels, widths": replace(study, learners=widths)
            for study in swept
        },
        "gaussian-students": {
            label: replace(
                study,
                learners=(full, replace(full, width=size.equal_weights)),
                students=("average", *CONTROLS),
                averages=size.averages,
            )
            for label, study in compared.items()
        },
        # The same networks again, and what one of them can teach.
        "gaussian-self-distilled": {
            label: replace(study, learners=(full,), students=("each",))
            for label, study in plain.items()
        },
        "gaussian-kernels": {
            label: GaussianKernelStudy(
                base=replace(
                    study, learners=(full,), n_networks=size.n_frozen, n_test=size.n_frozen_test
                ),
                n_students=size.n_frozen_students,
                diag_reg=size.diag_reg,
            )
            for label, study in plain.items()
        },
    }


def inputs_name(study: GaussianStudy) -> str:
    """The kind of input in words."""
    return "one Gaussian" if study.data.n_clusters == 1 else "mixture"


def condition_name(study: GaussianStudy) -> str:
    """The condition in words."""
    chosen = (study.data.label_noise, study.data.margin)
    return next(name for name, values in CONDITIONS.items() if values == chosen)
