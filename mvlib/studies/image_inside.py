r"""Inside trained image networks: channels deleted (Figure 9), parts covered (Figure 5), and what
channels answer to (Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int
from mvlib.core.randomness import stream
from mvlib.deep.image_networks import image_outputs, in_blocks, lower, top
from mvlib.deep.image_sets import ImageSets, image_sets
from mvlib.deep.optimisers import Weights
from mvlib.paper.ensemble import ensemble_outputs
from mvlib.paper.gradient_descent import Progress
from mvlib.store.kinds import Kind, register
from mvlib.studies.images import ImageStudy, image_flops, image_steps, trained_learners
from mvlib.studies.one_draw import as_arrays

WAYS = ("random", "by class")
RIDGE = 1e-3  # of the readout's second fit, in units of the mean square of its inputs
ASCENT = 200  # steps of activation maximisation
BLUR = 8  # every so many of them the image is smoothed


@dataclass(frozen=True, kw_only=True, slots=True)
class InsideStudy:
    """A closer look at the networks of a study, trained again."""

    base: ImageStudy  # single networks, not averages
    deleted: tuple[float, ...]  # shares of the intermediate layer's channels, each in (0, 1)
    n_heat: int  # the first so many test images, >= 1, get heat maps
    patch: int  # side of the square that covers a part of the image, >= 1, at most the image's
    stride: int  # between neighbouring places of that square, >= 1
    n_channels: int  # of the first network, >= 1, whose favourite images are drawn

    def __post_init__(self) -> None:
        members, most = self.base.members, 2 * self.base.width
        require(members == 1, "members", "L", members, "be 1", "look into single networks")
        fits = all(0 < share < 1 for share in self.deleted)
        require(fits, "deleted", "", self.deleted, "lie in (0, 1)", "delete some channels, not all")
        for field in ("n_heat", "patch", "stride", "n_channels"):
            require_int(field, "", getattr(self, field), 1, "ask for one at least")
        n = self.n_channels
        require(n <= most, "n_channels", "", n, f"be <= {most}", "the layer has no more")


def run_inside(
    study: InsideStudy, *, progress: Progress | None = None, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Train the networks of `base` again and look into them.

    Returns:
        as_trained_error, refitted_error (ways, shares, L) and as_trained_ensemble_error,
        refitted_ensemble_error (ways, shares), with share 0 first; heat (L, images, places,
        places), the loss of the label's log-probability where a square is grey; heat_images and
        heat_labels; and favourites (channels, ch, h, w).
    """
    sets = image_sets(study.base.data, device=device)
    _places(sets.X, study.patch, study.stride)  # refused before the training, not after it
    networks = [one[0] for one in trained_learners(study.base, sets, progress=progress)]
    shown, labels = sets.X_test[: study.n_heat], sets.y_test[: study.n_heat]
    shape, seed = tuple(shown.shape[1:]), study.base.data.draw
    heat = [occlusion(W, shown, labels, patch=study.patch, stride=study.stride) for W in networks]
    return as_arrays({
        **deletion(study, networks, sets),
        "heat": torch.stack(heat),
        "heat_images": shown,
        "heat_labels": labels,
        "favourites": favourites(networks[0], range(study.n_channels), shape=shape, seed=seed),
    })  # fmt: skip


def kept_channels(
    scores: Float[Tensor, "c k"], share: float, way: str, *, seed: int
) -> Bool[Tensor, " c"]:
    """Which channels stay when a share of them is deleted.

    Args:
        scores: mean answer of each channel to each class.
        way: "random", or "by class": those of the classes with the lowest numbers go first, where
            a channel belongs to the class that it answers most, compared with its mean.
    """
    n = len(scores)
    order = torch.randperm(n, generator=stream(seed, "deleted channels")).to(scores.device)
    if way == "by class":
        owner = (scores / (scores.mean(dim=1, keepdim=True) + 1e-9)).argmax(dim=1)
        order = order[owner[order].argsort(stable=True)]
    return ~torch.isin(torch.arange(n, device=order.device), order[: round(share * n)])


