"""Experiments on inputs without views (chapter 7).

Settings were chosen on draw 0: single networks fit their training set and err well above zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mvlib.deep.networks import Architecture
from mvlib.deep.optimisers import Adam, Plan
from mvlib.experiments.settings import FIRST_DRAW, Experiment, Scale
from mvlib.studies.gaussian import GaussianData, GaussianStudy

LABEL_NOISE = 0.1
MARGIN = 0.2
# name -> (label noise, margin)
CONDITIONS: dict[str, tuple[float, float]] = {
    "clean": (0.0, 0.0),
    "label noise": (LABEL_NOISE, 0.0),
    "margin": (0.0, MARGIN),
    "noise and margin": (LABEL_NOISE, MARGIN),
}
LABELS: tuple[Architecture, ...] = (
    Architecture(kind="linear"),
    Architecture(kind="fully connected", width=32, depth=1),
    Architecture(kind="residual", width=32, depth=1),
    Architecture(kind="convolutional", width=8, depth=1),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSize:
    """What a scale changes.

    Attributes:
        widths: neurons of the fully connected, residual and convolutional learners, two hidden
            layers (blocks, convolutions) each.
        labels: indices into `LABELS`.
        conditions: names from `CONDITIONS`.
        sample_counts: N of the sweep, beside the grid's own.
        sweep_widths: of the fully connected learner.
        learning_rate: of Adam, at the start.
    """

    dim: int
    positions: int
    widths: tuple[int, int, int]
    n_train: int
    n_networks: int
    n_test: int
    epochs: int
    batch_size: int
    labels: tuple[int, ...]
    conditions: tuple[str, ...]
    sample_counts: tuple[int, ...]
    sweep_widths: tuple[int, ...]
    learning_rate: float = 0.004


GRID_SIZES: dict[str, GridSize] = {
    "smoke": GridSize(
        dim=12, positions=4, widths=(48, 32, 16), n_train=200, n_networks=4, n_test=500,
        epochs=30, batch_size=100, labels=(0, 3), conditions=("clean", "label noise"),
        sample_counts=(100,), sweep_widths=(24, 48), learning_rate=0.015,
    ),
    "book": GridSize(
        dim=32, positions=8, widths=(128, 96, 48), n_train=1000, n_networks=10, n_test=6000,
        epochs=40, batch_size=100, labels=(0, 1, 2, 3), conditions=tuple(CONDITIONS),
        sample_counts=(250, 500, 2000, 4000), sweep_widths=(32, 64, 128, 256),
    ),
    "paper": GridSize(
        dim=512, positions=32, widths=(1024, 512, 128), n_train=50000, n_networks=10,
        n_test=50000, epochs=40, batch_size=100, labels=(0, 1, 2, 3),
        conditions=tuple(CONDITIONS), sample_counts=(5000, 20000, 100000),
        sweep_widths=(128, 512, 2048),
    ),
}  # fmt: skip


def learners(scale: Scale) -> tuple[Architecture, ...]:
    """The three forms that learn."""
    full, residual, convolutional = GRID_SIZES[scale].widths
    return (
        Architecture(kind="fully connected", width=full, depth=2),
        Architecture(kind="residual", width=residual, depth=2),
        Architecture(kind="convolutional", width=convolutional, depth=2),
    )


def grid_study(
    scale: Scale, *, n_clusters: int, labels: int, condition: str, draw: int
) -> GaussianStudy:
    """One row of the grid: one way of making data, all learners."""
    size = GRID_SIZES[scale]
    label_noise, margin = CONDITIONS[condition]
    return GaussianStudy(
        data=GaussianData(
            dim=size.dim,
            positions=size.positions,
            n_classes=4,
            n_clusters=n_clusters,
            cluster_norm=4.0,
            labels=LABELS[labels],
            label_noise=label_noise,
            margin=margin,
        ),
        learners=learners(scale),
        plan=Plan(
            optimiser=Adam(),
            learning_rate=size.learning_rate,
            epochs=size.epochs,
            batch_size=size.batch_size,
        ),
        n_train=size.n_train,
        n_networks=size.n_networks,
        draw=draw,
        n_test=size.n_test,
    )


def gaussian_grid(scale: Scale) -> list[Experiment]:
    """Every kind of input and of labels has a data draw of its own, on which the conditions are
    compared."""
    size, made, draw = GRID_SIZES[scale], [], FIRST_DRAW
    for n_clusters in (1, 8):
        for labels in size.labels:
            for condition in size.conditions:
                study = grid_study(
                    scale, n_clusters=n_clusters, labels=labels, condition=condition, draw=draw
                )
                label = f"{inputs_name(study)}, {study.data.labels.kind} labels, {condition}"
                made.append(Experiment(name="gaussian", scale=scale, label=label, study=study))
            draw += 1
    return made


def inputs_name(study: GaussianStudy) -> str:
    """The kind of input in words."""
    return "one Gaussian" if study.data.n_clusters == 1 else "mixture"


def condition_name(study: GaussianStudy) -> str:
    """The condition in words."""
    chosen = (study.data.label_noise, study.data.margin)
    return next(name for name, values in CONDITIONS.items() if values == chosen)


def _swept(scale: Scale) -> list[GaussianStudy]:
    """Where the sweeps start: one Gaussian, the first two kinds of labels, the first learner."""
    rows = [e.study for e in gaussian_grid(scale)]
    kinds = [LABELS[i].kind for i in GRID_SIZES[scale].labels[:2]]
    return [
        replace(study, learners=study.learners[:1])
        for study in rows
        if isinstance(study, GaussianStudy)
        and inputs_name(study) == "one Gaussian"
        and condition_name(study) == "clean"
        and study.data.labels.kind in kinds
    ]


def gaussian_samples(scale: Scale) -> list[Experiment]:
    """More and fewer training samples, as many steps for each sample."""
    return [
        Experiment(
            name="gaussian-samples",
            scale=scale,
            label=f"{study.data.labels.kind} labels, N = {N}",
            study=replace(study, n_train=N),
        )
        for study in _swept(scale)
        for N in GRID_SIZES[scale].sample_counts
    ]


def gaussian_widths(scale: Scale) -> list[Experiment]:
    """Wider and narrower networks on the same data."""
    made = []
    for study in _swept(scale):
        forms = tuple(
            replace(study.learners[0], width=width) for width in GRID_SIZES[scale].sweep_widths
        )
        label = f"{study.data.labels.kind} labels, widths"
        made.append(
            Experiment(
                name="gaussian-width",
                scale=scale,
                label=label,
                study=replace(study, learners=forms),
            )  # fmt: skip
        )
    return made
