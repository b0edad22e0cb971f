r"""The dynamics of training, reduced to feature space.

A neuron is replaced by what it reads of the 2k views, $c_{i,r,f} = \langle w_{i,r}, v_f\rangle$
(two a class, as on the page in the browser), and by the spread of what it reads of noise.  Three
approximations make this closed:

1. every view has the mean strength of its kind (`RaceParams`);
2. in multi-view points and at test time noise is averaged over: a patch of strength z counts
   $\varphi_{i,r}(zc)$ with $\varphi(x) = \mathbb E_g \widetilde{ReLU}(x + s_{i,r}\,g)$,
   $g \sim N(0, 1)$ and $s_{i,r}^2 = \sigma_p^2(\sigma_0^2 d + \|c_{i,r}\|^2)$;
3. in the few single-view training points, which must be memorised, each neuron has a fixed g of
   its own for every patch and a memory M that grows with the point's own residual; the noises of
   different patches are at right angles.

`book/_explorable/explorable/reduced.js` has the same functions under the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mvlib.paper.evaluation import LEARNED_SHARE
from mvlib.reduced.data import Points, RaceParams

# Gauss and Hermite's rule for E_g: exact for polynomials of degree 15.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(8)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
RELATIVE_CHANGE, MAX_STEP, FLOOR = 0.3, 3e4, 0.1  # of the step rule, as everywhere in the book
MAX_STEPS = 300

Residual = Callable[[Float[np.ndarray, "n k"]], Float[np.ndarray, "n k"]]


def activation(
    z: Float[np.ndarray, "*shape"], params: RaceParams
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """The smoothed ReLU of Definition 3.4 and its slope."""
    q, varrho = params.power, params.threshold
    clamped = np.clip(z, 0, varrho)
    slope = (clamped / varrho) ** (q - 1)
    return clamped * slope / q + np.maximum(z - varrho, 0), slope


def spread(c: Float[np.ndarray, "k m views"], params: RaceParams) -> Float[np.ndarray, "k m"]:
    r"""$s_{i,r} = \sigma_p\|w_{i,r}\|$: how much a neuron's reading of noise varies."""
    noise_std = params.noise_norm / math.sqrt(params.dim)
    return noise_std * np.sqrt(params.init_std**2 * params.dim + (c**2).sum(axis=-1))


def averaged_activation(
    x: Float[np.ndarray, "k m *rest"], s: Float[np.ndarray, "k m"], params: RaceParams
) -> tuple[Float[np.ndarray, "k m *rest"], Float[np.ndarray, "k m *rest"]]:
    r"""$\varphi(x) = \mathbb E_g\, \widetilde{ReLU}(x + s g)$ and its slope, by quadrature."""
    s = s.reshape(s.shape + (1,) * (x.ndim - 2))
    value, slope = np.zeros_like(x), np.zeros_like(x)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        f, g = activation(x + s * node, params)
        value += weight * f
        slope += weight * g
    return value, slope


def averaged_scores(
    c: Float[np.ndarray, "k m views"], points: Points, params: RaceParams
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "k m sights"]]:
    r"""$F_i(X) = \sum_r \bigl[\sum_{\text{sights}} C\,\varphi_{i,r}(z c) +
    (P - \sum C)\,\varphi_{i,r}(0)\bigr]$, and the slopes at the sights."""
    s, counts = spread(c, params), params.patch_counts()
    read = np.tile(c, 4) * params.patch_strengths()
    value, slope = averaged_activation(read, s, params)
    bare = averaged_activation(np.zeros((*s.shape, 1)), s, params)[0].sum(axis=(1, 2))  # (k,)
    gain = (value.sum(axis=1) - bare[:, None]) * counts  # (k, sights)
    return params.n_patches * bare + points.sights @ gain.T, slope


class Memorised(NamedTuple):
    """The single-view training points patch by patch.

    Attributes:
        rows: their places among the points, shape (n1,).
        view, strength: what a patch holds, z = 0 where noise alone, shape (n1, P).
    """

    rows: Int[np.ndarray, " n1"]
    view: Int[np.ndarray, "n1 P"]
    strength: Float[np.ndarray, "n1 P"]


def memorised(points: Points, params: RaceParams) -> Memorised:
    """Lay the sights of the single-view points out over their patches, in order."""
    rows = points.single_view.nonzero()[0]
    counts, strengths = params.patch_counts(), params.patch_strengths()
    view = np.zeros((len(rows), params.n_patches), dtype=int)
    strength = np.zeros((len(rows), params.n_patches))
    for j, row in enumerate(rows):
        sights = points.sights[row].nonzero()[0].repeat(counts[points.sights[row] > 0])
        view[j, : len(sights)] = sights % (2 * params.n_classes)
        strength[j, : len(sights)] = strengths[sights]
    return Memorised(rows, view, strength)