def deletion(study: InsideStudy, networks: Sequence[Weights], sets: ImageSets) -> dict[str, Tensor]:
    """Errors without some channels of the intermediate layer, every network losing its own, with
    the rest as trained and with the readout fitted again."""
    shares = (0.0, *study.deleted)
    errors = torch.zeros(2, len(WAYS), len(shares), len(networks) + 1)
    targets = nnf.one_hot(sets.y, sets.n_classes).float()
    layers = [[in_blocks(partial(lower, W), X) for X in (sets.X, sets.X_test)] for W in networks]
    for (i, way), (j, share) in product(enumerate(WAYS), enumerate(shares)):
        outputs = []
        for seed, W, both in zip(study.base.seeds, networks, layers, strict=True):
            by_image = both[0].mean(dim=(2, 3))
            by_class = [by_image[sets.true_y == c].mean(dim=0) for c in range(sets.n_classes)]
            kept = kept_channels(torch.stack(by_class, dim=1), share, way, seed=seed)
            mask = kept.to(by_image.dtype)[:, None, None]
            H, H_test = (in_blocks(partial(top, W), A * mask) for A in both)
            readouts = W["readout"].T, fitted_readout(H, targets)
            outputs.append(torch.stack([H_test @ readout for readout in readouts]))
        for how, stack in enumerate(torch.stack(outputs, dim=1)):
            every = torch.cat([stack, ensemble_outputs(stack)[None]])
            errors[how, i, j] = (every.argmax(dim=-1) != sets.y_test).float().mean(dim=1)
    return {
        "as_trained_error": errors[0, ..., :-1],
        "as_trained_ensemble_error": errors[0, ..., -1],
        "refitted_error": errors[1, ..., :-1],
        "refitted_ensemble_error": errors[1, ..., -1],
    }


def fitted_readout(
    H: Float[Tensor, "n features"], targets: Float[Tensor, "n k"]
) -> Float[Tensor, "features k"]:
    r"""$H^\top (H H^\top + \lambda \bar h I)^{-1} y$: ridge regression, in float64."""
    K = (H @ H.T).double()
    K.diagonal().add_(RIDGE * K.diagonal().mean().clamp_min(1e-12))
    solved = torch.cholesky_solve(targets.double(), torch.linalg.cholesky(K))
    return H.T @ solved.to(H.dtype)


def occlusion(
    W: Weights, X: Float[Tensor, "n ch h w"], labels: Int[Tensor, " n"], *, patch: int, stride: int
) -> Float[Tensor, "n rows columns"]:
    """How much of the label's log-probability is lost where a square of the image is grey (0).

    Raises:
        BadInput: if the square does not fit into the image.
    """
    rows, columns = _places(X, patch, stride)

    def score(x: Tensor) -> Tensor:
        log_p = in_blocks(partial(image_outputs, W), x).log_softmax(dim=1)
        return log_p.gather(1, labels[:, None]).squeeze(1)

    whole, heat = score(X), X.new_empty(len(X), len(rows), len(columns))
    for (i, upper), (j, left) in product(enumerate(rows), enumerate(columns)):
        covered = X.clone()
        covered[:, :, upper : upper + patch, left : left + patch] = 0
        heat[:, i, j] = whole - score(covered)
    return heat


def _places(X: Tensor, patch: int, stride: int) -> list[range]:
    side = min(X.shape[2:])
    require(patch <= side, "patch", "", patch, f"be <= {side}", "it must fit into the image")
    return [range(0, side - patch + 1, stride) for side in X.shape[2:]]


def favourites(
    W: Weights, channels: Sequence[int], *, shape: tuple[int, ...], seed: int
) -> Float[Tensor, "channels ch h w"]:
    """Images that channels of the intermediate layer answer to most strongly, found by gradient
    ascent on the channel's mean answer from weak noise, at a fixed norm and now and then smoothed.

    Choice: without the smoothing such images are noise to the eye.
    """
    found = []
    for channel in channels:
        x = 0.1 * torch.randn(1, *shape, generator=stream(seed, "favourite", channel))
        x = x.to(W["stem"].device).requires_grad_()
        for step in range(ASCENT):
            (gradient,) = torch.autograd.grad(lower(W, x)[0, channel].mean(), x)
            with torch.no_grad():
                x += 0.5 * gradient / gradient.square().mean().sqrt().clamp_min(1e-12)
                x /= x.square().mean().sqrt()  # as bright and dark as a training image
                if step % BLUR == 0:
                    x.copy_(nnf.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
        found.append(x.detach()[0])
    return torch.stack(found)


register(Kind(name="inside image networks", configuration=InsideStudy, run=run_inside,
              work=lambda study: image_flops(study.base),
              steps=lambda study: image_steps(study.base), version=2))  # fmt: skip
