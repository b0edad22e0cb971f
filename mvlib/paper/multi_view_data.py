"""The multi-view data of Definitions 3.1 and 3.3, with a record of everything that was drawn.

A sample is made in two movements: its *latent record* (label, kind, views present, their strengths
and patches: small), then its *patches*, the record rendered into R^(P x d) and covered with noise
(large).  Samples are drawn in blocks of fixed size, each from its own stream: chunk sizes never
change the data, and a longer sample begins with the shorter one (but for balanced mixtures, whose
counts depend on n).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, fields, replace
from math import sqrt
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int
from mvlib.core.randomness import stream
from mvlib.paper.data_parameters import MultiViewParams

SampleKind = Literal["mixture", "multi", "single"]
KINDS = ("mixture", "multi", "single")
BLOCK = 250  # samples a stream; part of the data's definition: changing it changes every draw
CHUNK_FLOATS = 1 << 22  # numbers drawn at a time (16 MB), where a block may be drawn in parts
# torch fills normals in groups of 16 and ends on its own scheme: only whole groups can be drawn
# in parts that add up to the same numbers.
GROUP = 16
AHEAD_FLOATS = 1 << 26  # numbers in blocks that are drawn side by side (256 MB)


@dataclass(frozen=True, slots=True)
class StreamedPatches:
    """The inputs of a sample, made anew from their streams in every pass: for data larger than
    memory.  They are the numbers that `sample` would store, whose arguments these are.

    Raises:
        BadInput: if n < 1 or the kind is unknown.
    """

    params: MultiViewParams
    n: int
    _: KW_ONLY
    seed: int
    name: str
    kind: SampleKind = "mixture"
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    rounded: bool = False

    def __post_init__(self) -> None:
        require_int("n", "N", self.n, 1, "ask for at least one sample")
        require(self.kind in KINDS, "kind", "D", self.kind, f"be one of {KINDS}", "pick one")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, P, d)."""
        return self.n, self.params.n_patches, self.params.dim

    def __len__(self) -> int:
        return self.n

    @property
    def stored_dtype(self) -> torch.dtype:
        """Of the inputs: bfloat16 if they are rounded."""
        return torch.bfloat16 if self.rounded else self.dtype

    def is_floating_point(self) -> bool:
        """As a tensor would answer."""
        return self.dtype.is_floating_point

    def chunks(self) -> Iterator[Sample]:
        """The whole samples, in order, at most `BLOCK` at a time and, where P d is a multiple of
        16, about `CHUNK_FLOATS` numbers.  Blocks have streams of their own: as many are drawn side
        by side as there are threads and as `AHEAD_FLOATS` has room for."""
        features = feature_vectors(self.params, self.seed, dtype=self.dtype)
        at_once = min(torch.get_num_threads(), AHEAD_FLOATS // (BLOCK * math.prod(self.shape[1:])))
        if at_once < 2:
            for block in self._records():
                yield from self._drawn(features, *block)
            return
        with ThreadPoolExecutor(at_once) as pool:
            ahead: deque[Future[list[Sample]]] = deque()
            for block in self._records():
                ahead.append(pool.submit(lambda b: list(self._drawn(features, *b)), block))
                if len(ahead) == at_once:
                    yield from ahead.popleft().result()
            for last in ahead:
                yield from last.result()

    def _drawn(
        self, features: Tensor, start: int, record: dict[str, Any], noise: torch.Generator
    ) -> Iterator[Sample]:
        """The samples of one block, in parts that follow each other in its noise stream."""
        n, P, d = self.shape
        in_parts = P * d % GROUP == 0
        size = max(1, min(BLOCK, CHUNK_FLOATS // (P * d))) if in_parts else BLOCK
        for first in range(0, min(BLOCK, n - start), size):
            rows = slice(first, min(first + size, n - start) if in_parts else BLOCK)
            part = {c: v if v is None else v[rows] for c, v in record.items()}
            drawn = _render(self.params, part, features, noise, self.name)[: n - start - first]
            drawn = drawn.to(device=self.device, dtype=self.dtype)
            yield replace(drawn, patches=stored(drawn).to(self.stored_dtype))

    def latent(self) -> Sample:
        """The sample with these for its patches and its latent record in memory, about 8 k V C_p
        bytes a sample; without alpha and looks."""
        columns: dict[str, list[Tensor]] = {}
        for start, record, _ in self._records():
            for column in record.keys() - {"feature_noise", "looks"}:
                columns.setdefault(column, []).append(record[column][: self.n - start])
        here: dict[str, Any] = {c: torch.cat(v).to(self.device) for c, v in columns.items()}
        return Sample(patches=self, feature_noise=None, **here)

    def _records(self) -> Iterator[tuple[int, dict[str, Any], torch.Generator]]:
        """First row, latent record and noise stream of each block.  Whole blocks are drawn,
        whatever n is: a short sample begins the long one."""
        name = (self.seed, self.name, self.kind)
        drawn = _labels_and_kinds(self.params, self.n, stream(*name, "labels"), self.kind)
        rest = -self.n % BLOCK
        labels, single_view = (torch.cat([c, c.new_zeros(rest)]).split(BLOCK) for c in drawn)
        for block, (y, single) in enumerate(zip(labels, single_view, strict=True)):
            latent = stream(*name, "latent", block)
            record = _latent_record(self.params, y, single, latent, self.dtype)
            yield block * BLOCK, record, stream(*name, "noise", block)

    def split(self, split_size: int, /) -> Iterator[Float[Tensor, "block P d"]]:
        """The inputs in order, in blocks of at most `split_size` samples."""
        for chunk in self.chunks():
            yield from stored(chunk).split(split_size)

    def __getitem__(self, rows: slice | Tensor) -> Float[Tensor, "rows P d"]:
        """The inputs of these rows, stored."""
        index = torch.arange(self.n)[rows]
        found = torch.empty(
            len(index), *self.shape[1:], device=self.device, dtype=self.stored_dtype
        )
        start = 0
        for block in self.split(BLOCK):
            here = ((index >= start) & (index < start + len(block))).nonzero().squeeze(1)
            found[here] = block[index[here] - start]
            start += len(block)
        return found

    def to(self, *, device: torch.device | str, dtype: torch.dtype) -> StreamedPatches:
        """The same inputs on another device; another precision has other numbers."""
        need = f"be {self.dtype}"
        require(dtype == self.dtype, "dtype", "precision", dtype, need, "draw them anew")
        return replace(self, device=str(device))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    r"""Labelled inputs with their latent record.

    Attributes:
        patches: the input X, stored or streamed.
        labels: y in 0..k-1.
        single_view: True where $X \sim \mathcal D_s$.
        dominant_view: $\hat\ell$ in 0..V-1 where single-view, -1 elsewhere.
        strengths: $\sum_{p \in \mathcal P_v(X)} z_p$ for each class and view, 0 where absent.
        view_patches: $\mathcal P_v(X)$, the patches that carry each view's strength; -1 in the
            slots beyond them and where the view is absent.
        feature_noise: $\alpha_{p,v'}$, or None where gamma = 0 or the patches are streamed.
        thinned: number of views removed because patches ran out ("thin" only).
        looks: what decides how each view looks in each of its patches, in [0, 1); None where every
            view is one vector, or the patches are streamed.
    """

    patches: Float[Tensor, "n P d"] | StreamedPatches
    labels: Int[Tensor, " n"]
    single_view: Bool[Tensor, " n"]
    dominant_view: Int[Tensor, " n"]
    strengths: Float[Tensor, "n k V"]
    view_patches: Int[Tensor, "n k V C_p"]
    feature_noise: Float[Tensor, "n P k V"] | None
    thinned: Int[Tensor, " n"]
    looks: Float[Tensor, "n k V C_p"] | None = None

    def __len__(self) -> int:
        return self.labels.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Sample:
        return self._map(lambda column: column[rows])

    def to(self, *, device: torch.device | str, dtype: torch.dtype) -> Sample:
        """The same sample on another device, its real numbers in another precision."""
        return self._map(
            lambda c: c.to(device=device, dtype=dtype if c.is_floating_point() else c.dtype)
        )

    def _map(self, change: Callable[[Any], Any]) -> Sample:
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {c: v if v is None else change(v) for c, v in columns.items()}
        return Sample(**changed)


def feature_vectors(
    params: MultiViewParams, seed: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Float[Tensor, "k V d"]:
    r"""The views $v_{j,\ell}$, of length 1; from the stream ``seed, "features"``.

    They are orthonormal, $e_f$ for f in 0..kV-1, unless they overlap: then
    $v_f = \sqrt{1-c}\, e_f + b \sum_g e_g$ with b such that any two have the inner product c.

    Choice: of all incoherent families the one whose views share a direction, so that what one
    view's neurons learn lifts every other view, and nothing cancels.
    """
    k, V, d = params.n_classes, params.n_views, params.dim
    if params.appearance is not None:
        views = params.appearance.views()
        found, need = tuple(views.shape), f"have views of shape {(k, V, d)}"
        require(found == (k, V, d), "appearance", "v", found, need, "change n_classes, dim or it")
        return views.to(device=device, dtype=dtype)
    if params.features == "axis":
        views = torch.eye(k * V, d, device=device, dtype=dtype)
    else:
        gaussian = torch.randn(d, k * V, generator=stream(seed, "features"), dtype=torch.float64)
        views = torch.linalg.qr(gaussian).Q.T.contiguous().to(device=device, dtype=dtype)
    if params.overlap > 0:
        n, c = k * V, params.overlap
        # The root of the Gram matrix (1 - c) I + c 1 1^T.
        own = sqrt(1 - c)
        views = own * views + (sqrt(1 - c + n * c) - own) / n * views.sum(dim=0)
    return views.view(k, V, d)


def sample(
    params: MultiViewParams,
    n: int,
    *,
    seed: int,
    name: str,
    kind: SampleKind = "mixture",
    streamed: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    rounded: bool = False,
) -> Sample:
    r"""Draw n labelled inputs: from $\mathcal D_m$ ("multi"), $\mathcal D_s$ ("single") or
    $\mathcal D$ ("mixture", single-view with probability mu).

    Args:
        n: number of samples, >= 1.
        seed, name: the stream, e.g. ``0, "train"``; the features depend on the seed alone.
        kind: which distribution.
        streamed: the same sample, but for its patches, which are made anew whenever they are asked
            for, and alpha, which is not kept.
        rounded: the patches in bfloat16, half the memory; the latent record as it was drawn.

    Raises:
        BadInput: if n < 1 or the kind is unknown.

    Paper: Definition 3.3.
    """
    drawn = StreamedPatches(
        params, n, seed=seed, name=name, kind=kind, device=device, dtype=dtype, rounded=rounded
    )
    if streamed:
        return drawn.latent()
    chunks, whole = list(drawn.chunks()), dict[str, Any]()
    for field in fields(Sample):
        parts = [getattr(chunk, field.name) for chunk in chunks]
        whole[field.name] = None if parts[0] is None else torch.cat(parts)
    return Sample(**whole)


def stored(drawn: Sample) -> Float[Tensor, "n P d"]:
    """The patches of a sample that is held in memory."""
    assert isinstance(drawn.patches, Tensor), "patches are streamed"
    return drawn.patches


def _labels_and_kinds(
    params: MultiViewParams, n: int, generator: torch.Generator, kind: SampleKind
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
    n, k, V = len(labels), params.n_classes, params.n_views
    own = (torch.arange(k) == labels[:, None])[:, :, None].expand(n, k, V)
    # Step 1: the views present: all of the label's own, others with probability s/k.
    present = own | (torch.rand(n, k, V, generator=generator) < params.sparsity / k)
    # Step 2: disjoint patches for each view present.
    view_patches, present, thinned = _place(params, present, own, generator)
    # Step 3: the dominant view of single-view data.
    dominant_view = torch.where(single_view, torch.randint(0, V, (n,), generator=generator), -1)
    # Step 4: strengths.
    strengths = _strengths(params, dominant_view, own, generator) * present
    alpha = None  # Step 5.
    if params.feature_noise > 0:
        alpha = torch.rand(n, params.n_patches, k, V, generator=generator, dtype=dtype)
        alpha = params.feature_noise * alpha
    looks = None
    if params.appearance is not None:
        looks = torch.rand(view_patches.shape, generator=generator, dtype=dtype)
    return dict(
        labels=labels,
        single_view=single_view,
        dominant_view=dominant_view,
        strengths=strengths.to(dtype),
        view_patches=view_patches,
        feature_noise=alpha,
        thinned=thinned,
        looks=looks,
    )


def _place(
    params: MultiViewParams, present: Tensor, own: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Disjoint patches for the present views: rank the views in random order (own first, absent
    last); in a random patch order the own views take C_p entries each, the others C_o each."""
    V, P = params.n_views, params.n_patches
    C_p, C_o = params.patches_per_view, params.patches_per_other_view
    key = torch.rand(present.shape, generator=generator) - own.float() + 2 * (~present).float()
    rank = key.flatten(1).argsort(dim=1).argsort(dim=1).view_as(present)
    size = torch.where(own, C_p, C_o)
    first = torch.where(own, rank * C_p, V * C_p + (rank - V) * C_o)  # own views rank 0 .. V-1
    room = first + size <= P
    thinned = (present & ~room).sum(dim=(1, 2))
    present = present & room
    patch_order = torch.rand(len(present), P, generator=generator).argsort(dim=1)
    slot = torch.arange(C_p)
    entries = (first[..., None] + slot).clamp(max=P - 1)  # beyond P: absent or unused, masked
    patches = patch_order.gather(1, entries.flatten(1)).view_as(entries)
    used = present[..., None] & (slot < size[..., None])
    return torch.where(used, patches, -1), present, thinned


def _strengths(
    params: MultiViewParams, dominant_view: Tensor, own: Tensor, generator: torch.Generator
) -> Tensor:
    """Step 4 of Definition 3.1: the sums of z for all views as if every view were present."""
    V, rho, Gamma = params.n_views, params.weak_view_strength, params.single_other_strength

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(own.shape, generator=generator)

    scale = torch.ones(V)
    scale[: len(params.view_scale)] = torch.tensor(params.view_scale)
    own_strength = uniform(*params.own_strength) * scale
    other_multi = uniform(*params.multi_other_strength)
    weak = uniform(rho, params.weak_view_spread * rho)
    other_single = uniform(params.single_other_floor * Gamma, Gamma)
    shown = dominant_view[:, None, None]
    single = shown >= 0
    other = torch.where(single, other_single, other_multi)
    own_or_weak = torch.where(single & (torch.arange(V) != shown), weak, own_strength)
    return torch.where(own, own_or_weak, other)


def _render(
    params: MultiViewParams, record: dict[str, Any], features: Tensor, generator: torch.Generator,
    name: str,
) -> Sample:  # fmt: skip
    r"""Steps 4 and 5: $x_p = z_p v + \sum_{v'} \alpha_{p,v'} v' + \xi_p$ (footnote 6)."""
    strengths, view_patches = record["strengths"].flatten(1), record["view_patches"].flatten(1, 2)
    features = features.flatten(0, 1)
    shape = (len(strengths), params.n_patches, params.dim)
    patches = torch.empty(shape, dtype=features.dtype).normal_(generator=generator)
    patches *= params.noise_std
    row, view, slot = (view_patches >= 0).nonzero(as_tuple=True)
    coefficients = (strengths / (view_patches >= 0).sum(dim=2).clamp_min(1))[row, view]
    patch = view_patches[row, view, slot]
    # Patches of different views are disjoint, so no index occurs twice and += is exact.
    if params.appearance is not None:
        chance = record["looks"].flatten(1, 2)[row, view, slot]
        patches[row, patch] += coefficients[:, None] * params.appearance.looks(view, chance, name)
    elif params.features == "axis" and params.overlap == 0:
        patches[row, patch, view] += coefficients
    else:
        patches[row, patch] += coefficients[:, None] * features[view]
    if record["feature_noise"] is not None:
        patches += record["feature_noise"].flatten(2) @ features
    return Sample(patches=patches, **record)
