"""What chapters 7 and 8 show of all kinds of data side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mvlib.experiments.settings import Scale, base_study
from mvlib.findings import worlds
from mvlib.findings.claims import IMAGES, RESIDUAL
from mvlib.findings.formatting import Record, number, percent, with_interval
from mvlib.findings.worlds import Measured, World, mean_error, share_of_gain
from mvlib.run.sweep import load_family
from mvlib.store.entries import Store

MULTI_VIEW, GAUSSIAN, PHOTOGRAPHS = "multi-view data", "Gaussian inputs", "photographs"
NOT_MEASURED, NEITHER = "(not measured)", "neither"
AUGMENTED = "photographs, augmented"

ROWS = {
    **{row: f"student of {what}" for row, what in worlds.STUDENTS.items()},
    "average": "networks trained as one",
    "wide": "one network, as many weights",
    "as_long": "one network, as many passes as students",
}

Shares = dict[str, dict[str, Measured]]  # what -> world -> share of its ensemble's gain


def in_words(found: Measured) -> str:
    """A share and its interval, if it has one: "0.45 [0.25, 0.66]", "0.38 (no interval)"."""
    measured, low, high = found
    return f"{measured:.2f} (no interval)" if low == high else with_interval(found, ".2f")


def settled(world: World, found: Measured, *rows: str) -> Measured:
    """A share of `rows` without its interval where that is of one draw and would be printed as a
    point: what is left to resample there says nothing of how sure the share is."""
    measured, low, high = found
    one_draw = len(world.has(*rows)) == 1
    alike = f"{low:.2f}" == f"{high:.2f}"
    return (measured, measured, measured) if one_draw and alike else found


def load(scale: Scale, store: Store) -> dict[str, World]:
    """All worlds by name: the three, and another look at each."""
    study = base_study(scale)
    names = ("single-model", "joint", "joint-size", *worlds.MULTI_VIEW, *worlds.HINTON)
    families = {name: load_family(scale, name, store) for name in names}
    students = load_family(scale, "gaussian-students", store)
    selves = load_family(scale, "gaussian-self-distilled", store)
    views = worlds.multi_view(study, families)
    found = [views, worlds.gaussian(students, selves), load_photographs(scale, store)]
    found.append(worlds.hinton(views, study, families))
    if any(worlds.condition_name(e.study) != "clean" for e, _ in students):
        found.append(worlds.gaussian(students, margin=True))
    found.append(load_augmented(scale, store))
    return {world.name: world for world in found}


def load_frozen(scale: Scale, store: Store) -> dict[str, World]:
    """Kind of data -> tangent kernels on it."""
    contrast = load_family(scale, "contrast", store)
    gaussian = [a for _, a in load_family(scale, "gaussian-kernels", store)]
    photographs = [a for e, a in load_family(scale, "images-kernels", store)
                   if e.study.features == "tangent"]  # fmt: skip
    return {
        MULTI_VIEW: worlds.multi_view_frozen(base_study(scale), contrast, MULTI_VIEW),
        GAUSSIAN: worlds.frozen_features(GAUSSIAN, gaussian),
        PHOTOGRAPHS: worlds.frozen_features(PHOTOGRAPHS, photographs),
    }


def load_photographs(scale: Scale, store: Store) -> World:
    """The networks, students and averages of every training set."""
    return worlds.photographs([p for name in IMAGES for p in load_family(scale, name, store)])


def load_augmented(scale: Scale, store: Store) -> World:
    """The same learners with batch normalisation, on augmented images."""
    found = worlds.photographs([p for name in RESIDUAL for p in load_family(scale, name, store)])
    return replace(found, name=AUGMENTED)


def curves(
    of: Mapping[str, World], names: Sequence[str] = (MULTI_VIEW, GAUSSIAN, PHOTOGRAPHS)
) -> dict[str, np.ndarray]:
    """World -> errors left in averages of 1, 2, ... networks, as a share of one network's."""
    return {name: of[name].curve / of[name].curve[0] for name in names}