def softmax(F: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Probabilities from scores."""
    e = np.exp(F - F.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def misclassified(
    F: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Where some other class scores at least as high as the label's."""
    own = np.take_along_axis(F, labels[:, None], axis=1)
    return (F >= own).sum(axis=1) > 1  # one is the label itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One trained network.

    Attributes:
        correlations: c at the end, shape (k, m, 2k).
        curve: largest correlation of each class with each of its views, after 0, 1, ... steps,
            shape (steps + 1, k, 2).
        fitted: whether it classifies every training point.
        train_scores: F on the training points at the end, shape (N, k).
    """

    correlations: Float[np.ndarray, "k m views"]
    curve: Float[np.ndarray, "records k 2"]
    fitted: bool
    train_scores: Float[np.ndarray, "n k"]

    @property
    def steps(self) -> int:
        """Updates it received."""
        return len(self.curve) - 1


def train(
    params: RaceParams,
    start: Float[np.ndarray, "k m views"],
    noise: Float[np.ndarray, "n1 k m P"],
    points: Points,
    *,
    extra: Residual | None = None,
    steps: int | None = None,
    max_steps: int = MAX_STEPS,
) -> Run:
    r"""Gradient ascent of c and M:
    $\dot c_{i,r,f} = \frac1N \sum_X a_i(X) \sum_p z_p\, \varphi'(z_p c_{i,r,f})$ and
    $\dot M_{X,i,r,p} = \frac1N a_i(X)\, \nu^2\, \widetilde{ReLU}'(z_p c + s g + M)$.

    Args:
        start: c at the start.
        noise: g of the single-view training points.
        points: the training set.
        extra: what a teacher adds to the residual $1_{i=y} - \mathrm{softmax}_i(F)$.
        steps: exactly so many; None: until every point is fitted.
        max_steps: but never more.
    """
    k, N = params.n_classes, len(points)
    held = memorised(points, params)
    c, memory = start.astype(float), np.zeros_like(noise)
    per_sight = params.patch_strengths() * params.patch_counts()
    one_hot, own = np.eye(k)[points.labels], np.arange(k)
    curve = []
    last = max_steps if steps is None else min(steps, max_steps)
    for t in range(last + 1):
        F, slope = averaged_scores(c, points, params)
        seen = held.strength[:, None, None] * c[:, :, held.view].transpose(2, 0, 1, 3)
        read = seen + spread(c, params)[:, :, None] * noise + memory
        value, steep = activation(read, params)
        F[held.rows] = value.sum(axis=(2, 3))
        curve.append(c.max(axis=1).reshape(k, k, 2)[own, own])
        fitted = not misclassified(F, points.labels).any()
        if t == last or (steps is None and fitted):
            break
        a = one_hot - softmax(F) + (0 if extra is None else extra(F))
        pull = a[held.rows][:, :, None, None] * steep / N  # (n1, k, m, P)
        a[held.rows] = 0
        ascent = slope * ((a.T @ points.sights) / N * per_sight)[:, None]
        ascent = ascent.reshape(*c.shape[:2], 4, 2 * k).sum(axis=2)
        one_view = held.view[:, :, None] == np.arange(2 * k)  # (n1, P, views)
        ascent += np.einsum("xirp,xpf->irf", pull, one_view * held.strength[:, :, None])
        eta = _step_size(c, ascent, pull, read - seen, params)
        c = c + eta * ascent
        memory = memory + eta * params.noise_norm**2 * pull
    return Run(correlations=c, curve=np.stack(curve), fitted=fitted, train_scores=F)


def _step_size(
    c: np.ndarray, ascent: np.ndarray, pull: np.ndarray, noise: np.ndarray, params: RaceParams
) -> float:
    """The rule of `BoundedRelativeStep`; memories count as weights along the noise."""
    along = (c * ascent).sum(axis=2) + (pull * noise).sum(axis=(0, 3))
    square = (ascent**2).sum(axis=2) + params.noise_norm**2 * (pull**2).sum(axis=(0, 3))
    norm = np.sqrt(square) + 1e-300
    learned = (np.abs(along) / norm).max(axis=1)
    learned = np.maximum(learned, FLOOR * learned.max())
    return min(MAX_STEP, float((RELATIVE_CHANGE * learned / norm.max(axis=1)).min()))


def distillation(teacher: Float[np.ndarray, "n k"], *, tau: float, rate_ratio: float) -> Residual:
    r"""The second term of the paper's distillation, capped as in the book: an output below
    $1/\tau^2$ is pushed up where the teacher's soft label exceeds the student's."""
    soft = softmax(np.minimum(tau**2 * teacher, 1) / tau)

    def push(F: np.ndarray) -> np.ndarray:
        lacking = np.maximum(soft - softmax(np.minimum(tau**2 * F, 1) / tau), 0)
        return rate_ratio * lacking * (tau**2 * F < 1)

    return push


def learned(curve_end: Float[np.ndarray, "*rest k 2"], share: float = LEARNED_SHARE) -> np.ndarray:
    """`measurement.learned_views`, as the page has it."""
    return curve_end >= share * np.maximum(curve_end.max(axis=-1, keepdims=True), 1e-12)
