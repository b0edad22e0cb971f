"""The parameters of the multi-view data: k, V, P, rho, Gamma, ... of Definitions 3.1 and 3.3."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

from mvlib.core.checks import (
    require,
    require_int,
    require_interval,
    require_number,
    require_plain,
)
from mvlib.paper.appearance import Appearance


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiViewParams:
    r"""The parameters of $\mathcal D_m$, $\mathcal D_s$ and their mixture $\mathcal D$.

    Class j has V views (features) $v_{j,\ell}$, l in 0..V-1, two in the paper's text.  With more,
    multi-view data show all own views at full strength; single-view data one of them, the others
    each in [rho, O(rho)].  A strength is a sum $\sum_{p\in\mathcal P_v(X)} z_p$ over patches.

    Choice: sums are uniform on the stated interval (as footnotes 7 and 8 suggest) and split evenly:
    own views over C_p patches, other classes' over C_o, with z_p = 0 in the rest (Remark 3.2 lets
    them be assigned at will; a patch with z_p = 0 is a noise patch like any other, so P may be less
    than C_p times the views present).  Patches are placed uniformly at random; alpha is uniform on
    [0, gamma]; classes may be balanced.

    Attributes:
        n_classes: $k \ge 2$; two classes with two views are warned of (footnote 5).
        n_views: $V \ge 2$, views of a class.
        dim: $d \ge kV$, dimension of a patch.
        n_patches: $P \ge V C_p + V (k - 1) C_o$ unless `overflow` is "thin"; the paper: $k^2$.
        patches_per_view: $C_p \ge 1$, patches that share the strength of an own view.
        patches_per_other_view: $C_o \in [1, C_p]$, the same of another class's view.
        sparsity: $s \in [0, k]$; a view of another class is present with probability s/k.
        single_view_fraction: $\mu \in [0, 1]$.
        own_strength: interval of $\sum z$ for a class's own view(s), inside $[1, \infty)$.
        view_scale: factors >= 1 on `own_strength` for view 0, 1, ... (Remark 3.2); 1 beyond them.
        multi_other_strength: interval for other classes' views in multi-view data, inside (0, .4].
        weak_view_strength: $\rho \in (0, 1)$, least strength of a weak own view (single-view).
        weak_view_spread: the constant in $[\rho, O(\rho)]$, >= 1.
        single_other_strength: $\Gamma \in (0, 1/V]$, greatest strength of other classes' views in
            single-view data; the V views of one wrong class add up.
        single_other_floor: the constant in $[\Omega(\Gamma), \Gamma]$, in (0, 1].
        feature_noise: $\gamma \ge 0$; patches carry $\sum_{v'} \alpha_{p,v'} v'$ (footnote 6).
        noise_std: $\sigma_p \ge 0$; every patch carries $\xi_p \sim N(0, \sigma_p^2 I)$.
        features: "axis" puts view f on coordinate f; "general" is a random orthonormal family.
        overlap: inner product of any two views, in [0, 1); the paper: 0.  See `feature_vectors`.
        appearance: what a view looks like in each patch, where it varies; features and overlap
            then keep their defaults.  None: the same vector every time.
        balanced: labels equally often and exactly round(mu n) single-view samples, spread over the
            classes; False draws both independently, as Definition 3.3 says.
        overflow: of views beyond the patches: "forbid" asks for enough patches beforehand, "thin"
            removes views of other classes at random.

    A UserWarning tells of two classes with two views each (footnote 5).

    Raises:
        BadInput: for the first field out of its range.

    Paper: Definition 3.1.
    """

    n_classes: int = 10
    n_views: int = 2
    dim: int = 2000
    n_patches: int = 20
    patches_per_view: int = 1
    patches_per_other_view: int = 1
    sparsity: float = 3.0
    single_view_fraction: float = 0.016
    own_strength: tuple[float, float] = (1.0, 2.0)
    view_scale: tuple[float, ...] = (1.0, 1.0)
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
    overlap: float = 0.0
    appearance: Appearance | None = None

    def __post_init__(self) -> None:
        for whole, symbol, low, remedy in (
            ("n_classes", "k", 2, "a classification needs two classes"),
            ("n_views", "V", 2, "with one view a class there is no lottery"),
            ("patches_per_view", "C_p", 1, "give every view at least one patch"),
            ("patches_per_other_view", "C_o", 1, "a view needs a patch"),
        ):
            require_int(whole, symbol, getattr(self, whole), low, remedy)
        k, V, scale = self.n_classes, self.n_views, self.view_scale
        C_p, C_o = self.patches_per_view, self.patches_per_other_view
        need = f"be <= C_p = {C_p}"
        require(C_o <= C_p, "patches_per_other_view", "C_o", C_o, need, "raise patches_per_view")
        require_int("dim", "d", self.dim, k * V, f"raise dim to k V = {k * V} or lower n_classes")
        least = V * C_p + (0 if self.overflow == "thin" else V * (k - 1) * C_o)
        more = 'raise n_patches, or set overflow="thin" if own views fit'
        require_int("n_patches", "P", self.n_patches, least, more)
        tip = f"the {V} views of a wrong class add up, keep them below the weakest own view"
        for field, symbol, low, high, remedy, open_low in (
            ("sparsity", "s", 0, k, "s/k is a probability", False),
            ("single_view_fraction", "mu", 0, 1, "it is a probability", False),
            ("weak_view_strength", "rho", 0, 0.999, "try 0.1", True),
            ("weak_view_spread", "O(rho)/rho", 1, inf, "try 2.0", False),
            ("single_other_strength", "Gamma", 0, 1 / V, tip, True),
            ("single_other_floor", "Omega(Gamma)/Gamma", 0, 1, "try 0.5", True),
            ("feature_noise", "gamma", 0, inf, "try 0.0", False),
            ("noise_std", "sigma_p", 0, inf, "try 1.1 / sqrt(d)", False),
        ):
            value = getattr(self, field)
            require_number(field, symbol, value, low, high, remedy, open_low=open_low)
        own, other = self.own_strength, self.multi_other_strength
        require_interval("own_strength", "z own", own, 1, inf, "use (1.0, 2.0)")
        require_interval("multi_other_strength", "z other", other, 1e-9, 0.4, "use (0.2, 0.4)")
        fits = isinstance(scale, tuple) and len(scale) <= V and all(1 <= c < inf for c in scale)
        need = f"be at most V = {V} factors >= 1, one a view"
        require(fits, "view_scale", "z own", scale, need, "use (1.0, 1.0)")
        for field, allowed in (("features", ("axis", "general")), ("overflow", ("forbid", "thin"))):
            word = getattr(self, field)
            require(word in allowed, field, "choice", word, f"be one of {allowed}", "pick one")
        told = isinstance(self.balanced, bool)
        require(told, "balanced", "choice", self.balanced, "be True or False", "pick one")
        tip = "at 1 all views are the same direction and depend on each other; try 0.1"
        require_number("overlap", "<v, v'>", self.overlap, 0, inf, tip)
        require(self.overlap < 1, "overlap", "<v, v'>", self.overlap, "be < 1", tip)
        if self.appearance is not None:
            inherits, given = isinstance(self.appearance, Appearance), (self.features, self.overlap)
            require(inherits, "appearance", "v", self.appearance, "be an Appearance",
                    "inherit from that class")  # fmt: skip
            require_plain("appearance", "v", self.appearance)
            need, tip = "keep their defaults beside an appearance", "it says what the views are"
            require(given == ("axis", 0.0), "features, overlap", "v", given, need, tip)
        if k == V == 2:
            said = (
                "n_classes (k) = 2 with n_views (V) = 2 is too small for the theorems, which let k "
                "grow; at fixed k raise n_views (footnote 5)."
            )
            warnings.warn(said, stacklevel=3)

    @property
    def noise_norm(self) -> float:
        r"""Typical length $\sigma_p\sqrt d$ of a patch's Gaussian noise: what memorising uses."""
        return self.noise_std * sqrt(self.dim)
