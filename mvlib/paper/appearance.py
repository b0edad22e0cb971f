"""What a view looks like in a patch, where it is not the same vector every time."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Appearance(Protocol):
    r"""Views that vary: a patch carries $z_p u$ with u one of many looks of the view v.

    Definition 3.1 has u = v.  One's own is a frozen dataclass of numbers and words that inherits
    from this class.
    """

    __slots__ = ()

    @abstractmethod
    def views(self) -> Float[Tensor, "k V d"]:
        r"""The mean look $v_{j,\ell}$ of each view, of length 1: correlations are taken with it."""

    @abstractmethod
    def looks(
        self, view: Int[Tensor, " n"], chance: Float[Tensor, " n"], name: str
    ) -> Float[Tensor, "n d"]:
        """A look for each of n places.

        Args:
            view: V j + l for view l of class j.
            chance: a number in [0, 1) for each place, which decides the look.
            name: of the sample, as in `sample`: "train" may have other looks than the rest.
        """
