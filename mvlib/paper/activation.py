r"""The smoothed ReLU of Definition 3.4, or an activation of one's own in its place."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import BadInput, require, require_int, require_number, require_plain

SLOPE_TOLERANCE = 1e-3  # of difference quotients in float64, which err by 1e-7 where smooth
Numbers = Float[Tensor, "*shape"]


@runtime_checkable
class Activation(Protocol):
    """A function of one number and its derivative; training, kernels and lottery take the same.

    One's own is a frozen dataclass that inherits from this class and gives `value` and `slope`;
    its fields (numbers, words) and its name enter the key of what is stored, its code does not.
    """

    __slots__ = ()

    @abstractmethod
    def value(self, z: Numbers) -> Numbers:
        """The activation of every number."""

    @abstractmethod
    def slope(self, z: Numbers) -> Numbers:
        """Its derivative there; at a kink either side's."""

    def onset(self) -> tuple[int, float] | None:
        r"""(q, $\varrho$) where the slope begins as $(z/\varrho)^{q-1}$ above 0, which the lottery
        and the growth rates need; None: there is no such power, and they refuse."""
        return None

    @property
    def slope_unit(self) -> float:
        """What the slopes of `value_and_slope` still have to be divided by."""
        return 1.0

    def value_and_slope(self, z: Numbers) -> tuple[Numbers, Numbers]:
        """Value, and slope times `slope_unit`, which may be written over: the whole pointwise part
        of a training step, here for those who can save by computing both at once."""
        return self.value(z), self.slope(z).contiguous()

    def value_and_slope_(self, z: Numbers, spare: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
        """The same where z and two `spare` tensors of its shape may be written over and be the
        result, for those who can do without fresh memory."""
        return self.value_and_slope(z)


@dataclass(frozen=True, slots=True)
class SmoothedReLU(Activation):
    r"""ReLU with its corner replaced by a polynomial of degree q.

    $0$ for $z \le 0$; $z^q / (q\varrho^{q-1})$ up to $\varrho$; then $z - (1 - 1/q)\varrho$.  Value
    and slope agree at both joins.

    Attributes:
        power: integer q >= 2; the paper: 4.
        threshold: $\varrho > 0$, where it turns linear (not the data's rho).

    Raises:
        BadInput: for the first field out of its range.

    Paper: Definition 3.4.
    """

    power: int = 4
    threshold: float = 1.0

    def __post_init__(self) -> None:
        require_int("power", "q", self.power, 2, "the paper uses 4")
        require_number("threshold", "varrho", self.threshold, 0, inf, "try 1.0", open_low=True)

    def value(self, z: Numbers) -> Numbers:
        """Of every number."""
        return self.value_and_slope(z)[0]

    def slope(self, z: Numbers) -> Numbers:
        r"""$(z/\varrho)^{q-1}$ clamped to [0, 1]."""
        return (z.clamp(0, self.threshold) / self.threshold) ** (self.power - 1)

    def onset(self) -> tuple[int, float]:
        r"""(q, $\varrho$)."""
        return self.power, self.threshold

    @property
    def slope_unit(self) -> float:
        r"""$\varrho^{q-1}$."""
        return self.threshold ** (self.power - 1)

    def value_and_slope(self, z: Numbers) -> tuple[Numbers, Numbers]:
        r"""With u = z clamped to $[0, \varrho]$ the slope is $u^{q-1}$ and the value
        $u\, u^{q-1}/q$, both over $\varrho^{q-1}$, plus $\mathrm{ReLU}(z - \varrho)$: no branch,
        and products alone, where `pow` would take longer than the matrix product before it."""
        q, varrho = self.power, self.threshold
        u = z.clamp(0, varrho)
        slope = u if q == 2 else u * u
        for _ in range(q - 3):
            slope = slope * u
        # Nothing is written over, so that scores can be differentiated.
        return torch.addcmul((z - varrho).relu(), slope, u, value=1 / (q * self.slope_unit)), slope

    def value_and_slope_(self, z: Numbers, spare: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
        """The same operations in place."""
        q, varrho = self.power, self.threshold
        u, slope = spare
        torch.clamp(z, 0, varrho, out=u)
        if q == 2:
            slope = u
        else:
            torch.mul(u, u, out=slope)
        for _ in range(q - 3):
            slope.mul_(u)
        z.sub_(varrho).relu_().addcmul_(slope, u, value=1 / (q * self.slope_unit))
        return z, slope


@dataclass(frozen=True, slots=True)
class RoundedReLU(Activation):
    r"""Another smoothing, with the same onset and no joint: with $u = \max(z, 0)/\varrho$ its value
    is $\varrho\,((1 + u^q)^{1/q} - 1)$, about $\varrho u^q/q$ near 0 and $z - \varrho$ far out.

    Attributes:
        power: integer q >= 2.
        threshold: $\varrho > 0$, where power and line meet.

    Raises:
        BadInput: for the first field out of its range.
    """

    power: int = 4
    threshold: float = 1.0

    def __post_init__(self) -> None:
        SmoothedReLU(self.power, self.threshold)  # refuses the same

    def value(self, z: Numbers) -> Numbers:
        """Of every number."""
        u = z.clamp_min(0) / self.threshold
        # (1 + u^q)^(1/q) - 1 without losing what is far smaller than 1.
        return self.threshold * torch.expm1(torch.log1p(u**self.power) / self.power)

    def slope(self, z: Numbers) -> Numbers:
        r"""$(u / (1 + u^q)^{1/q})^{q-1}$."""
        u, q = z.clamp_min(0) / self.threshold, self.power
        return (u / (1 + u**q) ** (1 / q)) ** (q - 1)

    def onset(self) -> tuple[int, float]:
        r"""(q, $\varrho$)."""
        return self.power, self.threshold


def takeoff(activation: Activation) -> tuple[int, float]:
    r"""(q, $\varrho$) of an activation whose neurons take off, q >= 3.

    Raises:
        BadInput: if it has no power at its onset, or q = 2: growth is exponential and nothing
            takes off.
    """
    onset = activation.onset()
    if onset is None:
        raise BadInput(
            f"activation (sigma) = {activation!r} must say the power of its onset for lottery and "
            "growth rates; give it a method onset that returns (q, varrho), or use `train` alone."
        )
    slow = "at q = 2 nothing takes off and no winner can be foretold; the paper uses 4"
    require_int("power", "q", onset[0], 3, slow)
    return onset


def check_activation(activation: Activation) -> None:
    """Refuse an activation of one's own that does not belong together.

    Raises:
        BadInput: if it does not inherit from `Activation` or is no frozen dataclass of numbers
            and words, if its slope is not the derivative of its value by central differences at
            some 400 points of [-10, 10], if it does not begin as its onset says, or if
            `value_and_slope` gives something else.
    """
    inherits = isinstance(activation, Activation)
    require(inherits, "activation", "sigma", activation, "be an Activation", "inherit from it")
    require_plain("activation", "sigma", activation)
    _check_slope(activation)  # type: ignore[arg-type]  # frozen: hashable


@functools.cache  # asked for again with every configuration
def _check_slope(activation: Activation) -> None:
    def need(holds: bool, bound: str, remedy: str) -> None:
        require(holds, "activation", "sigma", activation, bound, remedy)

    size = torch.logspace(-3, 1, 201, dtype=torch.float64) * 0.98765  # no kink is likely there
    z = torch.cat([-size.flip(0), size])
    h = 1e-5 * z.abs()
    above, below, slope = activation.value(z + h), activation.value(z - h), activation.slope(z)
    fits = all(part.shape == z.shape and part.dtype == z.dtype for part in (above, slope))
    tip = "let it turn every number into one of the same precision"
    need(fits, "keep its argument's shape and dtype", tip)
    quotient = (above - below) / (2 * h)
    allowed = SLOPE_TOLERANCE * torch.maximum(slope.abs(), quotient.abs()).clamp_min(0.01)
    off = ~((slope - quotient).abs() <= allowed)  # NaN is off
    i = int(off.int().argmax())
    said = f"at z = {float(z[i]):.3g} slope is {float(slope[i]):.4g} and value rises at "
    said = f"have the slope of its value: {said}{float(quotient[i]):.4g}"
    need(not bool(off.any()), said, "differentiate it again")
    pairs = []
    for value, scaled in (
        activation.value_and_slope(z),
        activation.value_and_slope_(z.clone(), (z.clone(), z.clone())),
    ):
        pairs += [(value, activation.value(z)), (scaled / activation.slope_unit, slope)]
    same = all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)
    tip = "leave that method out, or mend it or slope_unit"
    need(same, "give by value_and_slope what value and slope give", tip)
    onset = activation.onset()
    if onset is not None:
        q, varrho = onset
        early = 1e-3
        found = float(activation.slope(torch.tensor([early * varrho], dtype=torch.float64)))
        # Terms of higher order are a share of about 1e-3 of the first.
        fits = abs(found / early ** (q - 1) - 1) < 0.05
        said = f"begin with slope (z / {varrho:g})^{q - 1} as its onset says"
        need(fits, said, f"at z = {early * varrho:g} its slope is {found:.3g}")
