"""Towards the limit: many classes, many steps, and networks trained together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mvlib.experiments.settings import (
    FEWER,
    SIZES,
    Families,
    Scale,
    base_study,
    joint_study,
    student_study,
    vary,
    with_samples,
)
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, WhenFitted
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.many_classes import ManyClassesStudy
from mvlib.studies.single_model import SingleModelStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitSize:
    """What a scale changes.

    Attributes:
        class_counts: k, networks and d of full training; N / k is the base setting's.
        taught_counts: those k for which there are students as well: one of the networks' average
            and one of one-hot labels.
        many: k and networks of reduced training.
        starts, members, average_counts: sigma_0 over varrho, L and k of averages trained as one,
            reduced.
        patience: steps that reduced networks are given to fit.
        full_starts, full_members: sigma_0 over varrho and L of those trained in full.
        long_steps: of networks trained on and on, about 100 times what fitting takes.
        long_size: their d and N, in full; small, for time.
        printed_steps: of students by (4.3) as printed.
    """

    class_counts: tuple[tuple[int, int, int], ...]
    taught_counts: tuple[int, ...]
    many: tuple[tuple[int, int], ...]
    starts: tuple[float, ...]
    members: tuple[int, ...]
    patience: int
    average_counts: tuple[int, ...]
    full_starts: tuple[float, ...]
    full_members: int
    long_steps: int
    long_size: tuple[int, int]
    printed_steps: int


LIMIT_SIZES: dict[str, LimitSize] = {
    "smoke": LimitSize(class_counts=((4, 2, 300), (6, 2, 300)), taught_counts=(4,),
                       many=((4, 3), (12, 2), (40, 2)), starts=(0.02, 0.1), members=(2, 4),
                       average_counts=(4,), patience=400, full_starts=(0.1,), full_members=2,
                       long_steps=150, long_size=(200, 300), printed_steps=60),
    "book": LimitSize(class_counts=((10, 5, 1000), (20, 3, 1000), (50, 3, 1000),
                                    (100, 2, 1000)),
                      taught_counts=(10, 20, 50),
                      many=((10, 10), (30, 5), (100, 4), (300, 3), (1000, 2)),
                      starts=(0.02, 0.04, 0.08, 0.16), members=(2, 5),
                      average_counts=(100,), patience=4000,
                      full_starts=(0.16,), full_members=2,
                      long_steps=2000, long_size=(300, 1000), printed_steps=300),
    "paper": LimitSize(class_counts=tuple((k, 10, 4000) for k in (10, 20, 50, 100)),
                       taught_counts=(10, 20, 50, 100),
                       many=((10, 20), (30, 20), (100, 10), (300, 10), (1000, 5), (3000, 3),
                             (10000, 3)),
                       starts=(0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3),
                       members=(2, 5, 10, 20), average_counts=(10, 100, 1000), patience=40000,
                       full_starts=(0.02, 0.04, 0.16, 0.3), full_members=5, long_steps=7000,
                       long_size=(1000, 2000), printed_steps=2000),
}  # fmt: skip
DIM_PER_CLASS = 100  # d / k of reduced training, the book's at k = 10
DRAWN = 2000  # multi-view points of a reduced training set, or 20 a class if those are more
# From a small start nothing moves for long: no largest step, and no class may be rushed.
FAR, FLOOR = 1e12, 1e-3
FAINTER = (0.1, 0.15)  # views of other classes that teach little while a class waits


def with_classes(base: SingleModelStudy, k: int, networks: int, dim: int) -> SingleModelStudy:
    r"""The setting for k classes, with s, $\varrho$, N / k, N_s / k and $\sigma_p\sqrt d$ held.

    Neurons grow as m = polylog(k): of many classes one would else start with both views nearly
    unread, and all others wait for it.  Patches hold the views of all but one input in a thousand.
    A class's share of the gradient is 1 / k: the largest step grows with k.
    """
    data, ratio = base.data, k / base.data.n_classes
    s = min(data.sparsity, k)
    own, shown = data.n_views * data.patches_per_view, data.n_views * s
    patches = 8 * math.ceil((own + shown + 4 * math.sqrt(shown)) / 8)
    study = vary(
        replace(base, n_train=base.n_train // data.n_classes * k, n_networks=networks),
        n_classes=k,
        dim=dim,
        n_patches=min(patches, data.n_patches if ratio == 1 else 4 * k),
        overflow="thin",
        n_neurons=base.learner.n_neurons + max(0, math.ceil(1.5 * math.log2(ratio))),
        noise_std=data.noise_norm / math.sqrt(dim),
        sparsity=s,
    )
    return _stepping(study, max_step=ratio * _rule(base).max_step)


def _rule(base: SingleModelStudy) -> BoundedRelativeStep:
    """The book's kind of step."""
    rule = base.schedule.step_rule
    assert isinstance(rule, BoundedRelativeStep)
    return rule


