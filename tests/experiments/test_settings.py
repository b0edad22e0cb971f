"""What is compared in the book differs in one thing alone."""

from dataclasses import replace
from typing import Any

import pytest

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.limit import LIMIT_SIZES
from mvlib.experiments.settings import SCALES, Scale, base_study, student_study
from mvlib.paper.step_rules import FixedSteps, WhenFitted


def studies(scale: Scale, name: str) -> list[Any]:
    return [e.study for e in experiments(scale, name)]


@pytest.mark.parametrize("scale", SCALES)
def test_students_on_hard_labels_stop_as_networks_do(scale: Scale) -> None:
    [networks] = {study.schedule for study in studies(scale, "single-model")}
    [hard] = {study.schedule for study in studies(scale, "hard-labels")}
    assert hard.stop_rule == networks.stop_rule and isinstance(hard.stop_rule, WhenFitted)
    # Their steps are those of the students they are compared with.
    assert {hard.step_rule} == {s.schedule.step_rule for s in studies(scale, "distilled")}


@pytest.mark.parametrize("scale", SCALES)
def test_students_of_a_teacher_take_equally_many_steps(scale: Scale) -> None:
    capped = ("distilled", "self-distilled", "self-control", "control-one-hot",
              "control-shuffled", "chain")  # fmt: skip
    others = ("printed", "printed-one-hot", "temperature", "temperature-each")
    [taught], [beside] = (
        {study.schedule for name in names for study in studies(scale, name)}
        for names in (capped, others)
    )
    # They step twice as far, and less often; other forms step as networks do.
    assert beside.stop_rule.limit / 2 < taught.stop_rule.limit < beside.stop_rule.limit
    assert isinstance(taught.stop_rule, FixedSteps) and isinstance(beside.stop_rule, FixedSteps)
    [networks] = {study.schedule.step_rule for study in studies(scale, "single-model")}
    assert beside.step_rule == networks
    assert taught.step_rule == replace(networks, relative_change=2 * networks.relative_change)


def test_students_of_many_classes_keep_their_teachers_largest_step() -> None:
    for study in studies("book", "class-count-distilled"):
        own, networks = study.schedule.step_rule, study.teacher.schedule.step_rule
        assert own == replace(networks, relative_change=2 * networks.relative_change)


@pytest.mark.parametrize("scale", SCALES)
def test_steps_of_other_lengths_go_equally_far(scale: Scale) -> None:
    """Nothing but the length and number of steps, and what is kept, differs from the book's."""
    tried = studies(scale, "frontier")
    for name, target in (("distilled", "average"), ("control-one-hot", "one-hot")):
        for book in studies(scale, name):
            same = [s for s in tried if s.teacher == book.teacher and s.target == target]
            lengths = [s.schedule.step_rule.relative_change for s in same]
            own, limit = book.schedule.step_rule.relative_change, book.schedule.stop_rule.limit
            assert len({own, *lengths}) == len(lengths) + 1, "the book's own is another one"
            for study, length in zip(same, lengths, strict=True):
                far = length * study.schedule.stop_rule.limit
                assert far == pytest.approx(own * limit, abs=length / 2)
                assert study == replace(
                    book,
                    n_students=study.n_students,
                    record_every=study.record_every,
                    keep_outputs=False,
                    schedule=replace(
                        book.schedule,
                        step_rule=replace(book.schedule.step_rule, relative_change=length),
                        stop_rule=study.schedule.stop_rule,
                    ),
                )
    assert {s.target for s in tried} == {"average", "one-hot"}


@pytest.mark.parametrize("scale", SCALES)
def test_students_of_many_classes_and_their_control(scale: Scale) -> None:
    """At the k that the scale names; the control differs in its teacher alone."""
    taught, control = (studies(scale, f"class-count-{n}") for n in ("distilled", "one-hot"))
    assert [s.base.data.n_classes for s in taught] == [*LIMIT_SIZES[scale].taught_counts]
    assert {s.teacher for s in taught} <= set(studies(scale, "class-count"))
    assert [replace(s, target="one-hot", keep_outputs=False) for s in taught] == control


def test_chains_are_self_distillation_again_and_again() -> None:
    first, *later = studies("book", "chain")
    [taught] = [s for s in studies("book", "self-distilled") if s.base == first.base]
    assert first == replace(taught, n_students=first.n_students)
    assert {(s.tau, s.target) for s in later} == {(first.tau, first.target)}


def test_students_in_a_long_training_do_not_stop_before_its_end() -> None:
    for study in studies("smoke", "student-time"):
        assert isinstance(study.schedule.stop_rule, FixedSteps)
    asked = student_study("smoke", base_study("smoke"), n_students=1, steps=7, target="labels")
    assert asked.schedule.stop_rule == FixedSteps(steps=7)


@pytest.mark.parametrize(
    ("name", "control", "target"),
    [
        ("distilled", "control-one-hot", "one-hot"),
        ("self-distilled", "self-control", "one-hot"),
    ],
)
def test_a_control_differs_in_its_teacher_alone(name: str, control: str, target: Any) -> None:
    taught = studies("smoke", name)
    assert [replace(study, target=target) for study in taught] == studies("smoke", control)


@pytest.mark.parametrize("scale", SCALES)
def test_every_draw_has_whole_ensembles(scale: Scale) -> None:
    """More than one, and every network is in one of them; students are taught by the first ones."""
    for study in studies(scale, "single-model"):
        ensembles, left_over = divmod(study.n_networks, study.ensemble_size)
        assert ensembles > 1 and left_over == 0
