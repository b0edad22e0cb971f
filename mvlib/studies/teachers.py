"""Controls of distillation: what a student is taught in the place of an average, by a teacher that
knows nothing but the labels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

CONTROLS = ("one-hot", "shuffled", "smoothed")
# Scores of the one-hot control: far beyond any cap 1/tau^2, and certain at any usual temperature.
CERTAIN = 100.0


def without_knowledge(
    G: Float[Tensor, "teachers n k"], labels: Int[Tensor, " n"], control: str, *,
    generator: torch.Generator, scale: float = 1.0,
) -> Float[Tensor, "_ n k"]:  # fmt: skip
    r"""Outputs on the training set that keep of G what is no knowledge of single samples.

    "one-hot" is certain of the label, with score `scale` times `CERTAIN`; "shuffled" deals the rows
    of G out anew among the samples of each class, by `generator`; "smoothed" has two numbers, the
    means over samples of G's output for the label and of its outputs for other classes: label
    smoothing about as soft as G.
    """
    one_hot = torch.nn.functional.one_hot(labels, G.shape[-1]).to(G)
    if control == "one-hot":
        return scale * CERTAIN * one_hot[None]
    if control == "smoothed":
        label = (G * one_hot).sum(dim=-1).mean(dim=1)[:, None, None]
        total = G.sum(dim=-1).mean(dim=1)[:, None, None]
        return label * one_hot + (total - label) / (G.shape[-1] - 1) * (1 - one_hot)
    G = G.clone()
    for i in labels.unique().tolist():
        rows = (labels == i).nonzero().squeeze(1)
        G[:, rows] = G[:, rows[torch.randperm(len(rows), generator=generator).to(rows.device)]]
    return G
