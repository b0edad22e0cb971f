"""Views that look different in every patch."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from shapes import unchecked
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.paper import multi_view_data
from mvlib.paper.appearance import Appearance
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.multi_view_data import feature_vectors, sample, stored


@dataclass(frozen=True)
class Wobbling(Appearance):
    """View f is coordinate f; a look also has up to `most` of coordinate 16, in tests less."""

    most: float = 1.0

    def views(self) -> Tensor:
        return torch.eye(6, 32).view(3, 2, 32)

    def looks(self, view: Tensor, chance: Tensor, name: str) -> Tensor:
        found = torch.eye(6, 32)[view]
        found[:, 16] = chance * (self.most if name == "train" else self.most / 2)
        return found


PARAMS = MultiViewParams(n_classes=3, dim=32, n_patches=12, patches_per_view=2, sparsity=1.5,
                         single_view_fraction=0.2, noise_std=0.0,
                         appearance=Wobbling())  # fmt: skip


def test_a_patch_carries_its_strength_times_a_look() -> None:
    drawn = sample(PARAMS, 60, seed=3, name="train")
    assert drawn.looks is not None
    for n in range(60):
        expected = torch.zeros(12, 32)
        for j in range(3):
            for v in range(2):
                places = [p for p in drawn.view_patches[n, j, v].tolist() if p >= 0]
                for slot, p in enumerate(places):
                    z = drawn.strengths[n, j, v] / len(places)
                    expected[p, 2 * j + v] = z
                    expected[p, 16] = z * drawn.looks[n, j, v, slot]
        # The same products in the same precision, but for their order.
        assert torch.allclose(stored(drawn)[n], expected, atol=1e-7)
    assert torch.equal(feature_vectors(PARAMS, 3), PARAMS.appearance.views())  # type: ignore[union-attr]


def test_training_and_tests_may_look_different() -> None:
    wobble = [stored(sample(PARAMS, 200, seed=3, name=name))[..., 16] for name in ("train", "test")]
    # A strength is 2 at most, half of it in a patch; 200 inputs come near both ends.
    assert 0.9 < float(wobble[0].max()) <= 1 and 0.45 < float(wobble[1].max()) <= 0.5


def test_looks_change_nothing_else() -> None:
    plain = sample(replace(PARAMS, appearance=None), 60, seed=3, name="train")
    drawn = sample(PARAMS, 60, seed=3, name="train")
    for column in ("labels", "single_view", "dominant_view", "strengths", "view_patches"):
        assert torch.equal(getattr(plain, column), getattr(drawn, column))
    assert torch.equal(stored(plain)[..., :16], stored(drawn)[..., :16]) and plain.looks is None


def test_streamed_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = replace(PARAMS, noise_std=0.1)
    whole = stored(sample(noisy, 300, seed=3, name="train"))
    streamed = sample(noisy, 300, seed=3, name="train", streamed=True)
    assert streamed.looks is None and torch.equal(streamed.patches[:], whole)
    monkeypatch.setattr(multi_view_data, "CHUNK_FLOATS", 7 * 12 * 32)
    assert torch.equal(stored(sample(noisy, 300, seed=3, name="train")), whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"appearance": "red"}, r"^appearance \(v\) = 'red' must be an Appearance"),
        ({"features": "general"}, "^features, overlap .*keep their defaults"),
        ({"overlap": 0.1}, "^features, overlap .*keep their defaults"),
    ],
)
def test_what_does_not_fit(change: dict[str, Any], words: str) -> None:
    with unchecked(), pytest.raises(BadInput, match=words):
        replace(PARAMS, **change)


def test_views_have_the_datas_shape() -> None:
    with pytest.raises(BadInput, match=r"^appearance \(v\) = \(3, 2, 32\) must .*\(4, 2, 32\)"):
        feature_vectors(replace(PARAMS, n_classes=4, n_patches=40), 0)
