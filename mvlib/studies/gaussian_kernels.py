r"""Networks on inputs without views, frozen at their start: ridge regression on their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor
from torch.func import functional_call

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.deep.networks import init_many
from mvlib.paper.gradient_descent import Progress
from mvlib.store.kinds import Kind, register
from mvlib.studies.gaussian import GaussianStudy, both_sets, with_noise
from mvlib.studies.image_kernels import frozen_learners, products, tangent_map
from mvlib.studies.one_draw import seeds_of, ticker


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianKernelStudy:
    """Linear learners on tangent features of a study's first learner.

    Attributes:
        base: inputs, labels, N, draw, tests, and how many networks L.
        n_students: fresh maps, in [1, L]; see `frozen_learners`.
        diag_reg: lambda > 0 of the ridge, in units of the kernel's mean diagonal.
    """

    base: GaussianStudy
    n_students: int
    diag_reg: float

    def __post_init__(self) -> None:
        n, most = self.n_students, self.base.n_networks
        require_int("n_students", "L", n, 1, "train at least one student")
        need = "each needs a teacher of its own"
        require(n <= most, "n_students", "L", n, f"be <= {most}", need)
        require_number("diag_reg", "lambda", self.diag_reg, 0, math.inf, "try .01", open_low=True)

    @property
    def n_maps(self) -> int:
        """Of the ensemble and of the students."""
        return self.base.n_networks + self.n_students


def kernel_flops(study: GaussianKernelStudy) -> float:
    """Floating-point operations, about; features and factors count tenfold, being slow."""
    base, n = study.base, study.base.n_train
    D = sum(w.numel() for w in base.data.network(base.learners[0]).parameters())
    return study.n_maps * (60.0 * D * (n + base.n_test) + 2.0 * n * (n + base.n_test) * D
                           + 10 * n**3)  # fmt: skip


def run_gaussian_kernels(
    study: GaussianKernelStudy, *, progress: Progress | None = None, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """What `frozen_learners` returns; networks have one output.

    Choice: they start with a read-out of the usual size.  With the small one of `run_gaussian`
    nearly the whole kernel is the last layer's features, of which an average has about as many as
    there are samples.
    """
    base, data = study.base, study.base.data
    form, seeds = base.learners[0], seeds_of(base.draw, base.n_networks)
    network = form.build(n_inputs=data.dim, n_outputs=1, positions=data.positions)
    (X, true), (X_test, y_test) = both_sets(base)
    y = with_noise(true, data.label_noise, data.n_classes, stream(base.draw, "label noise"))
    X, X_test = X.to(device), X_test.to(device)

    def outputs(W: dict[str, Tensor], x: Tensor) -> Tensor:
        found: Tensor = functional_call(network, W, (x[None],))
        return found

    def maps() -> Iterator[tuple[Tensor, Tensor]]:
        for name, some in (("init", seeds), ("student", seeds[: study.n_students])):
            for seed in some:
                W = init_many(network, [seed], name=f"{name} {form.label}", device=device)
                yield products(partial(tangent_map, W, outputs=outputs), X, X_test)

    return frozen_learners(
        maps(), y.to(device), y_test.to(device), n_classes=data.n_classes, L=base.n_networks,
        diag_reg=study.diag_reg, tick=ticker(study.n_maps, progress),
    )  # fmt: skip


register(Kind(name="gaussian kernels", configuration=GaussianKernelStudy, work=kernel_flops,
              run=run_gaussian_kernels, steps=lambda study: study.n_maps))  # fmt: skip
