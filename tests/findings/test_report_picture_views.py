"""What is claimed and shown of photographs as views, on arrays small enough to do by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mvlib.deep.picture_views import PictureViews
from mvlib.experiments.picture_views import picture_families, picture_study
from mvlib.findings import picture_views as claims
from mvlib.findings import report_picture_views as report
from mvlib.findings.finding import Finding
from mvlib.paper.multi_view_data import SampleKind, sample
from mvlib.studies.picture_views import PictureStudy

KINDS: tuple[SampleKind, ...] = ("multi", "single")
STUDY = picture_study("book")  # mu = 0.005: a multi-view error counts 199 times


def arrays(single: list[float], multi: list[float], **more: Any) -> dict[str, np.ndarray]:
    n = len(single)
    correlations = np.tile([[1.0, 0.1]], (n, 10, 1))
    correlations[:, 0] = 1
    return {
        "single_error": np.array(single), "multi_error": np.array(multi),
        "correlations": correlations, "predicted_winner": np.zeros((n, 10), int),
        "ensemble_single_error": np.array(0.05), "ensemble_multi_error": np.array(0.0),
        "class_error": np.tile([[0.1, 0.9]], (n, 10, 1)), "fitted": np.array(multi) < 0.02, **more,
    }  # fmt: skip


OF = {
    "handmade-single": [arrays([0.4, 0.5], [0.0, 0.0]), arrays([0.3, 0.4], [0.001, 0.0])],
    "handmade-distilled": [arrays([0.02, 0.04], [0, 0]), arrays([0.03, 0.03], [0, 0])],
    "handmade-one-hot": [arrays([0.3, 0.3], [0.01, 0]), arrays([0.3, 0.32], [0, 0])],
    "handmade-mixup": [arrays([0.1, 0.2], [0.01, 0.03]), arrays([0.1, 0.0], [0.0, 0.0])],
    "handmade-as-long": [arrays([0.3], [0.0])],
    "handmade-self-distilled": [arrays([0.2, 0.3], [0, 0]), arrays([0.2, 0.2], [0, 0])],
}


def test_claims_by_hand() -> None:
    found = {f.claim: f for f in claims.picture_claims(STUDY, OF)}
    measured = {name.removeprefix("handmade-"): f.measured for name, f in found.items()}
    assert measured == pytest.approx({
        "single": (0.45 + 0.35) / 2, "ensemble": 0.05, "distilled": 0.03,
        "one-hot-above-distilled": (0.27 + 0.28) / 2, "self-distilled": 0.225, "lottery": 1.0,
    })  # fmt: skip
    assert found["handmade-single"].source == "the paper's number"
    assert found["handmade-ensemble"].n == 2 and found["handmade-distilled"].n == 4
    assert found["handmade-distilled"].verdict == "holds"
    assert found["handmade-one-hot-above-distilled"].verdict == "holds"
    assert "2 data draws" in found["handmade-single"].caveat
    assert "networks 0.0003 and 0.45, distilled 0.0000 and 0.03" in found["handmade-single"].caveat
    assert all(isinstance(f, Finding) and f.low <= f.high for f in found.values())


def test_who_reads_which_view() -> None:
    one = OF["handmade-single"][0]
    both = one | {"class_error": np.zeros((2, 10, 2))}
    none = one | {"class_error": np.ones((2, 10, 2))}
    other = one | {"class_error": one["class_error"][..., ::-1]}
    assert report.reads(one)[..., 0].all() and not report.reads(one)[..., 1].any()
    values = report.lottery_values({**OF, "handmade-single": [one, both, none, other]})
    assert values["pv-one-view"] == "50%" and values["pv-both-views"] == "25%"
    assert values["pv-no-view"] == "25%" and values["pv-least-first"] == "50%"
    assert values["pv-distilled-both"] == "10%"


def test_words_and_tables() -> None:
    values = report.setting_values(STUDY)
    assert values["pv-first"] == "T-shirt in blue and coat in orange"
    assert values["pv-typical"] == "10%" and values["pv-mu"] == "0.005"
    assert report.class_titles(STUDY)[9] == "boot\npullover"
    table = report.error_table(STUDY, OF)
    networks, *students = (claims.KINDS | claims.BESIDE).values()
    assert [row[""] for row in table] == [networks, "their average", *students]
    # Multi-view errors of .001 and 0 on one draw of two: (.0005 * 199) / 2 more.
    row = ["networks", 0.4, 0.00025, 0.4 + 0.00025 * 199, 0.1, 4]
    assert list(table[0].values()) == [row[0], *map(pytest.approx, row[1:])]
    said = report.error_values(STUDY, OF)
    assert said["pv-lost-networks"] == "40%" and said["pv-lost-average"] == "5%"
    assert said["pv-lost-distilled"] == "3%" and said["pv-control"] == "0.305"
    assert said["pv-whole-networks"] == "0.45" and said["pv-whole-distilled"] == "0.03"
    assert said["pv-two"] == "0.25"
    # All networks know the same views: of one class both.
    assert list(table[1].values())[1:] == [*map(pytest.approx, (0.05, 0, 0.05, 0.1, 2))]


def test_mixup_beside_the_same_networks() -> None:
    [*_, mixed] = picture_families("book")["handmade-mixup"].values()
    [*_, plain] = picture_families("book")["handmade-as-long"].values()
    assert replace(mixed.base, batches=None) == plain.base, "nothing else differs"
    values = report.mixup_values(mixed.base, OF)
    assert values["pv-mixup-strengths"] == "1 to 3" and values["pv-mixup-threshold"] == "1.25"
    assert str(values["pv-mixup"]).startswith("0.100 [") and values["pv-mixup-multi"] == "1.00%"
    assert values["pv-as-long"] == "0.300 [0.300, 0.300]" and values["pv-as-long-both"] == "10%"
    assert values["pv-mixup-fitted"] == "3 of 4"


def test_sheets() -> None:
    pytest.importorskip("sklearn")
    look = PictureViews(dataset="digits", typical=0.5, side=4)
    study = replace(STUDY, data=replace(STUDY.data, appearance=look, dim=look.dim, noise_std=0.01))
    seen = [sample(study.data, 2, seed=study.draw, name="test", kind=kind) for kind in KINDS]
    stored = {"sheets": np.concatenate([drawn.patches for drawn in seen]),
              "sheet_labels": np.concatenate([drawn.labels for drawn in seen])}  # fmt: skip
    titles, sheets = zip(*report.sheets(study, stored), strict=True)
    with_noise = "with noise: as it is read"
    assert titles == ("zero + one\nboth views: photographs", "whitened", with_noise,
                      "zero + one\none view: photographs", "whitened", with_noise)  # fmt: skip
    for drawn, (bare, whitened, noisy) in zip(seen, (sheets[:3], sheets[3:]), strict=True):
        assert bare.shape == (16, 2, 4, 4) and bare.min() == 0
        # Standard deviation of 512 numbers; 5 standard errors.
        assert (noisy - whitened).std() == pytest.approx(0.01, rel=5 / 32)
        # A patch is blue or orange, and nothing stands where no view does.
        views = drawn.view_patches[0].transpose(0, 1).flatten(1)
        for colour, places in enumerate(views):
            here = np.isin(np.arange(16), places)
            assert (bare[:, colour].any(axis=(1, 2)) == here).all()
            assert (whitened[:, colour].any(axis=(1, 2)) == here).all()


def test_what_breaks_it() -> None:
    experiment = SimpleNamespace(label="threshold 1", study=PictureStudy(base=STUDY))
    [row] = report.broken_table([(experiment, arrays([0.2, 0.3], [0.0, 0.001]))])
    assert list(row.values()) == ["threshold 1", *map(pytest.approx, (0.25, 0.0005, 0.3495, 0.1))]
