"""What the book says of the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import TEACHER

from mvlib.findings import report_data
from mvlib.paper.multi_view_data import feature_vectors, sample

DATA = TEACHER.data


def test_data_values() -> None:
    said = report_data.data_values(TEACHER)
    assert said["n_classes"] == 3 and said["sparsity"] == 1.5
    assert said["n-train"] == 36 and said["n-single"] == 4  # a tenth of 36
    assert said["noise-norm"] == "0.32"  # 0.05 sqrt(40)
    assert said["n-other-views"] == "2.0"  # 2 (3 - 1) views, each there with 1.5 / 3


def test_readings_of_noiseless_patches_are_strengths() -> None:
    clean = replace(DATA, noise_std=0.0, feature_noise=0.0)
    drawn = sample(clean, 6, seed=0, name="look", kind="single")
    [(title, (reading, label))] = report_data.readings(
        {"single": drawn}, feature_vectors(clean, 0), row=4
    ).items()
    assert title == "single" and label == drawn.labels[4]
    # Summed over patches a detector reads the view's strength; float32 sums of a few terms.
    np.testing.assert_allclose(reading.sum(axis=2), drawn.strengths[4], atol=1e-5)
    assert reading.shape == (3, 2, 8)


def test_the_law_is_counted_at_a_small_dimension() -> None:
    rows = report_data.law_table(DATA, n=200)
    assert [row["data"] for row in rows] == ["multi"] * 3 + ["single"] * 4
    assert list(rows[0]) == ["data", "quantity", "definition", "measured", "95% interval", "n"]
    assert rows[0]["definition"] == pytest.approx(1 / 3) and rows[0]["n"] == 200
    drawn = sample(replace(DATA, dim=6), 200, seed=0, name="count", kind="single")
    assert rows[3]["measured"] == pytest.approx(float(torch.mean((drawn.labels == 0).float())))
