r"""Multi-view data as the reduced dynamics see them: which views a point shows, at which of four
strengths.  No patches, no noise; two views a class, as on the page in the browser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mvlib.core.checks import require, require_int, require_number
from mvlib.reduced.portable import uniforms

OWN, WEAK, OTHER, FAINT = range(4)  # the strengths, see `Points`
TRAIN, TEST_SINGLE, TEST_MULTI = range(1, 4)  # words of streams
LARGEST = 100.0  # of a scale; the browser's sliders stay far below


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceParams:
    r"""Everything that decides a race; the defaults are the book's setting.

    Choice: every strength is one number, the mean of the interval that the definition draws from.

    Attributes:
        n_classes: $k \ge 2$.
        n_neurons: m >= 1, neurons per class.
        power: integer q >= 2 of the smoothed ReLU.
        threshold: $\varrho > 0$, where it turns linear.
        init_std: $\sigma_0 > 0$.
        dim: $d \ge 2k$; decides how much of the noise's length lies along any one direction.
        noise_norm: $\nu = \sigma_p \sqrt d \ge 0$, length of a patch's noise.
        n_patches: P, at least $2 C_p + 2k - 2$.
        patches_per_view: $C_p \ge 1$, patches of an own view; another class's view has one.
        n_train, n_single: N >= 1 training points, of which $\mu N$ are single-view.
        sparsity: $s \in [0, k]$; a view of another class is present with probability s/k.
        own_strengths: $\sum z$ of view 1 and of view 2 of a point's own class, > 0.
        other_strength: of other classes' views in multi-view points, >= 0.
        weak_strength: $\rho > 0$, of the weak own view in single-view points.
        faint_strength: $\Gamma \ge 0$, of other classes' views in single-view points.
        n_test: fresh points of each kind, >= 1.

    Raises:
        BadInput: for the first field out of its range.
    """

    n_classes: int = 10
    n_neurons: int = 5
    power: int = 4
    threshold: float = 1.5
    init_std: float = 0.08
    dim: int = 1000
    noise_norm: float = 0.6
    n_patches: int = 40
    patches_per_view: int = 5
    n_train: int = 2000
    n_single: int = 10
    sparsity: float = 4.0
    own_strengths: tuple[float, float] = (1.3, 1.3)
    other_strength: float = 0.395
    weak_strength: float = 0.15
    faint_strength: float = 0.18
    n_test: int = 1000

    def __post_init__(self) -> None:
        k, big = self.n_classes, LARGEST
        require_int("n_classes", "k", k, 2, "a classification needs two classes")
        require_int("n_neurons", "m", self.n_neurons, 1, "give each class a neuron")
        require_int("power", "q", self.power, 2, "the paper uses 4")
        require_number("threshold", "varrho", self.threshold, 0, big, "try 1.5", open_low=True)
        require_number("init_std", "sigma_0", self.init_std, 0, big, "try 0.08", open_low=True)
        require_int("dim", "d", self.dim, 2 * k, f"raise dim to 2k = {2 * k}")
        require_number("noise_norm", "nu", self.noise_norm, 0, big, "try 0.6")
        require_int("patches_per_view", "C_p", self.patches_per_view, 1, "a view needs a patch")
        least = 2 * self.patches_per_view + 2 * k - 2
        require_int("n_patches", "P", self.n_patches, least, "all views must find room")
        require_int("n_train", "N", self.n_train, 1, "train on at least one point")
        require_int("n_single", "mu N", self.n_single, 0, "0 leaves multi-view points alone")
        require(self.n_single <= self.n_train, "n_single", "mu N", self.n_single,
                f"be <= N = {self.n_train}", "a share of the points is single-view")  # fmt: skip
        require_number("sparsity", "s", self.sparsity, 0, k, "s/k is a probability")
        own = self.own_strengths
        require(len(own) == 2, "own_strengths", "z own", own, "be a pair", "use (1.3, 1.3)")
        for z in own:
            require_number("own_strengths", "z own", z, 0, big, "try 1.3", open_low=True)
        require_number("other_strength", "z other", self.other_strength, 0, big, "try 0.395")
        require_number("weak_strength", "rho", self.weak_strength, 0, big, "try 0.15",
                       open_low=True)  # fmt: skip
        require_number("faint_strength", "Gamma", self.faint_strength, 0, big, "try 0.18")
        require_int("n_test", "n", self.n_test, 1, "test on at least one point")

    def patch_strengths(self) -> Float[np.ndarray, " sights"]:
        """z in each patch of each sight (see `Points`)."""
        own = np.tile(np.asarray(self.own_strengths) / self.patches_per_view, self.n_classes)
        others = (
            self.weak_strength / self.patches_per_view,
            self.other_strength,
            self.faint_strength,
        )
        return np.concatenate([own, np.repeat(others, 2 * self.n_classes)])

    def patch_counts(self) -> Int[np.ndarray, " sights"]:
        """How many patches each sight takes: C_p for own views, one for others."""
        C_p = self.patches_per_view
        return np.repeat([C_p, C_p, 1, 1], 2 * self.n_classes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Labelled points.

    A *sight* is a view at a strength: sight 2k a + f is view f (numbered 2j + l) at strength a:
    OWN, WEAK (the weak own view of single-view points), OTHER (another class's view in multi-view
    points), FAINT (in single-view ones).

    Attributes:
        labels: y in 0..k-1, shape (n,).
        single_view: shape (n,).
        dominant_view: 0 or 1 where single-view, -1 elsewhere, shape (n,).
        sights: 1.0 where the point shows the sight, shape (n, 8k).
    """

    labels: Int[np.ndarray, " n"]
    single_view: Bool[np.ndarray, " n"]
    dominant_view: Int[np.ndarray, " n"]
    sights: Float[np.ndarray, "n sights"]

    def __len__(self) -> int:
        return len(self.labels)


