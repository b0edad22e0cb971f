"""What is compared has been computed in one precision."""

from dataclasses import replace
from typing import Any

import pytest
from toys import TEACHER, student

from mvlib.core.checks import BadInput
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import Experiment, precision_of
from mvlib.findings import claims
from mvlib.findings.claims import check_one_precision, findings, needed
from mvlib.studies.joint_training import JointStudy

NARROW = replace(TEACHER, learner=replace(TEACHER.learner, precision="split"))


def joint(base: Any) -> JointStudy:
    schedule = next(e.study for e in experiments("smoke", "joint")).base.schedule
    return JointStudy(base=replace(base, schedule=schedule), n_members=2, mean=True)


@pytest.mark.parametrize("made", [
    lambda base: base,
    joint,
    lambda base: student(teacher=base),
    lambda base: student(teacher=student(teacher=base), generation=2),
], ids=["networks", "joint", "students", "students of students"])  # fmt: skip
def test_a_study_has_the_precision_of_its_networks(made: Any) -> None:
    assert (precision_of(made(TEACHER)), precision_of(made(NARROW))) == ("float32", "split")


def test_studies_of_other_data_have_none() -> None:
    for name in ("gaussian", "images-single", "images-distilled", "images-kernels"):
        assert {precision_of(e.study) for e in experiments("smoke", name)} == {None}


def test_the_book_is_of_one_precision() -> None:
    check_one_precision(needed("book"))


def test_two_precisions_are_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_differs(scale: Any, name: str) -> list[Experiment]:
        found = experiments(scale, name)
        if name != "joint":
            return found
        last = found[-1].study
        learner = replace(last.base.learner, precision="float32")
        changed = replace(last, base=replace(last.base, learner=learner))
        return [*found[:-1], replace(found[-1], study=changed)]

    def read(experiment: Experiment) -> Any:
        raise AssertionError(f"{experiment.name} is read")

    monkeypatch.setattr(claims, "experiments", one_differs)
    with pytest.raises(BadInput) as caught:
        findings("smoke", read)
    said = str(caught.value)
    assert said.startswith("precision () = {") and said.endswith(
        " must be the same for all that is compared; compute them in one."
    )
    assert f"'float32': 'joint ({experiments('smoke', 'joint')[-1].label})'" in said
    assert "'bfloat16': '" in said
