"""Definitions 3.1 and 3.3: properties of every draw, and how draws depend on seeds and sizes."""

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapes import unchecked
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.paper.multi_view_data import (
    BLOCK,
    KINDS,
    MultiViewParams,
    Sample,
    StreamedPatches,
    feature_vectors,
    sample,
)

ULP = 1e-6  # strengths are drawn in float32, whose relative rounding is 6e-8; a few of them
# Two classes with two views are among the settings drawn.
pytestmark = pytest.mark.filterwarnings("ignore:n_classes .k. = 2 with n_views")
TINY = MultiViewParams(n_classes=3, dim=8, n_patches=6, sparsity=1.5, single_view_fraction=0.3)


@st.composite
def settings_of_the_data(draw: st.DrawFn) -> MultiViewParams:
    """Small settings over the whole range of every field."""
    k, V, C_p = draw(st.integers(2, 5)), draw(st.integers(2, 4)), draw(st.integers(1, 3))
    C_o = draw(st.integers(1, C_p))
    overflow = draw(st.sampled_from(["forbid", "thin"]))
    least = V * C_p + V * (k - 1) * C_o if overflow == "forbid" else V * C_p
    low, high = sorted([draw(st.floats(1, 3)), draw(st.floats(1, 3))])
    low_other, high_other = sorted([draw(st.floats(0.01, 0.4)), draw(st.floats(0.01, 0.4))])
    values = dict(
        n_classes=k,
        n_views=V,
        dim=V * k + draw(st.integers(0, 3)),
        n_patches=least + draw(st.integers(0, 3)),
        patches_per_view=C_p,
        patches_per_other_view=C_o,
        sparsity=draw(st.floats(0, k)),
        single_view_fraction=draw(st.floats(0, 1)),
        own_strength=(low, high),
        view_scale=tuple(draw(st.lists(st.floats(1, 2), max_size=V))),
        multi_other_strength=(low_other, high_other),
        weak_view_strength=draw(st.floats(0.01, 0.9)),
        weak_view_spread=draw(st.floats(1, 3)),
        single_other_strength=draw(st.floats(0.01, 1 / V)),
        single_other_floor=draw(st.floats(0.1, 1)),
        feature_noise=draw(st.sampled_from([0.0, 0.3])),
        noise_std=0.0,
        features=draw(st.sampled_from(["axis", "general"])),
        overlap=draw(st.sampled_from([0.0, 0.2])),
        balanced=draw(st.booleans()),
        overflow=overflow,
    )
    with unchecked():  # the type checker's own random numbers are no part of the example
        return MultiViewParams(**values)


def strength_interval(
    p: MultiViewParams, y: int, single: bool, dominant: int, j: int, l: int
) -> tuple[float, float]:
    """Definition 3.1's interval for one view's strength, given the sample's label and kind."""
    if j == y:
        if single and l != dominant:
            return p.weak_view_strength, p.weak_view_strength * p.weak_view_spread
        scale = p.view_scale[l] if l < len(p.view_scale) else 1
        return p.own_strength[0] * scale, p.own_strength[1] * scale
    if single:
        return p.single_other_floor * p.single_other_strength, p.single_other_strength
    return p.multi_other_strength


def views_of(p: MultiViewParams) -> Iterator[tuple[int, int]]:
    return product(range(p.n_classes), range(p.n_views))


def check_strengths(p: MultiViewParams, drawn: Sample) -> None:
    for n in range(len(drawn)):
        y, single = int(drawn.labels[n]), bool(drawn.single_view[n])
        dominant = int(drawn.dominant_view[n])
        assert 0 <= y < p.n_classes
        assert dominant in (range(p.n_views) if single else (-1,))
        for j, l in views_of(p):
            strength = float(drawn.strengths[n, j, l])
            if strength == 0:
                assert j != y, "all own views are always present"
                continue
            low, high = strength_interval(p, y, single, dominant, j, l)
            assert low * (1 - ULP) <= strength <= high * (1 + ULP)


def patches_of(p: MultiViewParams, drawn: Sample, n: int, j: int, l: int) -> int:
    """How many patches a view should hold: C_p for the label's own, C_o for others."""
    if drawn.strengths[n, j, l] == 0:
        return 0
    return p.patches_per_view if j == int(drawn.labels[n]) else p.patches_per_other_view


