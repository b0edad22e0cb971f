"""How long experiments take: what the store has measured, and what that foretells of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import SCALES, Experiment, precision_of
from mvlib.run.computing import work
from mvlib.store.entries import CorruptEntry, Store
from mvlib.store.kinds import kind_of


def core_seconds(experiment: Experiment, store: Store) -> float | None:
    """Time of all cores that a stored entry's computation took; None if there is no entry, if it is
    damaged, if a part of its time is not known (it was resumed), or no core did the work.

    Of older entries it is wall time times threads, as if nobody else had had their cores.
    """
    try:
        record = store.record(experiment.name, experiment.study)
    except CorruptEntry:
        return None
    if record is None or record.get("resumed") or record["device"] != "cpu":
        return None
    return record.get("core_seconds", record["seconds"] * record["threads"])


def rated(experiment: Experiment) -> str:
    """What has a rate of its own: a kind of study, by its precision if it has one."""
    kind, precision = kind_of(experiment.study).name, precision_of(experiment.study)
    return f"{kind} in {precision}" if precision else kind


def rates(store: Store) -> dict[str, float]:
    """By kind of study (`rated`), floating-point operations a second of one core: the work of all
    that the store holds of the kind, at any scale, over its core seconds."""
    done, taken = defaultdict[str, float](float), defaultdict[str, float](float)
    for scale in SCALES:
        for e in experiments(scale):
            if seconds := core_seconds(e, store):
                done[rated(e)] += work(e.study)
                taken[rated(e)] += seconds
    return {kind: done[kind] / taken[kind] for kind in done}


def foretold_seconds(experiment: Experiment, by_kind: Mapping[str, float]) -> float | None:
    """Core seconds of an experiment at its kind's rate; None if `by_kind` has none.

    The work counts matrix products alone, and a rate is that of the shapes it was measured on:
    within a factor of a few.
    """
    rate = by_kind.get(rated(experiment))
    return work(experiment.study) / rate if rate else None