def student_shares(of: Mapping[str, World]) -> Shares:
    """What students are taught -> world -> share of the ensemble's gain that one of them has."""
    return {
        taught: {w.name: settled(w, share_of_gain(w, row), row) for w in of.values() if w.has(row)}
        for row, taught in worlds.STUDENTS.items()
    }


def joint_shares(of: Mapping[str, World]) -> Shares:
    """What is trained as one -> world -> share of the gain of an ensemble of as many networks."""

    def share(world: World, row: str, base: str) -> Measured:
        ensemble = "few" if world.has("few") else "ensemble"
        found = share_of_gain(world, row, base=base, ensemble=ensemble)
        return settled(world, found, row, base)

    rows = {
        "average": ("average", "single"),
        "one network, as many weights": ("wide", "single"),
        "average beyond that network": ("average", "wide"),
    }
    return {
        what: {w.name: share(w, row, base) for w in of.values() if w.has(row, base)}
        for what, (row, base) in rows.items()
    }


def beyond(of: Mapping[str, World], *, best: bool = False) -> dict[str, Measured]:
    """World -> share of the gain that a student of the ensemble has beyond one of one-hot labels,
    or of the best control."""
    return {
        w.name: share_of_gain(w, "distilled", base=worlds.best_control(w) if best else "one_hot")
        for w in of.values()
    }


def apart(a: Measured, b: Measured) -> bool:
    """Whether two intervals have no value in common."""
    return a[1] > b[2] or b[1] > a[2]


def photographs_side(found: Mapping[str, Measured]) -> str:
    """The other worlds whose interval has no value in common with that of photographs."""
    others = [
        name for name in (MULTI_VIEW, GAUSSIAN)
        if {name, PHOTOGRAPHS} <= found.keys() and apart(found[name], found[PHOTOGRAPHS])
    ]  # fmt: skip
    return " and ".join(others) or NEITHER


def questions(
    of: Mapping[str, World], students: Shares, joint: Shares, frozen: Mapping[str, World]
) -> Shares:
    """Question -> world -> answer, all of them shares; the others are `student_shares` and
    `joint_shares`, `frozen` of tangent kernels by world."""
    return {
        "errors that the ensemble removes": {w.name: worlds.removed(w) for w in of.values()},
        **{f"one student of {what}": found for what, found in students.items()},
        "of the ensemble, beyond one-hot labels": beyond(of),
        "of the ensemble, beyond its best control": beyond(of, best=True),
        **{f"trained as one: {what}": found for what, found in joint.items()},
        "tangent kernels: errors that the ensemble removes": {
            name: worlds.removed(w) for name, w in frozen.items()
        },
        "tangent kernels: of the ensemble, beyond one-hot labels": {
            name: share_of_gain(w, "distilled", base="hard_student") for name, w in frozen.items()
        },
        "tangent kernels: average": {
            name: share_of_gain(w, "average") for name, w in frozen.items()
        },
    }  # fmt: skip


def answer(found: Mapping[str, Measured], world: str) -> str:
    """An answer in words; some worlds have none, as at smoke scale where no ensemble of as many
    networks stands beside what is trained as one."""
    return in_words(found[world]) if world in found else NOT_MEASURED


def table(of: Mapping[str, World], asked: Shares) -> list[Record]:
    """Every question, one column a world; that of photographs says which worlds they are apart
    from."""
    errors = {"share of": "error of one network (multi-view data: over μ)"}
    errors |= {w.name: number(mean_error(w, "single")) for w in of.values()}
    rows = [{"share of": what} | {w: answer(found, w) for w in of} for what, found in asked.items()]
    for row, found in zip(rows, asked.values(), strict=True):
        if (side := photographs_side(found)) != NEITHER:
            row[PHOTOGRAPHS] += f", apart from {side}"
    return [errors, *rows]


