"""Midpoint mixup, and classifiers that learn no features, as findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import percent
from mvlib.findings.students import share_with_all_views
from mvlib.findings.theorems import (
    all_learned,
    counted,
    mean_of_draws,
    rough,
    with_ends,
)
from mvlib.store.entries import Arrays
from mvlib.studies.classifiers import FORMS, KINDS, ClassifierStudy

SECOND_PAPER = "The claim is that of Chidambaram, Wang, Wu and Ge (2023), whose data differ."


def mixup_findings(mixed: Sequence[Arrays], plain: Sequence[Arrays]) -> list[Finding]:
    """Networks trained on midpoints of inputs and of labels: the views they know, and their errors
    on either kind of test data; `plain`: the same networks, trained as long on the inputs and
    labels themselves.

    The claim is about views; an input that shows one view asks for it.  Errors stay apart: as one
    sum over mu a rare multi-view error would outweigh every view.
    """
    views = [all_learned(a["correlations"]).mean(axis=-1) for a in mixed]
    single, multi = ([a[f"{kind}_error"] for a in mixed] for kind in KINDS)
    without = [mean_of_draws([a[f"{kind}_error"] for a in plain]) for kind in KINDS]
    fitted = np.concatenate([a["fitted"] for a in mixed])
    steps = int(mixed[0]["stop_step"].max())
    caveat = (
        f"{SECOND_PAPER} {len(fitted)} networks on {counted(mixed)}, each after exactly {steps} "
        f"steps; {int(fitted.sum())} fit their training set. They err on {by_kind(mixed)}; without "
        f"mixup, on {by_kind(plain)}. Bootstrap over draws, then networks."
    )
    common: dict[str, Any] = {"n": len(fitted), "caveat": caveat, "few": rough(mixed)}
    return [
        Finding(
            claim="mixup-classes-with-both-views",
            statement="A single network trained on midpoints learns every view of every class.",
            predicted=1.0,
            source="the second paper's words",
            direction="at least",
            turn=share_with_all_views(plain),
            unit="share of classes",
            **estimate(*with_ends(views)),
            **common,
        ),
        Finding(
            claim="mixup-single",
            statement="A single network trained on midpoints errs on next to no input that shows "
            "one view.",
            predicted=0.01,
            source="ours",
            direction="at most",
            turn=without[0],
            unit="error on single-view inputs",
            **estimate(*with_ends(single)),
            **common,
        ),
        Finding(
            claim="mixup-multi",
            statement="A single network trained on midpoints errs on no more inputs with both "
            "views than one trained without.",
            predicted=without[1],
            source="ours",
            direction="at most",
            turn=without[1],
            unit="error on multi-view inputs",
            **estimate(*with_ends(multi)),
            **common,
        ),
    ]


def by_kind(draws: Sequence[Arrays]) -> str:
    """Errors on either kind of test data, in words."""
    return " and ".join(
        f"{percent(mean_of_draws([a[f'{kind}_error'] for a in draws]))} of {kind}-view inputs"
        for kind in KINDS
    )


def networks_beside(draws: Sequence[Arrays]) -> list[Arrays]:
    """Errors on either kind of test data of the networks trained on the classifiers' inputs."""
    return [{f"{kind}_error": a[f"network_{kind}_error"] for kind in KINDS} for a in draws]


def best_classifier(study: ClassifierStudy, arrays: Arrays, *, linear: bool) -> tuple[str, Arrays]:
    """Form of the linear classifier, or of the polynomial of degree 2 or more, that errs least on
    the validation inputs, and its errors on either kind of test data, (1,)."""
    allowed = (np.array(study.degrees) == 1) == linear
    validated = np.where(allowed, arrays["validation_error"], np.inf)
    at = np.unravel_index(validated.argmin(), validated.shape)
    return FORMS[at[0]], {f"{kind}_error": arrays[f"{kind}_error"][at][None] for kind in KINDS}


def all_errors(study: ClassifierStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Shares of all test inputs that are misclassified, single-view ones being mu of them."""
    mu = study.base.data.single_view_fraction
    return [mu * a["single_error"] + (1 - mu) * a["multi_error"] for a in draws]


def classifier_findings(
    study: ClassifierStudy,
    noisy: Sequence[Arrays],
    plain: Sequence[Arrays],
    single: Sequence[Arrays],
) -> list[Finding]:
    """Whether linear classifiers and polynomials do on inputs with common noise, those of `study`,
    what networks do there; `plain`: the same classifiers without that noise, beside the networks
    of the same draws, `single`.

    Choice: the text has the words and no number; a class that is guessed is wrong in a share
    1 - 1/k of all inputs.
    """
    noise = f"feature noise of gamma = {study.common_noise:g}"
    settings = (
        ("", f"With {noise} that all patches share", noisy, networks_beside(noisy)),
        ("-without-noise", "Without feature noise", plain, single[: len(plain)]),
    )
    who = {"linear": "linear classifiers", "polynomial": "polynomials of a small degree"}
    found = []
    for name, words in who.items():
        for suffix, where, draws, networks in settings:
            best = [best_classifier(study, a, linear=name == "linear") for a in draws]
            chosen = [errors for _, errors in best]
            turn = mean_of_draws(all_errors(study, networks))
            found.append(
                Finding(
                    claim=f"{name}-classifier{suffix}",
                    statement=f"{where}, what networks learn (to an error of {turn:.3f}) cannot be "
                    f"learned by {words}.",
                    predicted=1 - 1 / study.base.data.n_classes,
                    source="the paper's words",
                    direction="at least",
                    turn=turn,
                    **estimate(*with_ends(all_errors(study, chosen))),
                    n=len(draws),
                    unit="test error",
                    caveat=(
                        "Predicted: guessing. Turn: networks on the same inputs. They err on "
                        f"{by_kind(networks)}, the classifiers on {by_kind(chosen)}. Patches "
                        f"{' and '.join(sorted({form for form, _ in best}))}, chosen with the "
                        f"regularisation on {study.n_validation} validation inputs of each kind; "
                        f"{counted(draws)}; bootstrap over draws."
                    ),
                    few=rough(draws),
                )
            )
    return found