def points_from_record(
    labels: Int[np.ndarray, " n"],
    single_view: Bool[np.ndarray, " n"],
    dominant_view: Int[np.ndarray, " n"],
    present: Bool[np.ndarray, "n views"],
) -> Points:
    """Points from what was drawn: own views are present in any case."""
    n, views = present.shape
    rows = np.arange(n)
    strength = np.where(single_view, FAINT, OTHER)[:, None].repeat(views, axis=1)
    present = present.copy()
    for view in (0, 1):
        own = 2 * labels + view
        strength[rows, own] = np.where(single_view & (dominant_view != view), WEAK, OWN)
        present[rows, own] = True
    sights = np.zeros((n, 4 * views))
    point, view_number = present.nonzero()
    sights[point, strength[point, view_number] * views + view_number] = 1
    return Points(
        labels=labels,
        single_view=single_view,
        dominant_view=np.where(single_view, dominant_view, -1),
        sights=sights,
    )


def draw_points(params: RaceParams, n: int, n_single: int, seed: int, what: int) -> Points:
    """n points, classes in turn, the first `n_single` of them single-view.

    Number j of the stream (seed, what) decides, view by view and point by point, who is present;
    number 2kn + i is the coin of point i.
    """
    k = params.n_classes
    u = uniforms(n * (2 * k + 1), seed, what)
    present = u[:-n].reshape(n, 2 * k) < params.sparsity / k
    labels, single_view = np.arange(n) % k, np.arange(n) < n_single
    return points_from_record(labels, single_view, (u[-n:] >= 0.5).astype(int), present)


def training_points(params: RaceParams, seed: int) -> Points:
    """The N training points."""
    return draw_points(params, params.n_train, params.n_single, seed, TRAIN)


def test_points(params: RaceParams, seed: int) -> tuple[Points, Points]:
    """Fresh points: single-view ones, multi-view ones."""
    n = params.n_test
    return draw_points(params, n, n, seed, TEST_SINGLE), draw_points(params, n, 0, seed, TEST_MULTI)
