"""Photographs as views, on scikit-learn's digits."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked

from mvlib.core.checks import BadInput
from mvlib.deep.photographs import digits
from mvlib.deep.picture_views import PictureViews, album, typicality, whitening

pytest.importorskip("sklearn")

LOOK = PictureViews(dataset="digits", typical=0.5, side=8)


def all_looks(view: int, name: str) -> torch.Tensor:
    """Every photograph of a view once."""
    many = int(
        (album(LOOK).train if name == "train" else album(LOOK).test).many[
            (view // 2 + view % 2) % 10
        ]
    )
    chance = (torch.arange(many) + 0.5) / many
    return LOOK.looks(torch.full((many,), view), chance, name)


def test_things_by_name() -> None:
    things = LOOK.things()
    assert things[0] == ("zero", "one") and things[9] == ("nine", "zero")
    other = replace(LOOK, second=(3, 7, 5, 0, 9, 2, 8, 1, 6, 4))
    assert other.things()[:2] == (("zero", "three"), ("one", "seven"))
    assert torch.equal(other.views()[0, 1], LOOK.views()[2, 1]), "class 2 showed the next kind, 3"


def test_views_are_means_in_their_colour() -> None:
    views = LOOK.views()
    assert views.shape == (10, 2, LOOK.dim) and LOOK.dim == 128
    assert bool((views[:, 0, 64:] == 0).all()) and bool((views[:, 1, :64] == 0).all())
    # Class y in orange shows what class y + 1 shows in blue.
    assert torch.equal(views[:9, 1, 64:], views[1:, 0, :64])
    for view in (0, 7, 19):
        looks, mean = all_looks(view, "train"), views.flatten(0, 1)[view]
        assert float(mean.norm()) == pytest.approx(1, abs=1e-5)
        # In float32; some photograph may be too unlike its kind to be scaled as far.
        reads = looks @ mean
        assert float(reads.max()) == pytest.approx(1, abs=1e-5) and float(reads.median()) > 0.9999
        # The mean of some 70 pictures of length about 2: nearly the kind's own.
        assert float(nnf.cosine_similarity(looks.mean(dim=0), mean, dim=0)) > 0.97
        black = looks[:, 64:] if view % 2 == 0 else looks[:, :64]
        assert bool((black == 0).all()) and float(looks.var(dim=0).max()) > 0
    assert float(views.flatten(0, 1)[::2].sum(dim=0).norm()) < 10


def test_tests_show_other_photographs() -> None:
    train, test = all_looks(4, "train"), all_looks(4, "test")
    assert float(torch.cdist(train, test).min()) > 0.05
    explored = replace(LOOK, explore=True)
    chance = torch.rand(20, generator=torch.Generator().manual_seed(0))
    view = torch.full((20,), 4)
    assert torch.equal(explored.looks(view, chance, "train"), LOOK.looks(view, chance, "train"))
    assert not torch.equal(explored.looks(view, chance, "test"), LOOK.looks(view, chance, "test"))


def test_typical_photographs_are_kept() -> None:
    found = digits()
    kept = len(found.train_labels) - len(found.train_labels) // 6
    many = album(LOOK).train.many
    for thing in range(10):
        own = int((found.train_labels[:kept] == thing).sum())
        assert abs(int(many[thing]) - own / 2) <= 1
    few, more = (album(replace(LOOK, typical=t)).train.many.sum() for t in (0.3, 1.0))
    assert few < many.sum() < more == kept


def test_typicality_by_hand() -> None:
    X, means = torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    # 3 / 1 - 1; and to the other mean 1, to the own 3.
    assert typicality(X, torch.tensor([0, 0]), means).tolist() == pytest.approx([2, -2 / 3])


def test_photographs_as_they_are() -> None:
    bare = replace(LOOK, whitened=False)
    chance = torch.rand(60, generator=torch.Generator().manual_seed(0))
    shown, whitened = (look.looks(torch.full((60,), 4), chance, "test")[:, :64]
                       for look in (bare, LOOK))  # fmt: skip
    found = digits()
    twos = torch.tensor(found.test_pixels[found.test_labels == 2]).float()
    twos = twos.view(-1, 8, 2, 8, 2).mean(dim=(2, 4)).flatten(1)  # 16 x 16 pixels, averaged down
    # Photographs are never negative, and each picture points where one of them does.
    alike = nnf.cosine_similarity(shown[:, None], twos[None], dim=-1).amax(dim=1)
    assert bool((shown >= 0).all()) and float(alike.min()) > 1 - 1e-5  # float32
    reads = shown @ bare.views()[2, 0, :64]
    assert torch.allclose(reads, torch.ones(60), atol=1e-5)
    repeats, again = ((a[:, None] == a).all(dim=-1) for a in (shown, whitened))
    assert torch.equal(repeats, again) and 60 < int(repeats.sum()) < 600


def test_whitening_by_hand() -> None:
    X = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # Variances 18/3 and 2/3, mean 10/3: 1 / sqrt(28/3) and 1 / sqrt(4).
    expected = torch.diag(torch.tensor([(28 / 3) ** -0.5, 0.5]))
    assert torch.allclose(whitening(X), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "mnist"),
        ("typical", 0.0),
        ("typical", 1.5),
        ("side", 3),
        ("explore", 1),
        ("whitened", 0),
        ("second", (1, 0)),
        ("second", (0,) * 10),
    ],
)
def test_bad_fields(field: str, value: Any) -> None:
    with unchecked(), pytest.raises(BadInput, match=rf"^{field} .*must .*\.$"):
        replace(LOOK, **{field: value})


def test_a_thing_without_photographs_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^typical .* must leave each kind a photograph"):
        album(replace(LOOK, typical=0.001))
