"""Sets, studies and findings on photographs: on scikit-learn's digits, with tiny networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked

from mvlib.core.checks import BadInput
from mvlib.deep.image_networks import (
    Epochs,
    ResidualNet,
    image_outputs,
    init_network,
    lower,
    train_together,
)
from mvlib.deep.image_sets import (
    ImageData,
    augmented,
    image_sets,
    join_halves,
    missing_halves,
    noisy_labels,
    only_half,
)
from mvlib.experiments import images as image_experiments
from mvlib.experiments.images import (
    image_families,
    image_size,
    image_study,
    residual_study,
)
from mvlib.experiments.settings import SCALES, Experiment
from mvlib.run.sweep import run_experiment
from mvlib.store.entries import Store
from mvlib.studies import images
from mvlib.studies.image_inside import (
    InsideStudy,
    favourites,
    fitted_readout,
    kept_channels,
    occlusion,
    run_inside,
)
from mvlib.studies.image_kernels import ROWS, ImageKernelStudy, run_image_kernels
from mvlib.studies.image_views import ViewStudy, run_views
from mvlib.studies.images import (
    ImageStudy,
    _lessons,
    image_steps,
    learner_errors,
    outputs_of,
    run_image_study,
    trained_learners,
)
from mvlib.studies.teachers import CONTROLS

pytest.importorskip("sklearn")

DATA = ImageData(dataset="digits", n_train=30, n_test=40, draw=1)
STUDY = ImageStudy(data=DATA, width=2, schedule=Epochs(epochs=4, batch=10, step_size=0.01),
                   n_learners=2, first_seed=3)  # fmt: skip
KERNELS = ImageKernelStudy(data=DATA, features="convolution", width=2, n_seeds=3, n_students=2,
                           first_seed=0, diag_reg=1e-2)  # fmt: skip
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def single() -> Arrays:
    return run_image_study(STUDY)


# ---------------------------------------------------------------- sets


def test_training_sets_are_balanced_and_nested() -> None:
    small, large = (image_sets(replace(DATA, n_train=n)) for n in (20, 35))
    assert torch.bincount(small.y).tolist() == [2] * 10
    assert torch.bincount(large.y).tolist() == [4] * 5 + [3] * 5
    assert float(small.X.mean()) == pytest.approx(0, abs=1e-5)
    assert float(small.X.std()) == pytest.approx(1, abs=1e-5)
    other = image_sets(replace(DATA, n_train=20, draw=2))
    assert not torch.equal(other.X, small.X) and torch.equal(other.y_test, small.y_test)


def test_settings_are_chosen_on_images_that_nobody_trains_on() -> None:
    everything = image_sets(replace(DATA, n_train=900))
    explored = image_sets(replace(DATA, n_train=900, explore=True, n_test=200))
    distance = torch.cdist(explored.X_test.flatten(1), everything.X.flatten(1))
    assert float(distance.min()) > 0.1
    assert not torch.equal(explored.y_test[:40], image_sets(DATA).y_test)


def test_noise_is_exact_and_nested() -> None:
    y = torch.arange(50) % 5
    some, more = (noisy_labels(y, share, n_classes=5, seed=0) for share in (0.1, 0.3))
    assert int((some != y).sum()) == 5 and int((more != y).sum()) == 15
    assert bool((more[some != y] == some[some != y]).all())
    assert torch.equal(noisy_labels(y, 0.0, n_classes=5, seed=0), y)


def test_halves() -> None:
    X = torch.arange(1.0, 8 * 4 * 6 + 1).view(8, 1, 4, 6)
    y = torch.tensor([0] * 4 + [1] * 4)
    left = only_half(X, "left only")
    assert bool((left[..., 3:] == 0).all()) and torch.equal(left[..., :3], X[..., :3])
    made = missing_halves(X, y, 0.5, seed=0)
    lost_right = (made[..., 3:] == 0).all(dim=(1, 2, 3))
    lost_left = (made[..., :3] == 0).all(dim=(1, 2, 3))
    for label in (0, 1):
        assert int(lost_left[y == label].sum()) == int(lost_right[y == label].sum()) == 1
    more = missing_halves(X, y, 1.0, seed=0)
    assert torch.equal(more[lost_left | lost_right], made[lost_left | lost_right])


def test_joined_halves_come_from_the_same_class() -> None:
    X = torch.arange(6.0)[:, None, None, None].expand(6, 1, 2, 4).clone()
    y = torch.tensor([0, 0, 0, 0, 1, 1])
    made = join_halves(X, y, seed=0, name="train")
    assert torch.equal(made[..., :2], X[..., :2])
    partner = made[:, 0, 0, 2].long()
    assert torch.equal(y[partner], y) and sorted(partner.tolist()) == list(range(6))
    assert not bool((partner == torch.arange(6)).any())


def test_augmented_images_are_flipped_and_shifted() -> None:
    """Each copy is one of the 50 that flips and shifts by two pixels can make; the first is the
    image as it is."""
    plain, sets = image_sets(DATA), image_sets(replace(DATA, copies=3))
    assert torch.equal(sets.X[:30], plain.X) and torch.equal(sets.X_test, plain.X_test)
    assert sets.y.tolist() == plain.y.tolist() * 3 == sets.true_y.tolist()
    edge = nnf.pad(plain.X, [2, 2, 2, 2], mode="replicate")
    windows = edge.unfold(2, 16, 1).unfold(3, 16, 1).flatten(2, 3)[:, 0]  # (30, 25, 16, 16)
    possible = torch.cat([windows, windows.flip(3)], dim=1)
    # A flipped image moves after it is flipped: the same set of windows, since shifts are even.
    seen = set()
    for i, one in enumerate(sets.X[30:]):
        same = (possible[i % 30] == one[0]).all(dim=(1, 2))
        assert bool(same.any())
        seen.add(int(same.nonzero()[0]))
    assert len(seen) > 25, "of 60 draws from 50 one expects 35"
    assert not torch.equal(sets.X[30:60], sets.X[60:])
    assert torch.equal(image_sets(replace(DATA, copies=2)).X, sets.X[:60]), "copies are nested"
    with pytest.raises(BadInput, match=r"^side .*= 2 must be > 2.*\.$"):
        augmented(torch.zeros(3, 1, 2, 2), torch.Generator())


BAD_DATA: list[tuple[str, Any]] = [
    ("dataset", "mnist"), ("n_train", 9), ("n_test", 0), ("draw", -1), ("label_noise", 1.1),
    ("single_view_fraction", -0.1), ("two_photographs", 1), ("explore", "no"),
    ("copies", 0),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_DATA)
def test_bad_data(field: str, value: Any) -> None:
    with unchecked(), pytest.raises(BadInput, match=rf"^{field} .*must .*\.$"):
        replace(DATA, **{field: value})


def test_too_many_images() -> None:
    with pytest.raises(BadInput, match=r"^n_train \(N\) = 5000 must ask for 1 to \d+ images"):
        image_sets(replace(DATA, n_train=5000))
    with pytest.raises(BadInput, match=r"^n_test \(n\) = 5000 must be <= 449"):
        image_sets(replace(DATA, n_test=5000))


# ---------------------------------------------------------------- networks and students


def test_learners_do_not_depend_on_each_other(single: Arrays) -> None:
    alone = run_image_study(replace(STUDY, n_learners=1, first_seed=4))
    assert np.array_equal(alone["train_outputs"][0], single["train_outputs"][1])
    assert np.array_equal(alone["wrong"][0], single["wrong"][1])
    assert single["wrong"].shape == (2, 40) and single["train_outputs"].shape == (2, 30, 10)


def test_outputs_on_many_images_are_kept_in_half_precision(
    single: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "HALF", 30)
    found = run_image_study(STUDY)
    assert found["train_outputs"].dtype == np.float16 and single["train_outputs"].dtype == "float32"
    # Eleven bits: a relative error of at most 2^-11.
    assert np.allclose(found["train_outputs"], single["train_outputs"], rtol=2**-11, atol=1e-7)
    taught = replace(STUDY, target="average", teacher=STUDY, first_seed=8, n_learners=1)
    outputs = run_image_study(taught, teacher_outputs=found["train_outputs"])
    assert outputs["wrong"].shape == (1, 40)


def test_members_of_a_learner_are_networks_of_their_own() -> None:
    sets = image_sets(DATA)
    study = replace(STUDY, n_learners=1, members=2, schedule=Epochs(epochs=1, batch=10))
    ((a, b),) = trained_learners(study, sets)
    net = ResidualNet(n_classes=10, channels=1, side=16, width=2)
    starts = [init_network(seed, net) for seed in (3000, 3001)]
    expected = train_together(starts, sets.X, sets.y, study.schedule, seed=3)
    assert all(torch.equal(a[k], expected[0][k]) and torch.equal(b[k], expected[1][k]) for k in a)
    found = run_image_study(study)["train_outputs"][0]
    mean = sum(image_outputs(W, sets.X) for W in (a, b)) / 2
    assert np.allclose(found, mean, atol=1e-5)  # float32, in other blocks


def test_what_is_reported_of_outputs_by_hand() -> None:
    """Two learners, two inputs of class 0; p = softmax gives (3/4, 1/4) and (1/4, 3/4)."""
    a = float(np.log(3.0))
    outputs = torch.tensor([[[a, 0.0], [0.0, a]], [[a, 0.0], [3 * a, 0.0]]])
    found = learner_errors(outputs, torch.tensor([0, 0]))
    assert found["wrong"].tolist() == [[False, True], [False, False]]
    assert found["ensemble_wrong"].tolist() == [False, False]  # (1.5 a, .5 a) on the second
    p = outputs.softmax(dim=-1)
    y = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert found["squared_error"][0] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2)
    split = float(found["squared_bias"] + found["variance"])
    assert split == pytest.approx(float((p - y).square().sum(-1).mean()), rel=1e-6)
    assert found["size_curve"][:, 0].tolist() == [0.5, 0.0]
    assert found["cross_entropy"][0] == pytest.approx(-np.log(0.75 * 0.25) / 2)


def test_students_match_their_own_teacher(single: Arrays) -> None:
    """A student of one network, trained on, comes nearer to it than to the other."""
    long = replace(STUDY, schedule=Epochs(epochs=60, batch=10, step_size=0.01), first_seed=8)
    study = replace(long, target="each", teacher=STUDY, temperature=1.0)
    found = run_image_study(study, teacher_outputs=single["train_outputs"])
    p, q = (torch.tensor(a["train_outputs"]).softmax(-1) for a in (found, single))
    distance = (p[:, None] - q[None]).square().sum(dim=(2, 3))
    # A copy of its teacher has ratio 0; a learner that nobody taught has 1.
    assert bool((distance.diagonal() < 0.5 * distance.flip(1).diagonal()).all())


def test_distillation_sees_the_teacher_alone(single: Arrays) -> None:
    study = replace(STUDY, target="average", teacher=STUDY, first_seed=8, n_learners=1)
    found = run_image_study(study, teacher_outputs=single["train_outputs"])
    again = run_image_study(
        study, teacher_outputs=single["train_outputs"].mean(axis=0, keepdims=True)[[0, 0]]
    )
    assert np.allclose(found["train_outputs"], again["train_outputs"], atol=1e-5)
    with pytest.raises(
        BadInput, match=r"^teacher_outputs \(G\) = None must have shape \(2, 30, 10"
    ):
        run_image_study(study)


def test_controls_are_taught_without_knowledge(single: Arrays) -> None:
    """What trains them, by hand: the softmax at temperature 4 of what replaces the mean."""
    sets, T = image_sets(DATA), 4.0
    G, y = torch.tensor(single["train_outputs"]).mean(dim=0), sets.y
    own = torch.zeros_like(G).bool()
    own[torch.arange(30), y] = True
    hard = own.float()
    level = torch.where(own, G[own].mean(), G[~own].mean())
    soft = {}
    for target in CONTROLS:
        study = replace(STUDY, target=target, teacher=STUDY, n_learners=1)
        (found, _), *_ = _lessons(study, sets, single["train_outputs"])
        soft[target] = found
    torch.testing.assert_close(soft["one-hot"], hard)
    torch.testing.assert_close(soft["smoothed"], (level / T).softmax(dim=1))
    plain = (G / T).softmax(dim=1)
    assert not torch.equal(soft["shuffled"], plain)
    for i in range(10):  # the same rows within each class
        some, dealt = plain[y == i], soft["shuffled"][y == i]
        assert {tuple(row) for row in some.tolist()} == {tuple(row) for row in dealt.tolist()}


def test_students_see_the_teachers_outputs_on_the_same_augmented_images() -> None:
    data = replace(DATA, copies=3)
    teacher = replace(STUDY, data=data, normalisation="batch")
    found = run_image_study(teacher)
    assert found["train_outputs"].shape == (1, 90, 10) and found["train_error"].shape == (2,)
    sets = image_sets(data)
    learners = trained_learners(teacher, sets)
    mean = outputs_of(learners, sets.X).mean(dim=0)
    fit = (image_outputs(learners[0][0], sets.X[:30]).argmax(dim=1) == sets.y[:30]).float().mean()
    assert found["train_error"][0] == pytest.approx(1 - float(fit)), "images as they are"
    student = replace(teacher, target="average", teacher=teacher, n_learners=1, first_seed=8)
    assert image_steps(student) == 4 * 9, "batches of ten"
    ((soft, _),) = _lessons(student, sets, found["train_outputs"])
    # float32, in other blocks.
    torch.testing.assert_close(soft, (mean / 4).softmax(dim=1), rtol=1e-5, atol=1e-6)
    with pytest.raises(BadInput, match=r"^copies .*= 3 must be 1"):
        replace(student, target="each")


def test_noise_is_what_is_fitted() -> None:
    study = replace(STUDY, data=replace(DATA, label_noise=0.5), n_learners=1, width=4,
                    schedule=Epochs(epochs=80, batch=10, step_size=0.01))  # fmt: skip
    found = run_image_study(study)
    assert found["train_error"][0] == 0 and found["true_train_error"][0] == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "labels", "teacher": STUDY}, "^teacher"),
        ({"target": "average"}, "^teacher"),
        ({"target": "each", "teacher": STUDY, "n_learners": 3}, r"^n_learners .*<= 2"),
        ({"target": "each", "teacher": replace(STUDY, data=replace(DATA, draw=5))}, "^teacher"),
        ({"target": "hard"}, "^target"),
        ({"members": 0}, "^members"),
        ({"temperature": 0.0}, "^temperature"),
        ({"normalisation": "layer"}, "^normalisation .*'layer' must be one of"),
    ],
)
def test_bad_studies(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        replace(STUDY, **changes)


SHORT = replace(STUDY, n_learners=1, schedule=Epochs(epochs=1, batch=10))
KINDS = [
    (run_image_study, SHORT, image_steps(SHORT)),
    (run_views, ViewStudy(base=SHORT), image_steps(SHORT)),
    (run_inside, InsideStudy(base=SHORT, deleted=(), n_heat=1, patch=9, stride=9, n_channels=1),
     image_steps(SHORT)),
    (run_image_kernels, KERNELS, 3 + 2),
]  # fmt: skip


@pytest.mark.parametrize(("run", "study", "steps"), KINDS, ids=lambda value: type(value).__name__)
def test_every_kind_tells_its_progress_to_the_end(run: Any, study: Any, steps: int) -> None:
    seen: list[tuple[int, float]] = []
    run(study, progress=lambda step, left: seen.append((step, left)), device="cpu")
    assert [step for step, _ in seen] == list(range(1, steps + 1))
    shares = [left for _, left in seen]
    assert shares == sorted(shares, reverse=True) and shares[-1] == 0


def test_the_store_finds_a_teacher(tmp_path: Path) -> None:
    teacher = Experiment(name="t", scale="smoke", label="a", study=replace(STUDY, n_learners=1))
    assert isinstance(teacher.study, ImageStudy)
    study = replace(teacher.study, target="average", teacher=teacher.study, first_seed=9)
    taught = Experiment(name="s", scale="smoke", label="b", study=study, teacher=teacher)
    store = Store(tmp_path)
    found = run_experiment(taught, store)
    assert {key.split("/")[0] for key in store.read} == {"t", "s"}
    taught_by_hand = run_image_study(
        study, teacher_outputs=run_image_study(teacher.study)["train_outputs"]
    )
    assert np.array_equal(found["train_outputs"], taught_by_hand["train_outputs"])


# ---------------------------------------------------------------- views and insides


def test_views_are_tested_half_by_half() -> None:
    base = replace(STUDY, schedule=Epochs(epochs=40, batch=10, step_size=0.01))
    study = ViewStudy(base=replace(base, data=replace(DATA, single_view_fraction=0.2)))
    found = run_views(study)
    assert found["wrong"].shape == (3, 2, 40) and found["ensemble_wrong"].shape == (3, 40)
    whole = run_image_study(study.base)
    assert np.array_equal(found["wrong"][0], whole["wrong"])
    assert found["wrong"][1:].mean() > found["wrong"][0].mean()


def test_deleted_channels_by_hand() -> None:
    scores = torch.tensor([[0.0, 2.0], [5.0, 1.0], [1.0, 9.0], [3.0, 1.0]])  # owners 1, 0, 1, 0
    kept = kept_channels(scores, 0.5, "by class", seed=0)
    assert kept.tolist() == [True, False, True, False]
    assert kept_channels(scores, 0.0, "random", seed=0).all()
    half, most = (kept_channels(scores, share, "random", seed=1) for share in (0.5, 0.75))
    assert int(half.sum()) == 2 and int(most.sum()) == 1 and bool(half[most].all())


def test_a_refitted_readout_solves_its_equations() -> None:
    H = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    y = torch.eye(5)[:, :2]
    # Ridge regression in its other form, over features: (H'H + r) w = H'y with r a thousandth of
    # the mean square norm of an image.
    A, ridge = H.double().numpy(), 1e-3 * float(H.double().square().sum(dim=1).mean())
    expected = np.linalg.solve(A.T @ A + ridge * np.eye(9), A.T @ y.double().numpy())
    # Solved in float64 and rounded to float32; the weights are of order .1.
    assert fitted_readout(H, y).numpy() == pytest.approx(expected, abs=1e-6)


def test_covering_what_a_network_does_not_see_costs_nothing() -> None:
    net = ResidualNet(n_classes=3, channels=1, side=8, width=2)
    W = init_network(0, net)
    X, y = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2])
    X[:, :, :4] = 0  # grey already
    heat = occlusion(W, X, y, patch=2, stride=2)
    assert heat.shape == (2, 4, 4)
    assert float(heat[:, :2].abs().max()) == 0 and float(heat[:, 2:].abs().max()) > 0
    covered = X.clone()
    covered[:, :, 6:, 2:4] = 0
    loss = [image_outputs(W, x).log_softmax(1)[[0, 1], y] for x in (X, covered)]
    assert torch.allclose(heat[:, 3, 1], loss[0] - loss[1], atol=1e-6)
    with pytest.raises(BadInput, match=r"^patch .*<= 8"):
        occlusion(W, X, y, patch=9, stride=1)


def test_favourites_excite_their_channel() -> None:
    W = init_network(0, ResidualNet(n_classes=3, channels=1, side=8, width=2))
    found = favourites(W, [1, 3], shape=(1, 8, 8), seed=0)
    noise = torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for image, channel in zip(found, (1, 3), strict=True):
        # Brought to this norm in the last step, which is not one of those that smooth: float32.
        assert float(image.square().mean()) == pytest.approx(1, abs=1e-5)
        answers = lower(W, noise)[:, channel].mean(dim=(1, 2))
        assert float(lower(W, image[None])[0, channel].mean()) > float(answers.max())


def test_inside_at_share_0_is_the_network() -> None:
    study = InsideStudy(base=STUDY, deleted=(0.5,), n_heat=2, patch=6, stride=5, n_channels=1)
    found = run_inside(study)
    errors = run_image_study(STUDY)["wrong"].mean(axis=1)
    for way in (0, 1):
        assert found["as_trained_error"][way, 0] == pytest.approx(errors, abs=1e-6)
    assert found["heat"].shape == (2, 2, 3, 3) and found["favourites"].shape == (1, 1, 16, 16)
    assert found["refitted_error"].shape == (2, 2, 2)
    with pytest.raises(BadInput, match=r"^patch .* = 17 must be <= 16"):
        run_inside(replace(study, patch=17), progress=lambda *_: pytest.fail("it trained"))
    with pytest.raises(BadInput, match="^deleted"):
        replace(study, deleted=(1.0,))
    with pytest.raises(BadInput, match="^n_channels .*<= 4"):
        replace(study, n_channels=5)


# ---------------------------------------------------------------- kernels


@pytest.mark.parametrize("features", ["tangent", "convolution"])
def test_kernel_rows(features: str) -> None:
    study = replace(KERNELS, features=features)
    found = run_image_kernels(study)
    assert {name.removesuffix("_wrong") for name in found} >= set(ROWS)
    shapes = {row: found[f"{row}_wrong"].shape for row in ROWS}
    assert shapes == {"single": (3, 40), "ensemble": (1, 40), "average": (1, 40),
                      "distilled": (2, 40), "self_distilled": (2, 40),
                      "hard_student": (2, 40)}  # fmt: skip
    # The third map alone is the first student on the labels of a study of two.
    other = run_image_kernels(replace(study, n_seeds=2, n_students=1))
    assert np.array_equal(found["single_wrong"][2], other["hard_student_wrong"][0])
    assert found["single_wrong"].mean() < 0.8  # guessing: .9, known to .027


# ---------------------------------------------------------------- configurations


@pytest.mark.parametrize("scale", SCALES)
def test_configurations(scale: str) -> None:
    for studies in image_families(scale).values():
        for configured in studies.values():
            study = getattr(configured, "base", configured)
            assert study.data.draw >= 10 and not study.data.explore
            assert study.first_seed >= 10


def test_normalised_networks_take_as_many_steps_and_differ_in_nothing_else() -> None:
    plain, other = image_study("book"), residual_study("book")
    assert image_steps(plain) == image_steps(other)
    assert (other.normalisation, other.data.copies) == ("batch", 5)
    assert plain == replace(
        other, normalisation="none", schedule=plain.schedule, data=replace(other.data, copies=1)
    )


def test_smoke_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, dataset in ((True, "fashion-mnist"), (False, "digits")):
        monkeypatch.setattr(image_experiments, "here", lambda name, there=there: there)
        assert image_size("smoke").dataset == dataset
        assert image_size("book").dataset == "fashion-mnist"
