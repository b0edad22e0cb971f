"""The cost model: work counted by hand, prices and exponents found again, bad input refused."""

import json
import math
from dataclasses import asdict, replace

import pytest

from fits import TIME_TERMS, fit_cost, fit_power_law
from mvlib.core.checks import BadInput
from mvlib.run.cost import CostModel, PowerLaw, Shape, predict_seconds, theory_shape

CENTRE = Shape(n_train=40, n_patches=5, dim=30, n_classes=3, n_neurons=2, n_networks=4)
AXES = [CENTRE] + [
    replace(CENTRE, **{name: factor * getattr(CENTRE, name)})
    for name in ("n_train", "n_patches", "dim", "n_neurons", "n_networks")
    for factor in (2, 3)
]
SHAPES = [
    *AXES,
    replace(CENTRE, n_train=80, dim=60),
    replace(CENTRE, n_train=80, n_networks=8),
    replace(CENTRE, dim=60, n_networks=8),
]
PRICES = {"flops": 1e-11, "correlations": 2e-9, "patch_floats": 3e-9, "weight_floats": 5e-9,
          "once": 1e-5}  # fmt: skip


def test_work_is_counted() -> None:
    shape = Shape(n_train=2, n_patches=3, dim=5, n_classes=7, n_neurons=11, n_networks=13)
    # 2 * 3 = 6 patches, 7 * 11 * 13 = 1001 neurons.
    assert (shape.rows, shape.columns) == (6, 1001)
    assert shape.work() == {
        "flops": 4 * 6 * 5 * 1001,
        "correlations": 6006,
        "patch_floats": 30,
        "weight_floats": 5005,
        "outputs": 13 * 2 * 7,
        "once": 1,
    }


def test_prices_are_found_again() -> None:
    true = CostModel(prices=PRICES, worst_error=0.0, median_error=0.0, n=0)
    found = fit_cost(SHAPES, [predict_seconds(shape, true) for shape in SHAPES])
    # Five prices from fourteen exact points; the work differs by factors of three only, which
    # costs some of double precision's sixteen digits.
    assert found.prices == pytest.approx(PRICES, rel=1e-8)
    assert found.worst_error < 1e-10 and found.n == len(SHAPES)
    assert found.median_error <= found.worst_error


def test_a_price_is_never_negative() -> None:
    # Seconds that fall with the number of correlations: least squares alone would pay for them.
    work = [shape.work() for shape in SHAPES]
    seconds = [1e-9 * w["flops"] - 1e-9 * w["correlations"] + 1e-6 for w in work]
    found = fit_cost(SHAPES, seconds)
    assert "correlations" not in found.prices
    assert min(found.prices.values()) > 0
    # Where the sum of squares is least, no price that is paid would better change, and one that is
    # not would better be negative.
    scaled = [[w[kind] / y for kind in TIME_TERMS] for w, y in zip(work, seconds, strict=True)]
    left = [sum(found.prices.get(kind, 0) * a for kind, a in zip(TIME_TERMS, row, strict=True)) - 1
            for row in scaled]  # fmt: skip
    for j, kind in enumerate(TIME_TERMS):
        slope = sum(row[j] * off for row, off in zip(scaled, left, strict=True))
        slope /= math.sqrt(sum(row[j] ** 2 for row in scaled))
        # Sums of 14 float64 numbers of order 1.
        assert abs(slope) < 1e-9 if kind in found.prices else slope > 0
    assert 0 < found.worst_error < 0.1


def test_small_costs_count_as_much_as_large_ones() -> None:
    # Both shapes are off by the same factor from one price: relative errors split it evenly.
    large = replace(CENTRE, n_train=4000)
    flops = [shape.work()["flops"] for shape in (CENTRE, large)]
    found = fit_cost([CENTRE, large], [1.2 * flops[0], 0.8 * flops[1]], ["flops"])
    # min (c/1.2 - 1)^2 + (c/.8 - 1)^2
    assert found.prices["flops"] == pytest.approx((1 / 1.2 + 1 / 0.8) / (1 / 1.44 + 1 / 0.64))
    # Below a floor errors are absolute, and only the large one is left to decide.
    above = fit_cost([CENTRE, large], [1.2 * flops[0], 0.8 * flops[1]], ["flops"], floor=flops[1])
    assert above.prices["flops"] == pytest.approx(0.8, rel=1e-3)


def test_a_model_survives_its_json() -> None:
    model = fit_cost(SHAPES, [shape.work()["flops"] + 7.0 for shape in SHAPES])
    again = CostModel(**json.loads(json.dumps(asdict(model))))
    assert again == model
    assert predict_seconds(CENTRE, again) == predict_seconds(CENTRE, model)


def test_power_law_by_hand() -> None:
    # log x = 0, 1, 2 and log y = 0, 1, 3: slope 1.5, intercept -1/6, residuals 1/6, -1/3, 1/6,
    # so that the slope's standard error is sqrt((1/6) / 1 / 2).
    law = fit_power_law([1.0, math.e, math.e**2], [1.0, math.e, math.e**3])
    half = math.tan(0.475 * math.pi) * math.sqrt(1 / 12)  # Student's t of 1 degree is Cauchy's law
    expected = PowerLaw(exponent=1.5, low=1.5 - half, high=1.5 + half, factor=math.exp(-1 / 6))
    assert asdict(law) == pytest.approx(asdict(expected), rel=1e-12)


def test_an_exact_power_law_has_no_interval() -> None:
    law = fit_power_law([1, 2, 4, 8, 16], [3.0 * x**0.7 for x in (1, 2, 4, 8, 16)])
    # Rounding of logarithms is all that is left.
    assert law.exponent == pytest.approx(0.7, abs=1e-12) and law.factor == pytest.approx(3.0)
    assert law.high - law.low < 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replace(CENTRE, dim=0), r"^dim \(d\) = 0 must be an integer >= 1;"),
        (lambda: replace(CENTRE, n_networks=-1), r"^n_networks \(S\) = -1 must be an integer"),
        (lambda: fit_cost(SHAPES[:3], [1.0] * 3), r"^shapes \(rank\) = 2 must tell 5 prices"),
        (lambda: fit_cost(AXES, [1.0] * len(AXES)), r"^shapes \(rank\) = 4 must tell 5 prices"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call()  # type: ignore[operator]


def test_the_theorems_own_shape() -> None:
    shape = theory_shape(50, n_networks=3)
    assert (shape.n_patches, shape.n_train, shape.dim) == (2500, 10_000, 5000)
    # N P d k: with all of them growing alike, work grows like k^5.
    assert theory_shape(20).work()["flops"] == 32 * theory_shape(10).work()["flops"]
    with pytest.raises(BadInput, match=r"^n_classes \(k\) = 1 must be an integer >= 2"):
        theory_shape(1)
