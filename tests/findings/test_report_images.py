"""What the book shows of photographs, on made-up arrays small enough to do by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.images import image_size, image_study
from mvlib.findings import report_images as report
from mvlib.findings.finding import Finding
from mvlib.findings.worlds import World


def wrong(*errors: float) -> np.ndarray:
    """Learners that err on such shares of 20 images, on the first ones."""
    return np.arange(20) < 20 * np.array(errors)[:, None]


def learners(*errors: float, ensemble: float) -> dict[str, np.ndarray]:
    return {"wrong": wrong(*errors), "ensemble_wrong": wrong(ensemble)[0]}


NETWORKS = [learners(0.4, 0.6, ensemble=0.2)]
WORLD = World(name="photographs", curve=np.array([0.5, 0.2]), draws=[{
    "single": wrong(0.4, 0.6), "ensemble": wrong(0.2), "average": wrong(0.3),
    "distilled": wrong(0.2, 0.4), "ensemble_of_distilled": wrong(0.25),
    "self_distilled": wrong(0.4, 0.5), "wide": wrong(0.3, 0.5),
}])  # fmt: skip
FROZEN = {
    f"{row}_wrong": wrong(error)
    for row, error in {"single": 0.5, "ensemble": 0.4, "average": 0.4, "distilled": 0.45,
                       "self_distilled": 0.5, "hard_student": 0.55}.items()
}  # fmt: skip
ALL = report.every_row(WORLD, {"ntk": FROZEN})


def test_setting() -> None:
    study, size = image_study("smoke"), image_size("smoke")
    values = report.setting_values(study, size)
    assert values["n-train"] == 100 and values["epochs"] == 20 and values["ridge"] == 1e-3
    assert values["n-averages"] == 2 and values["filters"] == 16
    assert values["n-sets"] == values["n-set-learners"] == values["n-students"] == 2


def test_rows_of_errors() -> None:
    panels = report.error_panels(ALL)
    assert [title for title, _ in panels] == ["networks", "NTK"]
    assert panels[0][1]["single"] == pytest.approx([0.4, 0.6])
    assert panels[0][1]["ensemble"] == pytest.approx([0.2])
    assert panels[1][1]["training the average"] == pytest.approx([0.4])


def test_table_of_errors() -> None:
    single, ensemble, *_, hard = report.error_table(ALL)
    assert list(single.values()) == ["single", pytest.approx(50), pytest.approx(50), 2]
    assert list(ensemble.values()) == ["ensemble", pytest.approx(20), pytest.approx(40), 1]
    assert list(hard.values()) == ["student, hard labels", "as single", pytest.approx(55), ""]
    values = report.error_values(ALL)
    assert values["net-distilled"] == "30.0%" and values["ntk-self_distilled"] == "50.0%"
    assert len(values) == 10


def test_what_is_reported_stands_beside_it() -> None:
    row = report.reported_table(ALL)[1]
    assert list(row.values()) == ["ensemble", "80.0", "60.0", "97.20", "84.69"]


def test_claims() -> None:
    found = Finding(claim="images-distilled-share-of-gain", statement="Half.", predicted=0.5,
                    source="ours", direction="at least", turn=0.0, measured=0.7, low=0.6, high=0.8,
                    n=3, unit="", caveat="Once.")  # fmt: skip
    (row,) = report.claim_table([found])
    assert list(row.values()) == ["Half.", "at least 0.5", "0.700 [0.600, 0.800]", "holds", "Once."]


def test_gains() -> None:
    (first,) = WORLD.draws
    half = replace(WORLD, draws=[first, first | {"average": wrong(0.35)}])
    assert str(report.gain_values(half, ALL["ntk"])["average-others"]).startswith("0.50 [")
    values = report.gain_values(replace(WORLD, draws=[first, first]), ALL["ntk"])
    # The ensemble gains .5 - .2, the students' .3 - .25; wide networks .5 - .4; frozen .1 and 0.
    starts = {"removed": "0.600 [", "average-first": "0.67 [",
              "gain": "30.00% [", "gain-again": "5.00% [",
              "ntk-average-share": "1.00 [", "ntk-distilled-gain": "10.00% ["}  # fmt: skip
    assert all(str(values[name]).startswith(start) for name, start in starts.items())
    assert values["gain-again-share"] == "0.17"


def test_fits_and_errors_in_the_text() -> None:
    arrays = [{"train_error": np.array([0.0, 0.01])}, {"train_error": np.array([0.03])}]
    assert report.fit_values({"single": arrays}) == {"fit-single": "1.75%"}
    values = report.world_values(WORLD)
    assert values["single"] == "50.0%" and values["distilled"] == "30.0%"
    assert str(values["removed"]).startswith("60.0% [")
    assert str(values["gain"]).startswith("30.00% [")


def test_halves_of_images() -> None:
    family = []
    for e in experiments("smoke", "images-views"):
        mu = e.study.base.data.single_view_fraction  # type: ignore[union-attr]
        half, whole = wrong(0.4 - mu / 2, 0.6 - mu / 2), wrong(0.1, 0.3)
        family.append((e, {
            "wrong": np.stack([whole, half, half[::-1]]),
            "ensemble_wrong": np.stack([whole[0], half[0], half[0]]),
        }))  # fmt: skip
    shares, curves = report.half_errors(family)
    one, many = curves["halves of two photographs"]
    assert shares == [0.0, 0.4] and one == pytest.approx(np.array([[0.2, 0.2], [0.5, 0.3]]))
    assert many == pytest.approx(np.array([[0.1, 0.1], [0.4, 0.2]]))
    last = report.half_table(shares, curves)[-1]
    assert list(last)[2:4] == ["half images: one network, %", "half images: ensemble, %"]
    assert list(last.values()) == ["two photographs", 0.4, *map(pytest.approx, (30, 20, 20, 10))]
    values = report.half_values(shares, curves)
    assert values["last-share"] == "0.4" and values["one-half-first"] == "50.0%"
    assert values["many-half-last"] == "20.0%" and values["gain-whole"] == "10.0"
    assert values["gain-half"] == "10.0"


def test_variance_by_label_noise() -> None:
    measured = NETWORKS[0] | {
        "variance": np.array(0.1), "squared_error": np.array([0.3, 0.5]),
        "cross_entropy": np.array([1.0, 2.0]), "ensemble_cross_entropy": np.array(0.5),
    }  # fmt: skip
    noisy = [(e, measured) for e in experiments("smoke", "images-noise")]
    networks = report.by_noise(measured, noisy)
    assert list(networks) == ["0%", "10%", "20%"]
    row = report.noise_table(networks)[1]
    spread = np.sqrt(2) * 10  # 40 and 60
    assert list(row.values())[1:] == pytest.approx([50, spread, 30, 30 / spread, 0.25, 1.5, 0.5])
    as_good = {"0%": measured | {"wrong": wrong(0.2, 0.1, 0.3)}}
    assert report.noise_values(as_good) == {"spread": "10.00", "gain-over-spread": "0.0",
                                            "variance-share": "25%", "as-good": 2}  # fmt: skip


def test_deleted_channels() -> None:
    errors = np.arange(8.0).reshape(2, 2, 2) / 10  # (ways, shares, networks)
    inside = {
        "as_trained_error": errors, "as_trained_ensemble_error": errors[:, :, 0],
        "refitted_error": errors / 2, "refitted_ensemble_error": errors[:, :, 1],
    }  # fmt: skip
    ways = report.deletions(inside)
    assert [title for title, _, _ in ways] == [
        "at random, as trained", "at random, readout refitted",
        "by class, as trained", "by class, readout refitted",
    ]  # fmt: skip
    row = report.deletion_table([0.0, 0.875], ways)[1]
    assert list(row.values()) == pytest.approx([87.5, 25, 20, 12.5, 30, 65, 60, 32.5, 70])
    assert list(row)[1] == "at random, as trained: one network, %"
    assert report.deletion_values([0.0, 0.875], ways) == {
        "most-deleted": "87.5%", "least-kept": "12.5%", "one-kept": "25.0%", "many-kept": "20.0%",
        "one-refitted": "12.5%", "many-refitted": "30.0%",
    }  # fmt: skip


def test_heat_maps_agree() -> None:
    maps = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4], [5, 5, 5, 5]]).reshape(4, 1, 2, 2)
    agreement = report.map_agreement(np.concatenate([maps, 3 + 2 * maps], axis=1))
    assert agreement.shape == (6, 2)
    assert agreement[:, 0] == pytest.approx([-1, 1, 0, -1, 0, 0], abs=1e-12)  # zeros, rounded
    assert agreement[:, 1] == pytest.approx(agreement[:, 0], abs=1e-12), "no scale, no offset"
    table: Any = report.agreement_table(agreement[:2], ["sneaker", "boot"])
    assert list(table[1].values()) == ["2 (boot)", *map(pytest.approx, (0, -1, 1))]


def test_classes_are_called_by_name() -> None:
    found = report.shown_classes(image_study("book"), np.array([1, 9]))
    assert found == ["trousers", "boot"]