def _stepping(base: SingleModelStudy, **changes: float) -> SingleModelStudy:
    """The study with other parameters of its step rule."""
    rule = replace(_rule(base), **changes)
    return replace(base, schedule=replace(base.schedule, step_rule=rule))


def grown(base: SingleModelStudy, k: int, networks: int) -> SingleModelStudy:
    r"""The same with two levers of the theorems moved as k grows: $s \propto k^{0.2}$, as the paper
    has it, and a smaller start, $\sigma_0 \propto k^{-1/6}$.

    Choice: the paper's $\sigma_0 = k^{-1/2}$ takes off after a time that grows like k.
    """
    ratio = k / base.data.n_classes
    start = base.learner.init_std * ratio ** (-1 / 6)
    levers = vary(base, init_std=start, sparsity=base.data.sparsity * ratio**0.2)
    return with_classes(levers, k, networks, DIM_PER_CLASS * k)


def _patient(base: SingleModelStudy, limit: int) -> SingleModelStudy:
    """The study with so many steps to fit its training set."""
    return replace(base, schedule=replace(base.schedule, stop_rule=WhenFitted(limit=limit)))


def reduced(base: SingleModelStudy, *, together: bool = False) -> ManyClassesStudy:
    """A study, reduced."""
    drawn = max(20, DRAWN // base.data.n_classes)
    return ManyClassesStudy(base=base, together=together, drawn=drawn)


def limit_families(scale: Scale) -> Families:
    """What the theorems say of large k, small sigma_0 and large T, as far as one can go."""
    size, first = LIMIT_SIZES[scale], base_study(scale)
    full = [with_classes(first, *row) for row in size.class_counts]
    made: Families = {"class-count": {f"k = {s.data.n_classes}": s for s in full}}
    students = {
        f"k = {teacher.data.n_classes}": student_at(scale, teacher)
        for teacher in full
        if teacher.data.n_classes in size.taught_counts
    }
    made["class-count-distilled"] = students
    made["class-count-one-hot"] = {
        label: replace(study, target="one-hot", keep_outputs=False)
        for label, study in students.items()
    }
    made["class-count-reduced"] = {f"k = {s.data.n_classes}": reduced(s) for s in full}
    made["many-classes"] = {
        f"k = {k}": reduced(with_classes(first, k, networks, DIM_PER_CLASS * k))
        for k, networks in size.many
    }
    made["many-classes-grown"] = {
        f"k = {k}": reduced(_patient(grown(first, k, networks), size.patience))
        for k, networks in size.many[:-1]  # a smaller start takes many steps
    }
    return made | _printed(scale) | _long(scale) | _averages(scale)


def student_at(scale: Scale, teacher: SingleModelStudy) -> DistillationStudy:
    """One student of networks of any k: networks need about 1.4 times as many steps where k
    doubles."""
    doubled = math.log2(teacher.data.n_classes / base_study(scale).data.n_classes)
    steps = round(FEWER * SIZES[scale].student_steps * (1 + 0.5 * max(0.0, doubled)))
    return student_study(scale, teacher, n_students=1, steps=steps)


def _long(scale: Scale) -> Families:
    """Networks trained far past the first fit, in full (small) and reduced (as everywhere)."""
    size, first = LIMIT_SIZES[scale], base_study(scale)
    schedule = replace(first.schedule, stop_rule=FixedSteps(steps=size.long_steps))
    on_and_on = replace(first, schedule=schedule, n_networks=2, record_every=5, n_watch=300)
    d, N = size.long_size
    small = vary(on_and_on, dim=d, noise_std=first.data.noise_norm / math.sqrt(d))
    few = replace(on_and_on, n_test_single=500)  # watched at every record
    return {
        "long": {f"d = {d}, N = {N}": with_samples(small, N)},
        "long-reduced": {f"{on_and_on.n_networks} networks": reduced(few)},
    }


def _averages(scale: Scale) -> Families:
    """The mean of L networks trained as one, beside networks trained one by one."""
    size, first = LIMIT_SIZES[scale], base_study(scale)

    def starting(base: SingleModelStudy, start: float) -> SingleModelStudy:
        return vary(base, init_std=start * base.learner.threshold)

    made: Families = {"average-reduced": {}, "average-full": {}}
    settings = [with_classes(first, k, 4, DIM_PER_CLASS * k) for k in size.average_counts]
    settings.append(vary(settings[-1], multi_other_strength=FAINTER))
    for base in settings:
        base = _patient(_stepping(base, max_step=FAR, floor=FLOOR), size.patience)
        faint = base.data.multi_other_strength
        for start in size.starts:
            one, where = starting(base, start), f"k = {base.data.n_classes}, {start:g}, {faint}"
            made["average-reduced"][f"{where}: alone"] = reduced(one)
            for L in size.members:
                together = reduced(replace(one, n_networks=L), together=True)
                made["average-reduced"][f"{where}: mean of {L}"] = together
    for start in size.full_starts:
        one = replace(starting(first, start), n_networks=2)
        made["average-full"][f"{start:g}: alone"] = one
        _, joint = joint_study(one, size.full_members, mean=True)
        made["average-full"][f"{start:g}: mean of {size.full_members}"] = joint
    return made


def _printed(scale: Scale) -> Families:
    r"""(4.3) as printed, in a setting of its own: few samples, own views in one patch, stronger
    and more varied, small noise in every direction (d), a teacher loud enough (c) that every faint
    view it knows reaches the cap, and $\eta' \gg \eta$ as the paper asks."""
    size, first = LIMIT_SIZES[scale], base_study(scale)
    k, d = first.data.n_classes, 2 * first.data.dim
    N = first.n_train // 2
    wide = vary(
        with_samples(first, N),
        dim=d,
        n_patches=2 * k,
        overflow="thin",
        patches_per_view=1,
        sparsity=min(3.0, 0.5 * k),
        own_strength=(1.0, 2.0),
        multi_other_strength=(0.2, 0.4),
        weak_view_strength=0.1,
        single_other_strength=0.4,
        single_other_floor=0.5,
        noise_std=1.1 / math.sqrt(d),
        n_neurons=8,
        init_std=0.03,
        threshold=1.0,
    )
    networks = replace(wide, n_networks=min(5, first.n_networks))
    students = {
        target: student_study(
            scale, networks, n_students=1, steps=size.printed_steps, target=target,
            form="printed", tau=0.8, teacher_scale=60.0, rate_ratio=300.0,
        )
        for target in ("average", "one-hot")
    }  # fmt: skip
    hard = student_study(
        scale, networks, n_students=1, steps=size.printed_steps, target="labels", form="printed"
    )
    return {"printed-limit": {"networks": networks, "labels": hard, **students}}