def check_patches(p: MultiViewParams, drawn: Sample) -> None:
    for n in range(len(drawn)):
        held: list[int] = []
        for j, l in views_of(p):
            places = drawn.view_patches[n, j, l].tolist()
            count = patches_of(p, drawn, n, j, l)
            held += places[:count]
            assert places[count:] == [-1] * (p.patches_per_view - count)
        assert all(0 <= place < p.n_patches for place in held)
        assert len(held) == len(set(held)), "patches of different views are disjoint"


def render(p: MultiViewParams, drawn: Sample, features: Tensor) -> Tensor:
    """x_p = z_p v + sum alpha v', by loop, from the latent record."""
    X = torch.zeros(len(drawn), p.n_patches, p.dim, dtype=torch.float64)
    for n in range(len(drawn)):
        for j, l in views_of(p):
            count = patches_of(p, drawn, n, j, l)
            for place in drawn.view_patches[n, j, l, :count].tolist():
                X[n, place] += drawn.strengths[n, j, l] / count * features[j, l]
        if drawn.feature_noise is not None:
            for place in range(p.n_patches):
                for j, l in views_of(p):
                    X[n, place] += drawn.feature_noise[n, place, j, l] * features[j, l]
    return X


@given(p=settings_of_the_data(), n=st.integers(1, 8), kind=st.sampled_from(KINDS))
def test_every_draw_obeys_the_definition(p: MultiViewParams, n: int, kind: str) -> None:
    drawn = sample(p, n, seed=3, name="train", kind=kind, dtype=torch.float64)
    assert drawn.patches.shape == (n, p.n_patches, p.dim)
    check_strengths(p, drawn)
    check_patches(p, drawn)
    if kind != "mixture":
        assert bool((drawn.single_view == (kind == "single")).all())
    if p.feature_noise == 0:
        assert drawn.feature_noise is None
    else:
        assert drawn.feature_noise is not None
        assert 0 <= drawn.feature_noise.min() and drawn.feature_noise.max() <= p.feature_noise
    if p.overflow == "forbid":
        assert not drawn.thinned.any()
    # Without Gaussian noise nothing but the record is in the patches: float64 sums of <= k V + 1
    # terms of order one.
    features = feature_vectors(p, 3, dtype=torch.float64)
    expected = render(p, drawn, features)
    torch.testing.assert_close(drawn.patches, expected, rtol=0, atol=1e-13)


@given(p=settings_of_the_data(), seed=st.integers(0, 2**40))
def test_features_have_length_one_and_overlap_as_told(p: MultiViewParams, seed: int) -> None:
    views = feature_vectors(p, seed, dtype=torch.float64)
    assert views.shape == (p.n_classes, p.n_views, p.dim)
    gram = torch.einsum("jld,ied->jlie", views, views)
    for j, l in views_of(p):
        expected = torch.full((p.n_classes, p.n_views), p.overlap, dtype=torch.float64)
        expected[j, l] = 1
        # Rounding of inner products of length <= 23.
        torch.testing.assert_close(gram[j, l], expected, rtol=0, atol=1e-14)
        if p.features == "axis" and p.overlap == 0:
            assert views[j, l].nonzero().tolist() == [[p.n_views * j + l]]


@pytest.mark.parametrize("overlap", [0.05, 0.99])
def test_views_that_overlap_stay_independent(overlap: float) -> None:
    p = replace(TINY, overlap=overlap)
    views = feature_vectors(p, 0, dtype=torch.float64).flatten(0, 1)
    # Independent: the Gram matrix' least eigenvalue is 1 - c; rounding of a 6 x 6 matrix.
    assert torch.linalg.eigvalsh(views @ views.T)[0].item() == pytest.approx(1 - overlap, abs=1e-13)
    # Which views are there, where and how strong does not depend on it.
    plain, bent = (sample(q, 20, seed=4, name="train") for q in (TINY, p))
    for name in ("labels", "strengths", "view_patches"):
        assert torch.equal(getattr(plain, name), getattr(bent, name)), name
    # Nor does the noise: float32 sums of terms of order one.
    features = [feature_vectors(q, 4) for q in (TINY, p)]
    rest = [
        one.patches - render(p, one, f).float()
        for one, f in zip((plain, bent), features, strict=True)
    ]
    torch.testing.assert_close(*rest, rtol=0, atol=1e-6)


def test_general_features_depend_on_the_seed_alone() -> None:
    general = replace(TINY, features="general")
    assert torch.equal(feature_vectors(general, 5), feature_vectors(general, 5))
    assert not torch.allclose(feature_vectors(general, 5), feature_vectors(general, 6))


