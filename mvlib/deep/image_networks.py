r"""A small residual network for photographs, with batch normalisation or without, and its training.

Seeds are trained one after the other: on one or two cores a loop is faster than `torch.func.vmap`
(17 and 32 ms a network and step at 16 channels, batches of 64) and needs a tenth of the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import BadInput, require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.deep.optimisers import (
    Adam,
    Precision,
    Weights,
    descend,
    require_precision,
    rounded,
)

BLOCK = 500  # images at a time, where no gradient is asked for
NORMALISATIONS = ("none", "batch")
# What a normalised convolution has beside its filters, and where it starts: the last two are
# running means of its batches' statistics, by which it is normalised outside training.
NORMALISING = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "var": 1.0}
STATISTICS = ("mean", "var")
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (n, k) and targets (n, ...) -> a number


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidualNet:
    r"""Stem, two residual blocks, linear readout.

    A 5 x 5 convolution of stride 2 to c channels; a block of stride 2 to 2c channels; a block of
    2c channels; and a readout of all positions and channels.  A block computes
    $\mathrm{relu}((\mathrm{short}(x) + \mathrm{conv}(\mathrm{relu}(\mathrm{conv}(x))))/\sqrt2)$;
    with batch normalisation every convolution's outputs go through it.

    Attributes:
        n_classes: k >= 1 outputs.
        channels: of the input, 1 (grey) or 3.
        side: height and width of the input, a multiple of 4.
        width: c >= 1.
        normalisation: one of `NORMALISATIONS`.
    """

    n_classes: int
    channels: int
    side: int
    width: int
    normalisation: str = "none"

    def __post_init__(self) -> None:
        require_int("n_classes", "k", self.n_classes, 1, "ask for an output")
        require_int("channels", "", self.channels, 1, "grey images have one")
        require_int("width", "c", self.width, 1, "try 16")
        require_int("side", "", self.side, 8, "use larger images")
        require(self.side % 4 == 0, "side", "", self.side, "be a multiple of 4", "pad the images")
        require_normalisation(self.normalisation)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every weight, by name."""
        c, last = self.width, self.side // 4
        filters = {
            "stem": (c, self.channels, 5, 5),
            "first.in": (2 * c, c, 3, 3),
            "first.out": (2 * c, 2 * c, 3, 3),
            "first.short": (2 * c, c, 1, 1),
            "second.in": (2 * c, 2 * c, 3, 3),
            "second.out": (2 * c, 2 * c, 3, 3),
        }
        beside = NORMALISING if self.normalisation == "batch" else ()
        normalising = {f"{name}.{of}": filters[name][:1] for name in filters for of in beside}
        return filters | normalising | {"readout": (self.n_classes, 2 * c * last * last)}

    def flops(self) -> float:
        """Of one image forwards, about: of its products, which are nearly all."""
        s, every = self.side // 2, self.shapes()
        shapes = {name: shape for name, shape in every.items() if len(shape) > 1}
        pixels = {name: s * s / (4 if "." in name else 1) for name in shapes} | {"readout": 1}
        return sum(2.0 * math.prod(shape) * pixels[name] for name, shape in shapes.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Epochs:
    """How networks for images are trained: Adam, with a warm-up over the first tenth of a cosine
    to zero.

    Choice: Adam, and no weight decay: a network that fits 1,000 images in seconds on one core.
    All networks and students of the book train equally long, but for students of normalised
    networks, which are slower to fit and take twice as many passes.
    """

    epochs: int  # passes over the training set, >= 1
    batch: int = 50  # images a step, >= 1
    step_size: float = 4e-3  # at its largest, > 0
    precision: Precision = "float32"  # of the training's activations; weights stay as they are

    def __post_init__(self) -> None:
        require_int("epochs", "T", self.epochs, 1, "train for one pass at least")
        require_int("batch", "", self.batch, 1, "take one image a step at least")
        require_number("step_size", "eta", self.step_size, 0, math.inf, "try 4e-3", open_low=True)
        require_precision(self.precision)

    def steps(self, n_train: int) -> int:
        """Number of steps on n_train images."""
        return self.epochs * math.ceil(n_train / self.batch)

    def rate(self, step: int, n_train: int) -> float:
        """Step size of step 0, 1, ..."""
        share, one = step / self.steps(n_train), 1 / self.steps(n_train)
        cosine = 0.5 + 0.5 * math.cos(math.pi * share)
        return self.step_size * min(1.0, (share + one) / 0.1) * cosine


def require_normalisation(normalisation: str) -> None:
    """Raises `BadInput` if there is no such normalisation."""
    known = normalisation in NORMALISATIONS
    require(known, "normalisation", "", normalisation, f"be one of {NORMALISATIONS}", "pick one")


def init_network(seed: int, net: ResidualNet, *, device: str = "cpu") -> Weights:
    """Gaussian weights of variance 2 / fan-in (readout: 1 / fan-in); a seed's own stream.
    Normalisation starts as `NORMALISING` says."""
    weights = {}
    for name, shape in net.shapes().items():
        if len(shape) == 1:
            weights[name] = torch.full(shape, NORMALISING[name.rpartition(".")[2]], device=device)
            continue
        drawn = torch.randn(shape, generator=stream(seed, "image network", name))
        drawn *= math.sqrt((1.0 if name == "readout" else 2.0) / math.prod(shape[1:]))
        layout = torch.channels_last if drawn.ndim == 4 else torch.contiguous_format
        weights[name] = drawn.to(device, memory_format=layout)
    return weights


def _convolved(x: Tensor, W: Weights, name: str, stride: int, training: bool) -> Tensor:
    h = nnf.conv2d(x, W[name], stride=stride, padding=W[name].shape[-1] // 2)
    if f"{name}.scale" not in W:
        return h
    scale, shift, mean, var = (W[f"{name}.{of}"] for of in NORMALISING)
    return nnf.batch_norm(h, mean, var, scale, shift, training=training)


def _block(x: Tensor, W: Weights, name: str, stride: int, training: bool) -> Tensor:
    h = nnf.relu(_convolved(x, W, f"{name}.in", stride, training))
    h = _convolved(h, W, f"{name}.out", 1, training)
    if stride > 1:
        x = _convolved(nnf.avg_pool2d(x, stride), W, f"{name}.short", 1, training)
    return nnf.relu((x + h) * math.sqrt(0.5))


def lower(
    W: Weights, X: Float[Tensor, "n ch h w"], *, training: bool = False
) -> Float[Tensor, "n c2 h4 w4"]:
    """The intermediate layer: 2c channels after the first block."""
    stem = nnf.relu(_convolved(X, W, "stem", 2, training))
    return _block(stem, W, "first", 2, training)


def top(
    W: Weights, A: Float[Tensor, "n c2 h4 w4"], *, training: bool = False
) -> Float[Tensor, "n features"]:
    """What the readout sees, from the intermediate layer."""
    return _block(A, W, "second", 1, training).flatten(1)


def image_outputs(
    W: Weights, X: Float[Tensor, "n ch h w"], *, training: bool = False
) -> Float[Tensor, "n k"]:
    """The network's k outputs (scores, not probabilities).  In training batch normalisation, if
    there is any, is by these images' own statistics, and their running means in W move."""
    return top(W, lower(W, X, training=training), training=training) @ W["readout"].T


@torch.no_grad()
def in_blocks(function: Callable[[Tensor], Tensor], X: Tensor) -> Tensor:
    """A function of images, in blocks, without gradients."""
    X = X.contiguous(memory_format=torch.channels_last)
    return torch.cat([function(block) for block in X.split(BLOCK)])


def soft_labels(
    teacher: Float[Tensor, "n k"], temperature: float
) -> tuple[Float[Tensor, "n k"], Loss]:
    r"""Targets $\mathrm{softmax}(G/T)$, and the loss that compares outputs F with them: $T^2$ times
    their cross-entropy with $\mathrm{softmax}(F/T)$; no labels beside them.

    Raises:
        BadInput: if T <= 0.
    """
    T = temperature
    require_number("temperature", "T", T, 0, math.inf, "try 4", open_low=True)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return -(T**2) * (targets * (outputs / T).log_softmax(dim=1)).sum(dim=1).mean()

    return (teacher / T).softmax(dim=1), loss


def train_together(
    starts: Sequence[Weights], X: Float[Tensor, "n ch h w"], targets: Tensor, schedule: Epochs, *,
    seed: int, loss: Loss = nnf.cross_entropy, tick: Callable[[], None] | None = None,
) -> list[Weights]:  # fmt: skip
    """Train the mean of several networks' outputs as one learner; one start is one network.  (Adam
    divides by the gradient's size, so that the mean's factor 1/L changes nothing.)  Batch
    normalisation is each network's own.

    Args:
        targets: labels, or whatever `loss` compares outputs with, one row an image.
        seed: decides the order of the images.
        tick: called after each step.

    Raises:
        BadInput: if the loss is not finite, naming step and seed.
    """
    weights = [
        {name: w.clone().requires_grad_(not name.endswith(STATISTICS)) for name, w in start.items()}
        for start in starts
    ]
    flat = [w for one in weights for w in one.values() if w.requires_grad]
    low, own = schedule.precision, X.dtype
    X = rounded(X, low).contiguous(memory_format=torch.channels_last)
    optimiser, order, step = Adam(beta2=0.99).build(flat), stream(seed, "image batches"), 0
    for _ in range(schedule.epochs):
        for rows in torch.randperm(len(X), generator=order).to(X.device).split(schedule.batch):
            # Statistics, scales and shifts are vectors, which stay as they are.
            used = (
                {name: rounded(w, low) if w.ndim > 1 else w for name, w in one.items()}
                for one in weights
            )
            every = torch.stack([image_outputs(W, X[rows], training=True) for W in used])
            value = loss(every.to(own).mean(dim=0), targets[rows])
            if not math.isfinite(value.item()):
                raise BadInput(f"loss at step {step} of seed {seed} must be finite; "
                               f"lower step_size (eta) = {schedule.step_size:g}.")  # fmt: skip
            descend(optimiser, torch.autograd.grad(value, flat), schedule.rate(step, len(X)))
            step += 1
            if tick:
                tick()
    return [{name: w.detach() for name, w in one.items()} for one in weights]
