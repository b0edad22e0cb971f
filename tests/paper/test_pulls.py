"""Growth rates at the start: worked by hand, and the orders that the book reads off them."""

import math
from dataclasses import astuple, replace

import pytest
import torch
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.experiments.settings import base_study
from mvlib.paper.growth_rates import Pulls, _behind, _largest, _spread, pulls
from mvlib.paper.multi_view_data import MultiViewParams
from mvlib.paper.network import LearnerParams

# nu = sigma_p sqrt(d) = 0.1 * 8; s / k = 1/4.
DATA = MultiViewParams(
    n_classes=4, dim=64, n_patches=12, patches_per_view=2, patches_per_other_view=1, sparsity=1.0,
    single_view_fraction=0.02, own_strength=(1.0, 1.4), multi_other_strength=(0.2, 0.4),
    noise_std=0.1,
)  # fmt: skip
LEARNER = LearnerParams(n_neurons=5, power=4, threshold=1.0, init_std=0.05)
N = 400


def normal_quantile(p: float) -> float:
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * p - 1, dtype=torch.float64)))


def blom(n: int) -> float:
    """Blom's approximation to the expected largest of n standard normals."""
    return normal_quantile((n - 3 / 8) / (n + 1 / 4))


def smaller_of_two(n: int) -> float:
    """Two like values of mean a and spread b: the smaller one is b / sqrt(pi) below, if normal."""
    middle = normal_quantile(0.84 ** (1 / n)) - normal_quantile(0.16 ** (1 / n))
    return blom(n) - middle / 2 / math.sqrt(math.pi)


def assert_pulls(found: Pulls, expected: dict[str, float]) -> None:
    # .56 stands for 1 / sqrt(pi) = .5642: .0042 * .66 of .8, to the power q - 2; less with V > 2.
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.02), name
    assert set(expected) == set(Pulls.__dataclass_fields__)


def test_by_hand_at_q_4() -> None:
    first, second, noise = blom(5), smaller_of_two(5), blom(60)
    # E z^4, z uniform on [1, 1.4]: (1.4^5 - 1) / (5 * .4) = 2.18912; two patches of z / 2 each.
    own = 2 * 2.18912 / 2**4
    # On [.2, .4]: (.4^5 - .2^5) / (5 * .2) = .00992, in one patch.
    weak = 0.00992
    assert_pulls(
        pulls(DATA, LEARNER, N),
        {
            "own": 100 * own * first**2,  # 100 samples of the class
            "leftover": 1 * own * second**2,  # two of them single-view, one shows this view
            "noise": 0.8**4 * noise**2,  # one sample; the largest of 12 * 5 readings
            "weak": 400 / 4 * (3 / 4) * weak * second**2,  # shown, and the other view not
            "confusion": 100 * (1 - (3 / 4) ** 2) * own * first**2,  # this class is there too
        },
    )


def test_by_hand_at_q_3() -> None:
    first, second, noise = blom(5), smaller_of_two(5), blom(60)
    # (1.4^4 - 1) / (4 * .4) = 1.776;  (.4^4 - .2^4) / (4 * .2) = .03.
    own, weak = 2 * 1.776 / 2**3, 0.03
    assert_pulls(
        pulls(DATA, replace(LEARNER, power=3), N),
        {
            "own": 100 * own * first,
            "leftover": own * second,
            "noise": 0.8**3 * noise,
            "weak": 75 * weak * second,
            "confusion": 43.75 * own * first,
        },
    )


@pytest.mark.parametrize(
    ("V", "largest"),
    [(3, 3 / (2 * math.sqrt(math.pi))), (4, 1.02938)],  # expected largest of V standard normals
)
def test_by_hand_with_more_views(V: int, largest: float) -> None:
    data = replace(DATA, n_views=V, n_patches=22, single_other_strength=0.2)
    middle = normal_quantile(0.84 ** (1 / 5)) - normal_quantile(0.16 ** (1 / 5))
    # The mean of the V - 1 others lies the largest one's lead / (V - 1) below.
    first, second, noise = blom(5), blom(5) - middle / 2 * largest / (V - 1), blom(110)
    own, weak = 2 * 2.18912 / 2**4, 0.00992
    assert_pulls(
        pulls(data, LEARNER, N),
        {
            "own": 100 * own * first**2,
            "leftover": 2 / V * own * second**2,  # two single-view samples show one of V views
            "noise": 0.8**4 * noise**2,
            "weak": 75 * weak * second**2,
            "confusion": 100 * (1 - (3 / 4) ** V) * own * first**2,  # one of V views is there
        },
    )


