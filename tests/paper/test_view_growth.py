"""Who asks for each view: against the whole gradient, and against loops."""

from itertools import product

import pytest
import torch
from torch import Tensor
from toys import TEACHER

from mvlib.paper.multi_view_data import Sample, feature_vectors, sample, stored
from mvlib.paper.network import ascent_direction, init_weights, logits
from mvlib.paper.objectives import cross_entropy_residual
from mvlib.paper.view_growth import ROLES, growth_by_role, own_scores, roles

DATA, LEARNER = TEACHER.data, TEACHER.learner
# Two blocks of samples, the second a short one, so that both are added up.
N = 260


@pytest.fixture(scope="module")
def drawn() -> Sample:
    return sample(DATA, N, seed=3, name="train")


@pytest.fixture(scope="module")
def weights() -> Tensor:
    """Large enough that some reads pass the threshold."""
    W = init_weights([0, 1], LEARNER, n_classes=3, dim=DATA.dim)
    return W + 0.9 * feature_vectors(DATA, 3).sum(dim=1)[:, None]


def test_every_sample_has_one_role(drawn: Sample) -> None:
    found = roles(drawn)
    assert found.shape == (N, 3, 2, len(ROLES)) and bool((found.sum(dim=-1) == 1).all())
    for n, j, v in product(range(0, N, 7), range(3), range(2)):
        own = int(drawn.labels[n]) == j
        single, shown = bool(drawn.single_view[n]), int(drawn.dominant_view[n]) == v
        visible = float(drawn.strengths[n, j, v]) > 0
        expected = [own and not single, own and single and shown, not own and visible]
        assert found[n, j, v].tolist() == [*expected, not any(expected)]


def test_roles_add_up_to_the_gradient(drawn: Sample, weights: Tensor) -> None:
    views = feature_vectors(DATA, 3)

    def residual(F: Tensor, rows: slice) -> Tensor:
        return cross_entropy_residual(F, drawn.labels[rows])

    found = growth_by_role(weights, features=views, data=drawn, residual=residual, learner=LEARNER)
    ascent = ascent_direction(weights, stored(drawn), residual, LEARNER)
    reads = torch.einsum("skmd,kvd->skvm", weights, views)
    along = torch.einsum("skmd,kvd->skvm", ascent, views)
    expected = along.gather(3, reads.argmax(dim=3, keepdim=True))[..., 0]
    # Sums of some thousand products in single precision, in another order.
    torch.testing.assert_close(found[..., 1].sum(dim=-1), expected, rtol=1e-4, atol=1e-6)
    # What samples of other classes add is against the view, on hard labels.
    assert bool((found[..., 2, 1] < 0).all())


def test_mean_residuals_by_loop(drawn: Sample, weights: Tensor) -> None:
    views = feature_vectors(DATA, 3)
    a = cross_entropy_residual(
        logits(weights, stored(drawn), LEARNER).transpose(0, 1), drawn.labels
    )
    found = growth_by_role(
        weights, features=views, data=drawn, residual=lambda F, rows: a[rows], learner=LEARNER
    )
    where = roles(drawn)
    for s, j, v, role in product(range(2), range(3), range(2), range(len(ROLES))):
        rows = where[:, j, v, role]
        # NaN where there are no such samples.
        torch.testing.assert_close(
            found[s, j, v, role, 0], a[rows, s, j].mean(), rtol=1e-4, atol=1e-6, equal_nan=True
        )


def test_own_scores_add_up_to_the_score(drawn: Sample, weights: Tensor) -> None:
    few = drawn[torch.arange(40)]
    found = own_scores(weights, inputs=few, learner=LEARNER)
    score = logits(weights, stored(few), LEARNER)[:, torch.arange(40), few.labels]
    assert found.shape == (2, 40, 3)
    torch.testing.assert_close(found.sum(dim=2), score, rtol=1e-4, atol=1e-5)
    # The second view's part, one input by hand.
    y, places = int(few.labels[5]), few.view_patches[5, few.labels[5], 1]
    read = stored(few)[5, places] @ weights[1, y].T
    expected = LEARNER.nonlinearity.value(read).sum()
    torch.testing.assert_close(found[1, 5, 1], expected, rtol=1e-4, atol=1e-6)
