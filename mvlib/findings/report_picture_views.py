"""What chapter 8 shows of views made by hand of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mvlib.deep.picture_views import COLOURS, PictureViews
from mvlib.findings.formatting import Family, Record, mean, number, of_all, percent, with_interval
from mvlib.findings.picture_views import BESIDE, KINDS, Draws
from mvlib.findings.theorems import (
    all_learned,
    learned,
    mean_error,
    mean_of_draws,
    network_errors,
    with_ends,
)
from mvlib.paper.multi_view_data import SampleKind, sample, stored
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

# Kind of network -> the error over mu that theory predicts (the control: nothing).
PREDICTED = {"networks": 0.5, "their ensemble": 0.001, "distilled": 0.001, "self-distilled": 0.25}


def look_of(study: SingleModelStudy) -> PictureViews:
    """The study's photographs."""
    assert isinstance(study.data.appearance, PictureViews)
    return study.data.appearance


def setting_values(study: SingleModelStudy) -> Record:
    """The setting of networks whose views are photographs."""
    look, data = look_of(study), study.data
    (one, other), *_ = look.things()
    return {
        "pv-n-train": study.n_train,
        "pv-n-test": study.n_test_single,
        "pv-networks": study.n_networks,
        "pv-patches": data.n_patches,
        "pv-own": data.patches_per_view,
        "pv-side": look.side,
        "pv-typical": percent(look.typical, 0),
        "pv-mu": f"{data.single_view_fraction:g}",
        "pv-first": f"{one} in {COLOURS[0]} and {other} in {COLOURS[1]}",
    }


def class_titles(study: SingleModelStudy) -> list[str]:
    """The two things that each class shows, one above the other."""
    return ["\n".join(pair) for pair in look_of(study).things()]


def sheets(study: SingleModelStudy, arrays: Arrays) -> list[tuple[str, np.ndarray]]:
    """Two test inputs with titles, for `figures.images.sheets`, the first with both views and the
    first with one: their photographs, these whitened, and the same with noise, as it was read."""
    look, half = look_of(study), len(arrays["sheets"]) // 2
    shape = (study.data.n_patches, len(COLOURS), look.side, look.side)
    clear = replace(study.data, noise_std=0.0)
    bare = replace(clear, appearance=replace(look, whitened=False))
    kinds: dict[SampleKind, str] = {"multi": "both views", "single": "one view"}
    shown = []
    for at, (kind, seen) in zip((0, half), kinds.items(), strict=True):
        photographs, whitened = (
            stored(sample(data, half, seed=study.draw, name="test", kind=kind))[0].numpy()
            for data in (bare, clear)
        )
        name = " + ".join(look.things()[arrays["sheet_labels"][at]])
        steps = {f"{name}\n{seen}: photographs": photographs, "whitened": whitened,
                 "with noise: as it is read": arrays["sheets"][at]}  # fmt: skip
        shown += [(title, patches.astype(float).reshape(shape)) for title, patches in steps.items()]
    return shown


def reads(arrays: Arrays) -> np.ndarray:
    """Whether each network tells a class from each of its views alone, (networks, k, V): it errs
    on less than half of the single-view test inputs that show it."""
    return np.asarray(arrays["class_error"] < 0.5)


def lottery_values(of: Draws) -> Record:
    """Which views networks and students read, and how often."""
    views = np.concatenate([reads(a) for a in of["handmade-single"]])
    one = views.sum(axis=-1) == 1
    first = (one & views[..., 0]).sum(axis=0) / np.maximum(one.sum(axis=0), 1)  # by class
    both = {name: [all_learned(a["correlations"]) for a in draws] for name, draws in of.items()}
    return {
        "pv-one-view": percent(one, 0),
        "pv-both-views": percent(views.all(axis=-1), 0),
        "pv-no-view": percent(~views.any(axis=-1), 0),
        "pv-least-first": percent(first.min(), 0),
        "pv-most-first": percent(first.max(), 0),
        "pv-distilled-both": percent(mean_of_draws(both["handmade-distilled"]), 0),
        "pv-one-hot-both": percent(mean_of_draws(both["handmade-one-hot"]), 0),
    }


def error_table(study: SingleModelStudy, of: Draws) -> list[Record]:
    """Errors by kind of network and of the networks' average, and what else they get wrong."""
    networks, *students = [
        _errors(kind, study, of[name]) | {"how many": sum(len(a["single_error"]) for a in of[name])}
        for name, kind in (KINDS | BESIDE).items()
    ]
    return [networks, _together(study, of["handmade-single"]), *students]


def _together(study: SingleModelStudy, draws: Sequence[Arrays]) -> dict[str, object]:
    """The row of the average: a class is known by both views if somebody knows either."""
    known = [np.asarray(learned(a["correlations"]).any(axis=0).all(axis=-1)) for a in draws]
    return {
        "": "their average",
        "error on single-view inputs": mean([a["ensemble_single_error"] for a in draws]),
        "on multi-view inputs": mean([a["ensemble_multi_error"] for a in draws]),
        "test error / μ": mean(network_errors(study, draws, "ensemble_")),
        "classes with both views": mean_of_draws(known),
        "how many": len(draws),
    }


def _errors(title: str, study: SingleModelStudy, draws: Sequence[Arrays]) -> dict[str, object]:
    return {
        "": title,
        "error on single-view inputs": mean_of_draws([a["single_error"] for a in draws]),
        "on multi-view inputs": mean_of_draws([a["multi_error"] for a in draws]),
        "test error / μ": mean_error(study, draws),
        "classes with both views": mean_of_draws([all_learned(a["correlations"]) for a in draws]),
    }


def error_values(study: SingleModelStudy, of: Draws) -> Record:
    """The table's errors that the text names, and what an ensemble of two would come to."""
    networks, average, distilled, one_hot, *_ = error_table(study, of)
    alone = {"networks": networks, "average": average, "distilled": distilled, "one-hot": one_hot}
    errors = {who: row["error on single-view inputs"] for who, row in alone.items()}
    return {
        **{f"pv-lost-{who}": percent(error, 0) for who, error in errors.items()},
        "pv-control": number(errors["one-hot"]),
        "pv-two": f"{PREDICTED['self-distilled']:g}",
        "pv-whole-networks": number(networks["test error / μ"], 2),
        "pv-whole-distilled": number(distilled["test error / μ"], 2),
    }


def mixup_values(study: SingleModelStudy, of: Draws) -> Record:
    """Networks on midpoints and the same without in the text; `study`: the former's."""
    low, high = study.data.own_strength
    said: dict[str, object] = {"pv-mixup-threshold": f"{study.learner.threshold:g}",
                               "pv-mixup-strengths": f"{low:g} to {high:g}"}  # fmt: skip
    for tag, name in zip(("pv-mixup", "pv-as-long"), BESIDE, strict=True):
        errors = {kind: [a[f"{kind}_error"] for a in of[name]] for kind in ("single", "multi")}
        both = [all_learned(a["correlations"]) for a in of[name]]
        said |= {
            tag: with_interval(with_ends(errors["single"])),
            f"{tag}-multi": percent(mean_of_draws(errors["multi"]), 2),
            f"{tag}-both": percent(mean_of_draws(both), 0),
            f"{tag}-fitted": of_all(np.concatenate([a["fitted"] for a in of[name]])),
        }
    return said


def broken_table(family: Family) -> list[Record]:
    """The same where one thing is otherwise."""
    return [_errors(e.label, e.study.root, [a]) for e, a in family]
