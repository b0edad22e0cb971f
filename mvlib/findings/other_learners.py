"""Midpoint mixup, and classifiers that learn no features, as findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvlib.findings.finding import Finding
from mvlib.findings.formatting import number
from mvlib.findings.students import share_with_all_views
from mvlib.findings.theorems import (
    all_learned,
    averaged,
    counted,
    mean_error,
    mean_of_draws,
    network_errors,
    rough,
)
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.store.entries import Arrays
from mvlib.studies.classifiers import FORMS, KINDS, ClassifierStudy
from mvlib.studies.single_model import SingleModelStudy

SECOND_PAPER = "The claim is that of Chidambaram, Wang, Wu and Ge (2023), whose data differ."


def mixup_findings(
    study: SingleModelStudy, mixed: Sequence[Arrays], plain: Sequence[Arrays]
) -> list[Finding]:
    """Networks trained on midpoints of inputs and of labels: their error, and the views they know;
    `plain`: the same networks, trained as long on the inputs and labels themselves."""
    errors = network_errors(study, mixed)
    shares = [all_learned(a["correlations"]).mean(axis=-1) for a in mixed]
    fitted = np.concatenate([a["fitted"] for a in mixed])
    steps = int(mixed[0]["stop_step"].max())
    caveat = (
        f"{SECOND_PAPER} {len(fitted)} networks on {counted(mixed)}, each after exactly {steps} "
        f"steps; {int(fitted.sum())} fit their training set, multi-view error "
        f"{number([a['multi_error'] for a in mixed], 4)}; without mixup {{}}; bootstrap over "
        f"draws, then networks.{rough(mixed)}"
    )
    without = mean_error(study, plain), share_with_all_views(plain)
    return [
        Finding(
            claim="mixup-single",
            statement="A single network trained on midpoints errs on almost nothing.",
            predicted=0.01,
            source="ours",
            direction="at most",
            turn=without[0],
            **averaged(errors),
            caveat=caveat.format(f"they err on {without[0]:.3f} mu"),
        ),
        Finding(
            claim="mixup-classes-with-both-views",
            statement="A single network trained on midpoints learns every view of every class.",
            predicted=1.0,
            source="ours",
            direction="at least",
            turn=without[1],
            **averaged(shares),
            unit="share of classes",
            caveat=caveat.format(f"they know all views in a share of {without[1]:.3f}"),
        ),
    ]


def classifier_errors(study: ClassifierStudy, arrays: Arrays) -> np.ndarray:
    """Test error over mu of each classifier, (forms, degrees)."""
    mu = study.base.data.single_view_fraction
    return np.asarray(error_in_units_of_mu(arrays["single_error"], arrays["multi_error"], mu))


def errors_beside(study: ClassifierStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Test errors over mu of the networks that were trained on the same inputs."""
    tested = [{f"{kind}_error": a[f"network_{kind}_error"] for kind in KINDS} for a in draws]
    return network_errors(study.base, tested)


def best_classifier(study: ClassifierStudy, arrays: Arrays, *, linear: bool) -> tuple[str, float]:
    """Form and test error over mu of the linear classifier, or of the polynomial of degree 2 or
    more, that errs least on the validation inputs."""
    allowed = (np.array(study.degrees) == 1) == linear
    validated = np.where(allowed, arrays["validation_error"], np.inf)
    at = np.unravel_index(validated.argmin(), validated.shape)
    return FORMS[at[0]], float(classifier_errors(study, arrays)[at])


def classifier_findings(
    study: ClassifierStudy, noisy: Sequence[Arrays], plain: Sequence[Arrays]
) -> list[Finding]:
    """Whether linear classifiers and polynomials do on inputs with common noise what networks do,
    of `study`; `plain`: the same classifiers without that noise.

    Choice: the text has the words and no number; a class that is guessed is wrong in a share
    1 - 1/k of all inputs.
    """
    data = study.base.data
    who = {"linear": "linear classifiers", "polynomial": "polynomials of a small degree"}
    found = []
    for kind, words in who.items():
        best = [best_classifier(study, a, linear=kind == "linear") for a in noisy]
        errors = [np.array([error]) for _, error in best]
        clean = [best_classifier(study, a, linear=kind == "linear")[1] for a in plain]
        found.append(
            Finding(
                claim=f"{kind}-classifier",
                statement=f"What networks learn cannot be learned by {words}.",
                predicted=(1 - 1 / data.n_classes) / data.single_view_fraction,
                source="the paper's words",
                direction="at least",
                turn=mean_of_draws(errors_beside(study, noisy)),
                **averaged(errors),
                caveat=(
                    f"Predicted: guessing. Turn: networks on the same inputs, whose patches share "
                    f"feature noise of gamma = {study.common_noise:g}; without it the same "
                    f"classifiers err on {number(clean)} mu. Patches "
                    f"{' and '.join(sorted({form for form, _ in best}))}, chosen with the "
                    f"regularisation on {study.n_validation} validation inputs of each kind; "
                    f"{counted(noisy)}; bootstrap over draws.{rough(noisy)}"
                ),
            )
        )
    return found
