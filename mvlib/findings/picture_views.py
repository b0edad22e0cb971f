r"""Views made by hand of photographs, as findings: Theorems 1 to 3 where a view is many pictures.

The number reported is $e_s$, the error on single-view test inputs: what missing views cost, in
units of mu.  The whole test error over mu is $e_s + \frac{1-\mu}{\mu} e_m$ and counts each wrong
input that shows both views 1/mu times, so that one photograph in a thousand that nobody could read
would outweigh all views; $e_m$ and the whole stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import number
from mvlib.findings.theorems import (
    counted,
    finite_size_prediction,
    foretold,
    mean_error,
    mean_of_draws,
    rough,
    with_ends,
)
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

Draws = Mapping[str, Sequence[Arrays]]  # family -> arrays, one a data draw
UNIT = "error on single-view inputs"
# Family of experiments -> what its networks or students are called.
KINDS = {
    "handmade-single": "networks",
    "handmade-distilled": "distilled",
    "handmade-one-hot": "control: one-hot",
    "handmade-self-distilled": "self-distilled",
}
# What stands beside them, and no theorem speaks of.
BESIDE = {
    "handmade-mixup": "networks on midpoints (mixup)",
    "handmade-as-long": "the same networks, no mixup",
}


def errors(of: Draws) -> dict[str, list[np.ndarray]]:
    """Kind of network -> errors on single-view test inputs, one array a data draw; `of`: the
    families in `KINDS`."""
    networks = of["handmade-single"]
    alone = {KINDS[name]: [a["single_error"] for a in of[name]] for name in KINDS}
    together = [np.atleast_1d(a["ensemble_single_error"]) for a in networks]
    return {"networks": alone["networks"], "their ensemble": together} | alone


def picture_claims(study: SingleModelStudy, of: Draws) -> list[Finding]:
    """What Theorems 1 to 3 come to where views are photographs; `study`: the networks' on any draw,
    `of`: the families in `KINDS`."""
    single, found = of["handmade-single"], errors(of)
    alone = mean_of_draws(found["networks"])
    pairs = zip(found["control: one-hot"], found["distilled"], strict=True)
    measured = {
        "single": found["networks"],
        "ensemble": found["their ensemble"],
        "distilled": found["distilled"],
        "one-hot-above-distilled": [control - taught for control, taught in pairs],
        "self-distilled": found["self-distilled"],
        "lottery": [foretold(a).mean(axis=1) for a in single],
    }
    said: dict[str, dict[str, Any]] = {
        "single": dict(
            statement="On photographs as views a single network errs on half of the single-view "
            "inputs.",
            predicted=0.5, source="the paper's number", turn=0.25,
            caveat="Finite-size prediction "
                   f"{number(finite_size_prediction(study, single))}.",
        ),
        "ensemble": dict(
            statement=f"On photographs as views the average of {study.n_networks} networks errs "
            "on at most a tenth of the single-view inputs.",
            predicted=0.1, direction="at most", turn=alone,
            caveat="The theorem's number is 0.001. An ensemble is one unit.",
        ),
        "distilled": dict(
            statement="On photographs as views a student of the average errs on at most 15% of the "
            "single-view inputs.",
            predicted=0.15, direction="at most", turn=alone,
            caveat="The theorem's number is 0.001.",
        ),
        "one-hot-above-distilled": dict(
            statement="On photographs as views a student of one-hot labels errs on at least 0.15 "
            "more of the single-view inputs than one of the average.",
            predicted=0.15, direction="at least", turn=0.0,
            unit="difference of errors on single-view inputs",
            caveat="On single-view inputs alone: what the control gets wrong of others would make "
                   "it more. Paired: the same starts, as many steps.",
        ),
        "self-distilled": dict(
            statement="On photographs as views a student of one network has its own view and its "
            "teacher's.",
            predicted=0.26, source="the paper's number", direction="at most", turn=alone,
            caveat="An ensemble of two in disguise comes to 0.25.",
        ),
        "lottery": dict(
            statement="On photographs as views the initialisation decides which view is learned.",
            predicted=1.0, source="the paper's words", turn=0.5,
            unit="share of classes predicted right",
            caveat="The winner is the view with the largest correlation at the end.",
        ),
    }  # fmt: skip
    rest = (
        f"On single-view inputs; multi-view error and the whole over mu: {_beside(study, of)}. "
        f"{counted(single)}; bootstrap over draws, then what was trained."
    )
    return [
        Finding(
            **{"claim": f"handmade-{name}", "source": "ours", "unit": UNIT, **said[name]}
            | {"caveat": f"{said[name]['caveat']} {rest}", "n": sum(map(len, values))}
            | {"few": rough(single)}
            | estimate(*with_ends(values))
        )
        for name, values in measured.items()
    ]


def _beside(study: SingleModelStudy, of: Draws) -> str:
    return ", ".join(
        f"{kind} {number([a['multi_error'] for a in of[name]], 4)} and "
        f"{number(mean_error(study, of[name]), 2)}"
        for name, kind in KINDS.items()
    )
