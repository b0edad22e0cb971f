"""The multi-view data of Definitions 3.1 and 3.3, with a record of everything that was drawn.

A sample is made in two movements.  First its *latent record*: label, kind, which features are
present, how strong, in which patches (small, cheap, testable).  Then its *patches*: the record
rendered into R^(P x d) and covered with noise (large).  Samples are drawn in blocks of fixed
size, each from its own stream, so that chunk sizes never change the data and a longer sample
begins with the shorter one (but for balanced mixtures, whose counts depend on n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.checks import BadInput, require, require_int, require_interval, require_number
from mvlib.randomness import stream

Kind = Literal["mixture", "multi", "single"]
KINDS = ("mixture", "multi", "single")
BLOCK = 250  # samples a stream; part of the data's definition: changing it changes every draw


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiViewParams:
    r"""The parameters of $\mathcal D_m$, $\mathcal D_s$ and their mixture $\mathcal D$.

    Views (features) are numbered 2j + l for class j and l in {0, 1}.  Strengths are sums
    $\sum_{p\in\mathcal P_v(X)} z_p$ over the patches of one view and are drawn uniformly from the
    stated interval.

    Choice: sums are uniform (as footnotes 7 and 8 suggest) and split evenly: those of the class's
    own views over C_p patches, those of other classes' views over C_o of theirs, with z_p = 0 in
    the rest (Remark 3.2 lets them be assigned at will; a patch with z_p = 0 is a noise patch like
    any other, so only C_o patches are set aside, and P may be less than C_p times the views
    present).  Patches are placed uniformly at random; alpha is uniform on [0, gamma]; classes may
    be balanced.

    Attributes:
        n_classes: $k \ge 2$.
        dim: $d \ge 2k$, dimension of a patch.
        n_patches: $P$, at least $2 C_p + (2k - 2) C_o$ unless `overflow` is "thin".  The paper:
            $k^2$.
        patches_per_view: $C_p \ge 1$, patches that share the strength of an own view.
        patches_per_other_view: $C_o \in [1, C_p]$, patches that share the strength of another
            class's view.
        sparsity: $s \in [0, k]$; a view of another class is present with probability s/k.
        single_view_fraction: $\mu \in [0, 1]$.
        own_strength: interval of $\sum z$ for a class's own view(s), inside $[1, \infty)$.
        view_scale: factors >= 1 on `own_strength` for view 0 and view 1 (Remark 3.2: one view may
            be stronger throughout).
        multi_other_strength: interval for other classes' views in multi-view data, inside (0, .4].
        weak_view_strength: $\rho \in (0, 1)$, least strength of the weak own view (single-view).
        weak_view_spread: the constant in $[\rho, O(\rho)]$, >= 1.
        single_other_strength: $\Gamma \in (0, .5)$, greatest strength of other classes' views in
            single-view data; both views of one wrong class add up, hence the bound.
        single_other_floor: the constant in $[\Omega(\Gamma), \Gamma]$, in (0, 1].
        feature_noise: $\gamma \ge 0$; every patch carries $\sum_{v'} \alpha_{p,v'} v'$ with
            $\alpha \in [0, \gamma]$ (footnote 6).
        noise_std: $\sigma_p \ge 0$; every patch carries $\xi_p \sim N(0, \sigma_p^2 I)$.
        features: "axis" puts view f on coordinate f; "general" is a random orthonormal family.
        balanced: labels equally often, and exactly round(mu n) single-view samples spread over
            the classes; False draws both independently, as Definition 3.3 says.
        overflow: what happens to a sample with more views than patches: "forbid" asks for
            enough patches beforehand, "thin" removes surplus views of other classes at random.

    Raises:
        BadInput: for the first field out of its range.

    Paper: Definition 3.1.
    """

    n_classes: int = 10
    dim: int = 2000
    n_patches: int = 20
    patches_per_view: int = 1
    patches_per_other_view: int = 1
    sparsity: float = 3.0
    single_view_fraction: float = 0.016
    own_strength: tuple[float, float] = (1.0, 2.0)
    view_scale: tuple[float, float] = (1.0, 1.0)
    multi_other_strength: tuple[float, float] = (0.2, 0.4)
    weak_view_strength: float = 0.1
    weak_view_spread: float = 2.0
    single_other_strength: float = 0.4
    single_other_floor: float = 0.5
    feature_noise: float = 0.0
    noise_std: float = 0.025
    features: Literal["axis", "general"] = "axis"
    balanced: bool = True
    overflow: Literal["forbid", "thin"] = "forbid"

    def __post_init__(self) -> None:
        k, C_p = self.n_classes, self.patches_per_view
        require_int("n_classes", "k", k, 2, "a classification needs two classes")
        require_int("patches_per_view", "C_p", C_p, 1, "give every view at least one patch")
        C_o = self.patches_per_other_view
        require_int("patches_per_other_view", "C_o", C_o, 1, "a view needs a patch")
        require(C_o <= C_p, "patches_per_other_view", "C_o", C_o, f"be <= C_p = {C_p}",
                "raise patches_per_view")  # fmt: skip
        require_int("dim", "d", self.dim, 2 * k, f"raise dim to 2k = {2 * k} or lower n_classes")
        least = 2 * C_p + (0 if self.overflow == "thin" else (2 * k - 2) * C_o)
        more = 'raise n_patches, or set overflow="thin" if own views fit'
        require_int("n_patches", "P", self.n_patches, least, more)
        require_number("sparsity", "s", self.sparsity, 0, k, "s/k is a probability")
        mu = self.single_view_fraction
        require_number("single_view_fraction", "mu", mu, 0, 1, "it is a probability")
        big = math.inf
        require_interval("own_strength", "z own", self.own_strength, 1, big, "use (1.0, 2.0)")
        scale = self.view_scale
        pair = len(scale) == 2 and all(1 <= factor < big for factor in scale)
        need = "be a pair of factors >= 1, one a view"
        require(pair, "view_scale", "z own", scale, need, "use (1.0, 1.0)")
        other = self.multi_other_strength
        require_interval("multi_other_strength", "z other", other, 1e-9, 0.4, "use (0.2, 0.4)")
        rho, Gamma = self.weak_view_strength, self.single_other_strength
        require_number("weak_view_strength", "rho", rho, 0, 0.999, "try 0.1", open_low=True)
        require_number("weak_view_spread", "O(rho)/rho", self.weak_view_spread, 1, big, "try 2.0")
        tip = "two views of one wrong class add up, keep both below the weakest own view"
        require_number("single_other_strength", "Gamma", Gamma, 0, 0.5, tip, open_low=True)
        floor = self.single_other_floor
        require_number("single_other_floor", "Omega(Gamma)/Gamma", floor, 0, 1, "try 0.5",
                       open_low=True)  # fmt: skip
        require_number("feature_noise", "gamma", self.feature_noise, 0, big, "try 0.0")
        require_number("noise_std", "sigma_p", self.noise_std, 0, big, "try 1.1 / sqrt(d)")
        words = {"features": ("axis", "general"), "overflow": ("forbid", "thin")}
        for field, allowed in words.items():
            value = getattr(self, field)
            require(value in allowed, field, "choice", value, f"be one of {allowed}", "pick one")
        require(isinstance(self.balanced, bool), "balanced", "choice", self.balanced,
                "be True or False", "pick one")  # fmt: skip

    @property
    def noise_norm(self) -> float:
        r"""Typical length $\sigma_p\sqrt d$ of a patch's Gaussian noise: what memorising uses."""
        return self.noise_std * math.sqrt(self.dim)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    r"""Labelled inputs with their latent record.

    Attributes:
        patches: the input X, shape (n, P, d).
        labels: y in 0..k-1, shape (n,).
        single_view: True where $X \sim \mathcal D_s$, shape (n,).
        dominant_view: $\hat\ell$ in {0, 1} where single-view, -1 elsewhere, shape (n,).
        strengths: $\sum_{p \in \mathcal P_v(X)} z_p$ for each of the 2k views, 0 where absent.
        view_patches: $\mathcal P_v(X)$, the patch numbers of each view that carry its strength;
            -1 in the slots beyond them and where the view is absent.
        feature_noise: $\alpha_{p,v'}$, shape (n, P, 2k), or None where gamma = 0.
        thinned: number of views removed because patches ran out ("thin" only), shape (n,).
    """

    patches: Float[Tensor, "n P d"]
    labels: Int[Tensor, " n"]
    single_view: Bool[Tensor, " n"]
    dominant_view: Int[Tensor, " n"]
    strengths: Float[Tensor, "n views"]
    view_patches: Int[Tensor, "n views C_p"]
    feature_noise: Float[Tensor, "n P views"] | None
    thinned: Int[Tensor, " n"]

    def __len__(self) -> int:
        return self.labels.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Sample:
        return self._map(lambda column: column[rows])

    def to(self, *, device: torch.device | str, dtype: torch.dtype) -> Sample:
        """The same sample on another device, its real numbers in another precision."""
        return self._map(
            lambda c: c.to(device=device, dtype=dtype if c.is_floating_point() else c.dtype)
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Sample:
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {
            name: None if c is None else change(c) for name, c in columns.items()
        }
        return replace(self, **kept)


def feature_vectors(
    params: MultiViewParams, seed: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Float[Tensor, "views d"]:
    r"""The 2k orthonormal views $v_{j,\ell}$, row 2j + l; from the stream ``seed, "features"``."""
    n_views, d = 2 * params.n_classes, params.dim
    if params.features == "axis":
        return torch.eye(n_views, d, device=device, dtype=dtype)
    gaussian = torch.randn(d, n_views, generator=stream(seed, "features"), dtype=torch.float64)
    return torch.linalg.qr(gaussian).Q.T.contiguous().to(device=device, dtype=dtype)


def sample(
    params: MultiViewParams,
    n: int,
    *,
    seed: int,
    name: str,
    kind: Kind = "mixture",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Sample:
    r"""Draw n labelled inputs: from $\mathcal D_m$ ("multi"), $\mathcal D_s$ ("single") or
    $\mathcal D$ ("mixture", single-view with probability mu).

    Args:
        n: number of samples, >= 1.
        seed, name: the stream, e.g. ``0, "train"``; the features depend on the seed alone.
        kind: which distribution.

    Raises:
        BadInput: if n < 1 or the kind is unknown.

    Paper: Definition 3.3.
    """
    chunks = list(
        chunked_sample(params, n, seed=seed, name=name, kind=kind, device=device, dtype=dtype)
    )
    if len(chunks) == 1:
        return chunks[0]
    columns: dict[str, Any] = {}
    for field in fields(Sample):
        parts = [getattr(chunk, field.name) for chunk in chunks]
        columns[field.name] = None if parts[0] is None else torch.cat(parts)
    return Sample(**columns)


def chunked_sample(
    params: MultiViewParams,
    n: int,
    *,
    seed: int,
    name: str,
    kind: Kind = "mixture",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterator[Sample]:
    """The samples of `sample(...)`, in order, in chunks of at most `BLOCK`: for data larger than
    memory.  Iterating twice gives the same samples twice.

    Raises:
        BadInput: if n < 1 or the kind is unknown.
    """
    require_int("n", "N", n, 1, "ask for at least one sample")
    require(kind in KINDS, "kind", "D", kind, f"be one of {KINDS}", "pick one")
    features = feature_vectors(params, seed, dtype=dtype)
    labels, single_view = _labels_and_kinds(params, n, stream(seed, name, kind, "labels"), kind)
    # Whole blocks are drawn and the last one is cut: a short sample begins the long one.
    n_blocks = -(-n // BLOCK)
    labels, single_view = _pad(labels, n_blocks * BLOCK), _pad(single_view, n_blocks * BLOCK)
    for block in range(n_blocks):
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        latent = stream(seed, name, kind, "latent", block)
        noise = stream(seed, name, kind, "noise", block)
        record = _latent_record(params, labels[rows], single_view[rows], latent, dtype)
        drawn = _render(params, record, features, noise)
        yield drawn[: n - rows.start].to(device=device, dtype=dtype)


def _pad(column: Tensor, length: int) -> Tensor:
    return torch.cat([column, column.new_zeros(length - len(column))])


def _labels_and_kinds(
    params: MultiViewParams, n: int, generator: torch.Generator, kind: Kind
) -> tuple[Tensor, Tensor]:
    """Labels in 0..k-1 and whether each sample is single-view, shapes (n,)."""
    k, mu = params.n_classes, params.single_view_fraction
    if kind != "mixture":
        single_view = torch.full((n,), kind == "single")
        if params.balanced:
            return torch.arange(n) % k, single_view
        return torch.randint(0, k, (n,), generator=generator), single_view
    if not params.balanced:
        # One number a sample for the label and one for the kind, side by side: prefixes agree.
        draws = torch.rand(n, 2, generator=generator, dtype=torch.float64)
        return (draws[:, 0] * k).long(), draws[:, 1] < mu
    labels = torch.arange(n) % k
    n_single = round(mu * n)
    # The first n_single samples are spread evenly over the classes; which classes get one more
    # is decided by a random renaming of the classes.
    labels = torch.randperm(k, generator=generator)[labels]
    order = torch.randperm(n, generator=generator)
    return labels[order], (torch.arange(n) < n_single)[order]


def _latent_record(
    params: MultiViewParams,
    labels: Tensor,
    single_view: Tensor,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Steps 1 to 4 of Definition 3.1, all samples of a block at once, without the patches."""
    n, n_views = len(labels), 2 * params.n_classes
    own = _own_views(labels, n_views)
    # Step 1: the views present: both of the label's own, others with probability s/k.
    chance = torch.rand(n, n_views, generator=generator)
    present = own | (chance < params.sparsity / params.n_classes)
    # Step 2: disjoint patches for each view present.
    view_patches, present, thinned = _place(params, present, own, generator)
    # Step 3: the dominant view of single-view data.
    coin = torch.randint(0, 2, (n,), generator=generator)
    dominant_view = torch.where(single_view, coin, -1)
    # Step 4: strengths.
    strengths = _strengths(params, labels, single_view, coin, own, generator) * present
    return dict(
        labels=labels,
        single_view=single_view,
        dominant_view=dominant_view,
        strengths=strengths.to(dtype),
        view_patches=view_patches,
        feature_noise=_feature_noise(params, n, generator, dtype),
        thinned=thinned,
    )


def _own_views(labels: Tensor, n_views: int) -> Tensor:
    return torch.arange(n_views) // 2 == labels[:, None]


def _place(
    params: MultiViewParams, present: Tensor, own: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Disjoint patches for the present views: rank the views in random order (own first, absent
    last); in a random patch order the own views take C_p entries each, the others C_o each."""
    n, n_views = present.shape
    P, C_p, C_o = params.n_patches, params.patches_per_view, params.patches_per_other_view
    key = torch.rand(n, n_views, generator=generator) - own.float() + 2 * (~present).float()
    rank = key.argsort(dim=1).argsort(dim=1)
    size = torch.where(own, C_p, C_o)
    first = torch.where(own, rank * C_p, 2 * C_p + (rank - 2) * C_o)  # the two own views rank 0, 1
    room = first + size <= P
    thinned = (present & ~room).sum(dim=1)
    present = present & room
    patch_order = torch.rand(n, P, generator=generator).argsort(dim=1)
    slot = torch.arange(C_p)
    entries = (first[:, :, None] + slot).clamp(max=P - 1)  # beyond P: absent or unused, masked
    patches = patch_order.gather(1, entries.reshape(n, -1)).reshape(n, n_views, C_p)
    used = present[:, :, None] & (slot < size[:, :, None])
    return torch.where(used, patches, -1), present, thinned


def _strengths(
    params: MultiViewParams,
    labels: Tensor,
    single_view: Tensor,
    coin: Tensor,
    own: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Step 4 of Definition 3.1: the sums of z for all 2k views as if every view were present."""
    n, n_views = own.shape
    rho, Gamma = params.weak_view_strength, params.single_other_strength

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, n_views, generator=generator)

    scale = torch.tensor(params.view_scale).repeat(params.n_classes)
    own_strength = uniform(*params.own_strength) * scale
    other_multi = uniform(*params.multi_other_strength)
    weak = uniform(rho, params.weak_view_spread * rho)
    other_single = uniform(params.single_other_floor * Gamma, Gamma)
    is_weak = torch.arange(n_views) == (2 * labels + 1 - coin)[:, None]
    other = torch.where(single_view[:, None], other_single, other_multi)
    own_or_weak = torch.where(is_weak & single_view[:, None], weak, own_strength)
    return torch.where(own, own_or_weak, other)


def _feature_noise(
    params: MultiViewParams, n: int, generator: torch.Generator, dtype: torch.dtype
) -> Tensor | None:
    if params.feature_noise == 0:
        return None
    shape = (n, params.n_patches, 2 * params.n_classes)
    return params.feature_noise * torch.rand(shape, generator=generator, dtype=dtype)


def _render(
    params: MultiViewParams, record: dict[str, Any], features: Tensor, generator: torch.Generator
) -> Sample:
    r"""Steps 4 and 5: $x_p = z_p v + \sum_{v'} \alpha_{p,v'} v' + \xi_p$ (footnote 6)."""
    strengths, view_patches = record["strengths"], record["view_patches"]
    n = len(strengths)
    shape = (n, params.n_patches, params.dim)
    patches = torch.empty(shape, dtype=features.dtype).normal_(generator=generator)
    patches *= params.noise_std
    row, view, slot = (view_patches >= 0).nonzero(as_tuple=True)
    coefficients = (strengths / (view_patches >= 0).sum(dim=2).clamp_min(1))[row, view]
    patch = view_patches[row, view, slot]
    # Patches of different views are disjoint, so no index occurs twice and += is exact.
    if params.features == "axis":
        patches[row, patch, view] += coefficients
    else:
        patches[row, patch] += coefficients[:, None] * features[view]
    if record["feature_noise"] is not None:
        patches += record["feature_noise"] @ features
    return Sample(patches=patches, **record)


__all__ = [
    "BLOCK",
    "BadInput",
    "Kind",
    "MultiViewParams",
    "Sample",
    "chunked_sample",
    "feature_vectors",
    "sample",
]
