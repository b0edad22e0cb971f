"""Networks and students whose views are photographs: on digits, with tiny networks."""

from dataclasses import replace

import numpy as np
import pytest
from toys import TEACHER

from mvlib.core.checks import BadInput
from mvlib.deep.picture_views import PictureViews
from mvlib.experiments.picture_views import picture_families, picture_study
from mvlib.experiments.settings import SCALES
from mvlib.paper.multi_view_data import sample, stored
from mvlib.paper.step_rules import FixedSteps
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.picture_views import PictureStudy, run_picture_study
from mvlib.studies.single_model import SingleModelStudy, run_single_model

pytest.importorskip("sklearn")

LOOK = PictureViews(dataset="digits", typical=0.5, side=4)
BASE = picture_study("smoke")
NETWORKS = replace(
    BASE, data=replace(BASE.data, appearance=LOOK, dim=LOOK.dim, single_view_fraction=0.1),
    schedule=replace(BASE.schedule, stop_rule=FixedSteps(steps=5)), n_train=100, n_networks=2,
    learner=replace(BASE.learner, precision="float32"), n_test_single=40, n_test_multi=40,
)  # fmt: skip
STUDY = PictureStudy(base=NETWORKS)


def test_networks_and_their_students() -> None:
    found = run_picture_study(STUDY)
    alone = run_single_model(NETWORKS)
    assert all(np.array_equal(found[name], alone[name], equal_nan=True) for name in alone)
    assert found["sheets"].shape == (4, 16, 32)
    students = DistillationStudy(teacher=NETWORKS, schedule=NETWORKS.schedule, n_students=2)
    taught = PictureStudy(base=students)
    assert taught.teacher == STUDY and STUDY.teacher is None and taught.root == NETWORKS
    outputs = run_picture_study(taught, found["train_outputs"])
    assert outputs["train_outputs"].shape == (2, 100, 10) and "sheets" not in outputs


def test_sheets_are_test_inputs() -> None:
    found = run_picture_study(STUDY)
    single = sample(NETWORKS.data, 40, seed=NETWORKS.draw, name="test", kind="single")
    # Rounded to float16: a relative 5e-4 of numbers up to about 2.
    assert found["sheets"][2] == pytest.approx(stored(single)[0].numpy(), abs=1e-3)
    assert found["sheet_labels"][2:].tolist() == single.labels[:2].tolist()


def test_views_must_be_photographs() -> None:
    with pytest.raises(BadInput, match=r"^base \(v\) = None must have PictureViews"):
        PictureStudy(base=TEACHER)


@pytest.mark.parametrize("scale", SCALES)
def test_configurations(scale: str) -> None:
    families = picture_families(scale)  # type: ignore[arg-type]
    for studies in families.values():
        for study in studies.values():
            root = study.root
            assert root.draw >= 10 and not root.data.appearance.explore
            assert root.data.dim == root.data.appearance.dim
            each = root.data.single_view_fraction * root.n_train / root.data.n_classes
            assert each == pytest.approx(1) or each == pytest.approx(4)
    draws = {study.root.draw for study in families["handmade-single"].values()}
    assert len(draws) >= (1 if scale == "smoke" else 3)


def test_a_network_reads_what_it_was_shown() -> None:
    """At smoke scale: trained networks tell classes from photographs that no training has seen,
    better where an input shows both views."""
    study = replace(picture_study("smoke"), n_networks=2)
    found = run_picture_study(PictureStudy(base=study))
    assert isinstance(study, SingleModelStudy) and bool(found["fitted"].all())
    # Guessing errs on .9 of 100 inputs, known to .03.
    assert found["multi_error"].max() < 0.3
    assert found["multi_error"].mean() < found["single_error"].mean()