@pytest.mark.parametrize("scale", [(1.0, 2.0), (2.0, 1.0)])
def test_either_view_may_be_the_stronger(scale: tuple[float, float]) -> None:
    p = replace(TINY, view_scale=scale, own_strength=(1.0, 1.0))
    drawn = sample(p, 30, seed=0, name="train", kind="multi")
    check_strengths(p, drawn)


def test_thinning_keeps_own_views_and_counts() -> None:
    p = replace(TINY, n_classes=6, dim=12, sparsity=6.0, n_patches=5, overflow="thin")
    drawn = sample(p, 300, seed=0, name="train")
    # s = k: all 12 views want a patch, five get one.
    assert bool((drawn.thinned == 7).all())
    present = drawn.strengths > 0
    assert bool((present.sum(dim=(1, 2)) == 5).all())
    assert bool(present[torch.arange(300), drawn.labels].all())
    check_patches(p, drawn)
    with pytest.raises(BadInput, match="n_patches"):
        replace(p, overflow="forbid")


@pytest.mark.parametrize(("C_p", "C_o", "P", "room"), [(3, 1, 10, 4), (3, 2, 9, 1), (3, 3, 11, 1)])
def test_thinning_counts_patches_not_views(C_p: int, C_o: int, P: int, room: int) -> None:
    p = replace(TINY, n_classes=6, dim=12, sparsity=6.0, n_patches=P, overflow="thin",
                patches_per_view=C_p, patches_per_other_view=C_o)  # fmt: skip
    drawn = sample(p, 300, seed=0, name="train")
    # s = k: all ten other views want patches, and (P - 2 C_p) / C_o of them, rounded down, get any.
    assert bool((drawn.thinned == 10 - room).all())
    present = drawn.strengths > 0
    assert bool(present[torch.arange(300), drawn.labels].all())
    assert bool((present.sum(dim=(1, 2)) == 2 + room).all())
    check_patches(p, drawn)


WIDE = replace(TINY, n_patches=2 * 3 + 4 * 1, patches_per_view=3, noise_std=0.0)


@pytest.mark.parametrize("kind", ["multi", "single"])
@pytest.mark.parametrize("features", ["axis", "general"])
def test_strengths_can_be_read_from_the_patches(features: str, kind: str) -> None:
    p = replace(WIDE, features=features)
    drawn = sample(p, 50, seed=0, name="train", kind=kind, dtype=torch.float64)
    views = feature_vectors(p, 0, dtype=torch.float64)
    reads = torch.einsum("npd,kld->npkl", drawn.patches, views)
    # Inner products of unit vectors of length 8, in float64.
    torch.testing.assert_close(reads.sum(dim=1), drawn.strengths, rtol=0, atol=1e-13)
    holds = reads > 1e-6
    assert int(holds.sum(dim=(2, 3)).max()) == 1, "no patch holds two views"
    own = torch.arange(3) == drawn.labels[:, None]
    count = holds.sum(dim=1)
    assert bool((count[own] == 3).all())
    present = drawn.strengths[~own] > 0
    assert 0 < int(present.sum()) < present.numel()
    assert torch.equal(count[~own], present.long())
    # Each view's strength is split evenly.
    share = drawn.strengths / count.clamp_min(1)
    expected = torch.where(holds, share[:, None], 0)
    torch.testing.assert_close(reads, expected, rtol=0, atol=1e-13)


def test_patches_of_other_views_change_nothing_else() -> None:
    p = replace(WIDE, n_patches=6 * 3)
    thin, thick = (sample(replace(p, patches_per_other_view=C_o), 40, seed=0, name="train")
                   for C_o in (1, 3))  # fmt: skip
    for name in ("labels", "single_view", "dominant_view", "strengths", "thinned"):
        assert torch.equal(getattr(thin, name), getattr(thick, name)), name
    own = torch.arange(3) == thin.labels[:, None]
    assert torch.equal(thin.view_patches[own], thick.view_patches[own])
    assert bool((thin.view_patches[~own][..., 1:] == -1).all())