def values(asked: Shares) -> Record:
    """The answers in the text, "removed-photographs" and the like."""
    short = {MULTI_VIEW: "views", GAUSSIAN: "gaussian", PHOTOGRAPHS: "photographs",
             AUGMENTED: "augmented"}  # fmt: skip
    names = ("removed", "ensemble", "network", "one-hot", "shuffled", "smoothed", "beyond", "best",
             "average", "wide", "equal", "frozen-removed", "frozen-beyond", "frozen-average",
             )  # fmt: skip
    answers = dict(zip(names, asked.values(), strict=True))
    return {f"{name}-apart": photographs_side(found) for name, found in answers.items()} | {
        f"{name}-{tag}": answer(found, world)
        for name, found in answers.items()
        for world, tag in short.items()
    }


def share_table(world: World) -> list[Record]:
    """Who has which share of the ensemble's gain in one world."""
    return [
        {"who": what, "test error": mean_error(world, row), "learners": learners}
        | {"share of the ensemble's gain": share}
        for row, what in ROWS.items()
        if world.has(row)
        for learners in [sum(len(draw[row]) for draw in world.has(row))]
        for share in [in_words(share_of_gain(world, row))]
    ]


def share_values(world: World) -> Record:
    """These shares in the text."""
    return {row: in_words(share_of_gain(world, row)) for row in ROWS if world.has(row)}


def count_table(by_n: Mapping[int, World]) -> list[Record]:
    """Photographs at several numbers of training images, one training set each."""
    return [
        {
            "training images": n,
            "networks": len(world.draws[0]["single"]),
            "one network, %": 100 * mean_error(world, "single"),
            "ensemble, %": 100 * mean_error(world, "ensemble"),
            "share of errors removed": in_words(worlds.removed(world)),
        }
        | {
            what: in_words(share_of_gain(world, row)) if world.has(row) else ""
            for what, row in (
                ("student of the ensemble", "distilled"), ("of one-hot labels", "one_hot"),
                ("training the average", "average"),
            )
        }
        for n, world in by_n.items()
    ]  # fmt: skip


def count_values(by_n: Mapping[int, World]) -> Record:
    """Both ends of the table in the text, and at which N what is taught is more than one-hot labels
    teach."""
    said: dict[str, object] = {}
    for end, n in (("first", min(by_n)), ("last", max(by_n))):
        said[end] = f"{n:,}"
        said[f"single-{end}"] = percent(mean_error(by_n[n], "single"))
        said[f"removed-{end}"] = in_words(worlds.removed(by_n[n]))
    taught = {n: share_of_gain(w, "distilled", base="one_hot") for n, w in by_n.items()}
    return said | {"beyond": beyond_at(by_n, taught), "beyond-last": in_words(taught[max(by_n)])}


def beyond_at(by_n: Mapping[int, World], taught: Mapping[int, Measured]) -> str:
    """Number of images -> what a student of the ensemble has beyond one of one-hot labels, as a
    sentence: where its interval is above 0, and where not."""
    above = [n for n, (_, low, _) in taught.items() if low > 0]
    shares = ", ".join(in_words(taught[n]) for n in above)
    said = [f"it is above 0 at {listed(above)} images ({shares})"] if above else []
    said += [
        f"at {n:,} it is {in_words(found)}, {students(by_n[n])}, not to be told from none"
        for n, found in taught.items()
        if found[1] <= 0 <= found[2]
    ]
    said += [f"at {n:,} it is {in_words(taught[n])}" for n, found in taught.items() if found[2] < 0]
    return "; ".join(said)


def listed(numbers: Sequence[int]) -> str:
    """Numbers in words: "250, 1,000 and 4,000"."""
    *rest, last = [f"{n:,}" for n in numbers]
    return f"{', '.join(rest)} and {last}" if rest else last


def students(world: World) -> str:
    """How many students of the ensemble and of one-hot labels there are."""
    taught, bare = (sum(len(d[row]) for d in world.has(row)) for row in ("distilled", "one_hot"))
    if taught == bare == 1:
        return "one student of each kind"
    return f"{taught} of the ensemble against {bare} of one-hot labels"


def load_counts(scale: Scale, store: Store) -> dict[int, World]:
    """Number of training images -> photographs of the first training set."""
    names: Sequence[str] = (*IMAGES, "images-count")
    return worlds.by_count([p for name in names for p in load_family(scale, name, store)])