def test_a_strength_that_does_not_vary() -> None:
    fixed = replace(DATA, own_strength=(1.2, 1.2), multi_other_strength=(0.3, 0.3))
    narrow = replace(DATA, own_strength=(1.2, 1.2001), multi_other_strength=(0.3, 0.3001))
    got = pulls(fixed, LEARNER, N)
    assert got.own == pytest.approx(100 * 2 * 1.2**4 / 2**4 * blom(5) ** 2)
    # z differs by less than 1e-3 of itself, z^4 by four times that.
    assert astuple(got) == pytest.approx(astuple(pulls(narrow, LEARNER, N)), rel=4e-3)


def test_more_samples_at_as_many_single_view_ones() -> None:
    """The book: with N_s / k held, only the rates of views in multi-view data grow, as N."""
    few, many = (pulls(replace(DATA, single_view_fraction=8 / n), LEARNER, n) for n in (N, 3 * N))
    for name in ("own", "weak", "confusion"):
        assert getattr(many, name) == pytest.approx(3 * getattr(few, name))
    for name in ("leftover", "noise"):
        assert getattr(many, name) == pytest.approx(getattr(few, name))


@pytest.mark.parametrize("power", [3, 4, 5])
def test_noise_grows_as_its_norm_to_the_power_q(power: int) -> None:
    learner = replace(LEARNER, power=power)
    weak, strong = (pulls(replace(DATA, noise_std=std), learner, N) for std in (0.05, 0.1))
    assert strong.noise == pytest.approx(2**power * weak.noise)
    # nu = sigma_p sqrt(d): four times the dimensions, twice the norm.
    assert pulls(replace(DATA, dim=256), learner, N).noise == pytest.approx(2**power * strong.noise)
    for name in ("own", "leftover", "weak", "confusion"):
        assert getattr(strong, name) == getattr(weak, name)


def test_a_view_in_more_patches_is_pulled_less() -> None:
    one, four = (pulls(replace(DATA, patches_per_view=c, n_patches=24), LEARNER, N) for c in (1, 4))
    assert four.own == pytest.approx(one.own / 4**3)  # C z^q / C^q
    assert four.leftover == pytest.approx(one.leftover / 4**3)
    assert four.weak == one.weak


def test_the_room_that_the_book_has() -> None:
    """Memorising is faster than the left-over samples and slower than all that views teach; weak
    views are learned faster than classes are confused."""
    study = base_study("book")
    rates = pulls(study.data, study.learner, study.n_train)
    assert rates.leftover < rates.noise < rates.confusion < min(rates.weak, rates.own)
    # Half the samples, N_s / k held: the weak views are no longer far ahead of the noise.
    mu = 2 * study.data.single_view_fraction
    half = pulls(replace(study.data, single_view_fraction=mu), study.learner, study.n_train // 2)
    assert half.noise == pytest.approx(rates.noise)
    assert half.weak / half.noise == pytest.approx(rates.weak / rates.noise / 2)


def largest_of(n: int, draws: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    values = torch.randn(draws, n, generator=generator, dtype=torch.float64)
    return values.amax(dim=1)


@pytest.mark.parametrize("n", [5, 7, 10, 50, 200])  # m of the book's settings; P m are larger
def test_typical_largest_values(n: int) -> None:
    largest = largest_of(n, 40_000)
    # Monte Carlo: sd below .7 over 40,000 draws, .0035; Blom's formula errs by .015 at n = 5, the
    # rule for the smaller one by another .007.  Together below .03.
    assert _largest(n) == pytest.approx(largest.mean().item(), abs=0.03)
    smaller = torch.minimum(*largest.view(2, -1)).mean().item()
    assert _largest(n) - _behind(2) * _spread(n) == pytest.approx(smaller, abs=0.03)
    # Quantiles of the largest of n are exact: those of one at p^(1/n).  Density there above .25:
    # sd below sqrt(.16 * .84 / 40,000) / .25 = .0074 each, .0052 for half the difference; four.
    low, high = largest.quantile(torch.tensor([0.16, 0.84], dtype=torch.float64)).tolist()
    assert _spread(n) == pytest.approx((high - low) / 2, abs=0.021)


def test_bad_input() -> None:
    with pytest.raises(BadInput, match=r"power \(q\) = 2 must be an integer >= 3"):
        pulls(DATA, replace(LEARNER, power=2), N)
    with pytest.raises(BadInput, match=r"n_train \(N\) = 0 must be an integer >= 1"):
        pulls(DATA, LEARNER, 0)
    with pytest.raises(BadInput, match=r"n_neurons \(m\) = 1 must be an integer >= 2"):
        pulls(DATA, replace(LEARNER, n_neurons=1), N)