@given(
    C_p=st.integers(1, 4), C_o=st.integers(1, 4), k=st.integers(2, 5), V=st.integers(2, 4)
)  # fmt: skip
def test_the_least_number_of_patches(C_p: int, C_o: int, k: int, V: int) -> None:
    p = replace(TINY, n_classes=k, n_views=V, dim=V * k, n_patches=4 * V * k, sparsity=k,
                patches_per_view=C_p, single_other_strength=0.2)  # fmt: skip
    if C_o > C_p:
        with pytest.raises(BadInput, match=rf"^patches_per_other_view \(C_o\) = {C_o} must be <= "):
            replace(p, patches_per_other_view=C_o)
        return
    least = V * C_p + (V * k - V) * C_o
    with pytest.raises(BadInput, match=rf"^n_patches \(P\) = {least - 1} must .* >= {least}; "):
        replace(p, patches_per_other_view=C_o, n_patches=least - 1)
    p = replace(p, patches_per_other_view=C_o, n_patches=least)
    # s = k: every view is there, and together they fill the patches.
    held = sample(p, 3, seed=0, name="train").view_patches.flatten(1).sort(dim=1).values
    assert held[:, -least:].tolist() == [list(range(least))] * 3


@pytest.mark.parametrize("n", [1, 7, 30, 251])
def test_balance_is_exact(n: int) -> None:
    drawn = sample(TINY, n, seed=1, name="train")
    counts = drawn.labels.bincount(minlength=3)
    assert counts.max() - counts.min() <= 1
    assert int(drawn.single_view.sum()) == round(0.3 * n)
    singles = drawn.labels[drawn.single_view].bincount(minlength=3)
    assert singles.max() - singles.min() <= 1, "single-view samples are spread over the classes"


def columns(drawn: Sample) -> dict[str, Tensor]:
    found = {f.name: getattr(drawn, f.name) for f in fields(drawn)}
    return {name: column for name, column in found.items() if column is not None}


def same(a: Sample, b: Sample) -> bool:
    """Equal bit for bit."""
    left, right = columns(a), columns(b)
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


@pytest.mark.parametrize(("kind", "balanced"), [
    ("multi", True), ("single", True), ("multi", False), ("single", False), ("mixture", False),
])  # fmt: skip
def test_a_long_sample_begins_with_the_short_one(kind: str, balanced: bool) -> None:
    p = replace(TINY, balanced=balanced, feature_noise=0.1)
    short = sample(p, 300, seed=2, name="test", kind=kind)
    assert same(short, sample(p, 700, seed=2, name="test", kind=kind)[:300])


def test_chunks_are_the_whole() -> None:
    p = replace(TINY, feature_noise=0.1)
    whole = sample(p, 700, seed=2, name="train")
    start = 0
    for chunk in StreamedPatches(p, 700, seed=2, name="train").chunks():
        assert len(chunk) <= BLOCK
        assert same(chunk, whole[start : start + len(chunk)])
        start += len(chunk)
    assert start == 700


def test_a_larger_test_set_moves_nothing_else() -> None:
    before = sample(TINY, 40, seed=0, name="train")
    for n in (10, 600):
        sample(TINY, n, seed=0, name="test", kind="single")
        assert same(before, sample(TINY, 40, seed=0, name="train"))


def test_streams_are_independent() -> None:
    base = sample(TINY, 40, seed=0, name="train").patches
    for other in (
        sample(TINY, 40, seed=1, name="train"),
        sample(TINY, 40, seed=0, name="test"),
        sample(TINY, 40, seed=0, name="train", kind="multi"),
    ):
        assert not torch.isin(other.patches, base).any(), "no number is used twice"


def test_a_slice_is_a_sample_and_moves_between_precisions() -> None:
    drawn = sample(replace(TINY, feature_noise=0.1), 20, seed=0, name="train")
    part = drawn[torch.tensor([3, 1])]
    assert len(part) == 2 and torch.equal(part.patches[0], drawn.patches[3])
    double = drawn.to(device="cpu", dtype=torch.float64)
    assert double.patches.dtype == torch.float64 and double.labels.dtype == torch.int64


def test_ten_thousand_samples_one_block_at_a_time() -> None:
    p = MultiViewParams(n_classes=10, dim=200, n_patches=100)
    total, seen = 0, torch.zeros(10, dtype=torch.long)
    for chunk in StreamedPatches(p, 10_000, seed=0, name="train").chunks():
        # No view into something larger is handed out: memory stays at one block.
        assert chunk.patches.untyped_storage().nbytes() <= 4 * BLOCK * 100 * 200
        total += len(chunk)
        seen += chunk.labels.bincount(minlength=10)
    assert total == 10_000
    assert seen.tolist() == [1000] * 10
