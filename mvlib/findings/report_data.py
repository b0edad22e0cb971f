"""What the book shows of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mvlib.findings.formatting import Record, number
from mvlib.paper.evaluation import law_of_the_sampler
from mvlib.paper.multi_view_data import MultiViewParams, Sample, sample, stored
from mvlib.studies.single_model import SingleModelStudy

KINDS: tuple[Literal["multi"], Literal["single"]] = ("multi", "single")


def data_values(study: SingleModelStudy) -> Record:
    """Every parameter of the data by its field, the noise's length, how many views of other classes
    an input shows on average, N and N_s."""
    data = study.data
    others = data.n_views * (data.n_classes - 1) * data.sparsity / data.n_classes
    return asdict(data) | {
        "n-other-views": number(others, 1),
        "noise-norm": number(data.noise_norm, 2),
        "n-train": study.n_train,
        "n-single": round(data.single_view_fraction * study.n_train),
    }


def readings(
    samples: Mapping[str, Sample], views: Float[Tensor, "k V d"], *, row: int = 3
) -> dict[str, tuple[np.ndarray, int]]:
    r"""$\langle x_p, v\rangle$ for every view and patch of one input of each sample, (k, V, P),
    and the input's class."""
    return {
        title: ((views @ stored(s)[row].T).numpy(), int(s.labels[row]))
        for title, s in samples.items()
    }


def with_small_dim(params: MultiViewParams) -> MultiViewParams:
    """The same data but for d, which the latent record, labels included, does not depend on."""
    return replace(params, dim=params.n_views * params.n_classes)


def law_table(params: MultiViewParams, *, n: int = 20_000) -> list[Record]:
    """`law_of_the_sampler` for n inputs of each kind."""
    small = with_small_dim(params)
    columns = ("quantity", "definition", "measured", "95% interval", "n")
    return [
        {"data": kind} | dict(zip(columns, row, strict=True))
        for kind in KINDS
        for row in law_of_the_sampler(sample(small, n, seed=0, name="count", kind=kind), small)
    ]
