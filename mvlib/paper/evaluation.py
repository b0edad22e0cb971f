r"""What a network got wrong and which views it learned: the errors and views of Theorems 1 to 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.core.checks import require_number
from mvlib.core.intervals import wilson_interval
from mvlib.paper.multi_view_data import MultiViewParams, Sample, SampleKind, sample
from mvlib.paper.network import LearnerParams, logits

LEARNED_SHARE = 0.3  # a view counts as learned above this share of its class's largest correlation


@dataclass(frozen=True, kw_only=True, slots=True)
class TestScores:
    """Scores F of every network on fresh data of one kind; labels and views as in `Sample`; rivals:
    the most views of any one wrong class that an input shows, 0..V."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    outputs: Float[Tensor, "seeds n k"]
    labels: Int[Tensor, " n"]
    dominant_view: Int[Tensor, " n"]
    rivals: Int[Tensor, " n"]


def test_scores(
    W: Float[Tensor, "seeds k m d"],
    params: MultiViewParams,
    learner: LearnerParams,
    *,
    kind: SampleKind,
    n: int,
    seed: int,
) -> TestScores:
    """Scores on n fresh inputs of one kind, streamed: memory does not grow with n P d.  Computed
    where W is, returned on the CPU, where the statistics are made."""
    drawn = sample(params, n, seed=seed, name="test", kind=kind, streamed=True, dtype=W.dtype,
                   rounded=learner.rounds_inputs)  # fmt: skip
    F = logits(W, drawn.patches.to(device=W.device, dtype=W.dtype), learner).cpu()
    wrong = torch.arange(params.n_classes) != drawn.labels[:, None]
    rivals = ((drawn.strengths > 0).sum(dim=2) * wrong).amax(dim=1)
    shown = drawn.dominant_view
    return TestScores(outputs=F, labels=drawn.labels, dominant_view=shown, rivals=rivals)


test_scores.__test__ = False  # type: ignore[attr-defined]


def error_in_units_of_mu(single_error: Any, multi_error: Any, mu: float) -> Any:
    r"""Total test error over $\mathcal D$ divided by mu:
    $e_s + \frac{1-\mu}{\mu}\, e_m$, from the errors on single-view and on multi-view data.

    Measuring the two kinds apart needs far fewer inputs than drawing from the mixture, where one
    in 1/mu is single-view.  Works on numbers and arrays.

    Raises:
        BadInput: if mu is not in (0, 1].
    """
    require_number("single_view_fraction", "mu", mu, 0, 1, "needs single-view data", open_low=True)
    return single_error + (1 - mu) / mu * multi_error


def view_correlations(
    W: Float[Tensor, "seeds k m d"], features: Float[Tensor, "k V d"]
) -> Float[Tensor, "seeds k V"]:
    r"""$\max_{r} \langle w_{i,r}, v_{i,\ell} \rangle$ for each network, class and view."""
    return torch.einsum("skmd,kld->skml", W, features).amax(dim=2)


def learned_views(
    correlations: Float[Tensor, "*networks k V"], *, share: float = LEARNED_SHARE
) -> Bool[Tensor, "*networks k V"]:
    """Which views a network has: those that reach `share` of the class's largest correlation.

    Choice: the cut.  After the take-off correlations are either near 0 or of the winner's size.
    """
    require_number("share", "", share, 0, 1, "try 0.3", open_low=True)
    return correlations >= share * correlations.amax(dim=-1, keepdim=True).clamp_min(1e-12)


def inputs_by_knowledge(
    wrong: Bool[Tensor, " n"], known: Int[Tensor, " n"], rivals: Int[Tensor, " n"], *,
    members: int, n_views: int,
) -> Int[Tensor, "known rivals 2"]:  # fmt: skip
    """How many inputs, and how many of them an ensemble gets wrong, by the number of its members,
    0..members, that know the view shown and by `TestScores.rivals`."""
    cell = known * (n_views + 1) + rivals
    size = (members + 1) * (n_views + 1)
    every, lost = (torch.bincount(c, minlength=size) for c in (cell, cell[wrong]))
    return torch.stack([every, lost], dim=1).view(members + 1, n_views + 1, 2)


def predicted_single_error(missing: float, *, n_classes: int, sparsity: float) -> float:
    r"""Error on single-view data that a network with these learned views should make:
    $p\, (1 - (1 - s/k)^{k-1})$.

    p is the share of views that it has not learned: so many single-view inputs show one of them.
    Such an input is lost only if a learned view of some other class is present (one of them a
    class is counted): where none is, the right class wins by default.
    """
    return missing * (1 - (1 - sparsity / n_classes) ** (n_classes - 1))


def strengths_by_role(drawn: Sample) -> dict[str, np.ndarray]:
    """Strengths of the views present, by the roles of Definition 3.1: one own view (the dominant
    one where there is one), the rest of them, and those of other classes."""
    _, k, V = drawn.strengths.shape
    own = drawn.labels[:, None] == torch.arange(k)
    first = torch.arange(V) == drawn.dominant_view.clamp_min(0)[:, None]
    strengths, others = drawn.strengths[own], drawn.strengths[~own]
    return {
        "own view": strengths[first].numpy(),
        "own, the rest": strengths[~first].numpy(),
        "other classes": others[others > 0].numpy(),
    }


def law_of_the_sampler(
    drawn: Sample, params: MultiViewParams
) -> list[tuple[str, float, float, str, int]]:
    """Rates that Definition 3.1 fixes, beside those of a sample:
    (quantity, definition, measured, Wilson interval, n)."""
    k, V, n = params.n_classes, params.n_views, len(drawn)
    C_p, C_o = params.patches_per_view, params.patches_per_other_view
    n_others, chance = V * (k - 1), params.sparsity / k
    present = int((drawn.strengths > 0).sum()) - n * V
    held = int((drawn.view_patches == 0).flatten(1).any(dim=1).sum())
    rows = [
        ("class 0", 1 / k, int((drawn.labels == 0).sum()), n),
        ("another class's view present", chance, present, n * n_others),
        ("patch 0 holds a view", (V * C_p + n_others * chance * C_o) / params.n_patches, held, n),
    ]
    if bool(drawn.single_view.any()):
        first = int((drawn.dominant_view == 0).sum())
        rows.append(("view 1 is the strong one", 1 / V, first, int(drawn.single_view.sum())))
    return [
        (quantity, expected, count / n, "[{:.4f}, {:.4f}]".format(*wilson_interval(count, n)), n)
        for quantity, expected, count, n in rows
    ]
