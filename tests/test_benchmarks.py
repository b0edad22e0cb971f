"""The benchmarks compare like with like, and keep what they are asked to keep.

Nothing here looks at how long anything takes: that is the machine's.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toys import TEACHER

import contenders
import largest
import matmul
import peak_memory
import report
import rounds
import run
import scaling
import tried
import whole_study
from contenders import Contender, Problem
from fits import MEMORY_TERMS, TIME_TERMS, fit_cost
from mvlib.experiments.settings import Experiment
from mvlib.paper.network import LearnerParams
from mvlib.run.cost import CostModel, Shape, predict_seconds
from mvlib.store.entries import Store

# Sums over 288 patches in double precision, in another order; a factor or a term that is wrong
# changes an update by a share of itself.
ROUNDING = 1e-11
FIRST = (
    "share_of_matmul", "share_of_matmul_float32", "over_loop", "over_torch_func", "over_jax",
    "over_loop_autocast", "over_jax_bf16", "study_over_float32", "extra_memory_mb",
    "data_mb_over_float32", "reproduce_minutes",
)  # fmt: skip
NO_RATIOS = FIRST[-3:]


@pytest.fixture(scope="module", params=[4, 3], ids=lambda q: f"q={q}")
def given(request: pytest.FixtureRequest) -> Problem:
    """A problem in double precision in which every piece of the smoothed ReLU is in use."""
    learner = LearnerParams(n_neurons=3, power=request.param, threshold=0.1, init_std=0.1)
    return contenders.problem(replace(TEACHER, learner=learner), dtype=torch.float64)


def assert_same_update(given: Problem, contender: Contender) -> None:
    reference = contenders.mvlib_train(given).updated()
    assert contenders.disagreement(given, contender.updated(), reference) < ROUNDING
    assert contender.seconds() > 0
    # Timing leaves nothing behind: the next update starts from the same weights.
    assert contenders.disagreement(given, contender.updated(), reference) < ROUNDING


def test_the_problem_uses_all_of_the_activation(given: Problem) -> None:
    z = torch.einsum("npd,skmd->npskm", given.X, given.W)
    assert bool((z < 0).any()) and bool((z > given.learner.threshold).any())
    moved = contenders.mvlib_train(given).updated() - given.W
    # A step as long as the weights, so that they show whether gradients agree.
    assert float(moved.abs().max()) == pytest.approx(float(given.W.abs().max()))


@pytest.mark.parametrize("tuned", [False, True])
def test_a_loop_over_modules_does_the_same(given: Problem, tuned: bool) -> None:
    assert_same_update(given, contenders.module_loop(given, tuned=tuned))


@pytest.mark.parametrize("tuned", [False, True])
def test_torch_func_does_the_same(given: Problem, tuned: bool) -> None:
    assert_same_update(given, contenders.torch_func(given, tuned=tuned))


def test_jax_does_the_same(given: Problem) -> None:
    if reason := contenders.jax_missing():
        pytest.skip(reason)
    with contenders.jax_grad(given) as contender:
        assert_same_update(given, contender)


@pytest.mark.parametrize("share", [0.001, 0.02])
def test_other_work_would_be_noticed(given: Problem, share: float) -> None:
    reference = contenders.mvlib_train(given).updated()
    shorter = contenders.module_loop(replace(given, eta=(1 - share) * given.eta)).updated()
    # 2% less of an update is 2% of it away.
    gap = contenders.disagreement(given, shorter, reference)
    assert gap == pytest.approx(share) and gap > run.AGREEMENT["float32"]
    assert (gap > run.AGREEMENT["bfloat16"]) == (share == 0.02)


@pytest.fixture(scope="module")
def rounded() -> Problem:
    """A problem in bfloat16 in which every piece of the smoothed ReLU is in use."""
    learner = LearnerParams(n_neurons=3, threshold=0.1, init_std=0.1, precision="bfloat16")
    return contenders.problem(replace(TEACHER, learner=learner))


def assert_rounds(rounded: Problem, contender: Contender) -> None:
    assert rounded.X.dtype == torch.bfloat16
    exact = replace(
        rounded, W=rounded.W.double(), X=rounded.X.double(),
        learner=replace(rounded.learner, precision="float32"),
    )  # fmt: skip
    reference = contenders.mvlib_train(exact).updated()
    updated = contender.updated()
    assert updated.dtype == torch.float32  # master weights
    gap = contenders.disagreement(exact, updated.double(), reference)
    # Single precision would be within 1e-6.
    assert 1e-5 < gap < run.AGREEMENT["bfloat16"]
    assert contender.seconds() > 0


def test_in_bfloat16_mvlib_and_the_loop_round(rounded: Problem) -> None:
    assert_rounds(rounded, contenders.mvlib_train(rounded))
    for tuned in (False, True):
        assert_rounds(rounded, contenders.module_loop(rounded, tuned=tuned))


def test_in_bfloat16_jax_rounds(rounded: Problem) -> None:
    if reason := contenders.jax_missing():
        pytest.skip(reason)
    with contenders.jax_grad(rounded) as contender:
        assert_rounds(rounded, contender)


def test_in_bfloat16_the_yardsticks_multiply_in_it(rounded: Problem) -> None:
    multiplied: list[Any] = []

    def plain(W: torch.Tensor, X: torch.Tensor) -> Any:
        multiplied.extend([W.dtype, X.dtype, matmul_plain(W, X)().dtype])
        return matmul_plain(W, X)

    matmul_plain = matmul.plain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "plain", plain)
        names = matmul.yardsticks(rounded.W, rounded.X)
    assert multiplied == [torch.bfloat16] * 3 and len(names) == 2


def test_a_contender_that_does_other_work_is_not_timed(
    given: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "jax_missing", lambda: "not today")
    lazy = Contender(lambda: 1.0, lambda: given.W)
    monkeypatch.setattr(run, "torch_func", lambda given, **_: lazy)
    with pytest.raises(ValueError, match=r"^torch\.func's update in float32 is 1 of its length"):
        run.race({"float32": given}, 1)


def test_a_step_is_timed_from_report_to_report(
    given: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set-up and first pass take until 100, the last pass until 1000: neither is a step.
    clock = iter([100.0, 103.0, 107.0, 1000.0])
    monkeypatch.setattr(contenders, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert contenders.step_seconds(given) == (107 - 100) / 2


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("size", [1, 7, 96, 288])
def test_yardsticks_multiply_all_of_it(size: int, transposed: bool, given: Problem) -> None:
    X, W = given.X.reshape(-1, given.X.shape[-1]), given.W.reshape(-1, given.W.shape[-1])
    assert len(X) == 288
    products = matmul.blocked(given.W, given.X, size, transposed=transposed)
    for _ in range(2):  # the second time the buffers are not new
        # Sums in another order.
        torch.testing.assert_close(products(), (X @ W.T).T @ X, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(
            matmul.plain(given.W, given.X)(), (X @ W.T).T @ X, rtol=1e-11, atol=1e-13
        )


def test_contenders_take_turns_and_none_always_goes_first() -> None:
    order: list[str] = []

    def contender(name: str) -> rounds.Seconds:
        return lambda: float(order.append(name) or len(order))

    seconds = rounds.interleave({name: contender(name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert seconds == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_ratios_are_taken_round_by_round() -> None:
    # A machine that was slow in the third round: the ratio of the medians would be 4.
    found = rounds.ratio([1.0, 10.0, 4.0], [1.0, 1.0, 4.0])
    assert found == rounds.Ratio(median=1.0, quartiles=(1.0, 5.5), range=(1.0, 10.0), rounds=3)
    assert rounds.ratio([3.0], [2.0]).range == (1.5, 1.5)


def test_memory_of_training_is_measured() -> None:
    # 10 networks' scores on 20 000 inputs are 8 MB, and training returns them; patches and
    # weights are a few kilobytes.
    shape = Shape(n_train=20_000, n_patches=1, dim=2, n_classes=10, n_neurons=1, n_networks=10)
    found = peak_memory.extra_bytes(shape, repeatable=True)
    assert 8e6 <= found < 200e6


def test_memory_cannot_be_measured_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peak_memory, "PROC", tmp_path)
    reasons: dict[str, str] = {}
    assert run.memory_by_shape(TEACHER, reasons) == []
    assert reasons["extra_memory_mb"].startswith("peak memory is read from /proc")


def test_a_record_has_every_measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes: list[Shape] = []
    monkeypatch.setattr(run, "extra_bytes", lambda shape: sizes.append(shape) or 1e6 * len(sizes))
    monkeypatch.setattr(run, "jax_missing", lambda: "jax is elsewhere")
    monkeypatch.setattr(run, "STORE", Store(tmp_path / "empty"))
    monkeypatch.setattr(run, "experiments", lambda scale: [TOY])
    record = run.measure(TEACHER, rounds=2, note="a toy")
    assert tuple(record) == (*FIRST, "details")
    reasons = record["details"]["reasons"]
    assert {key for key in FIRST if record[key] is None} == reasons.keys()
    assert reasons["over_jax"] == reasons["over_jax_bf16"] == "jax is elsewhere"
    assert reasons["study_over_float32"] == "only the book's own study is measured whole"
    assert "lacks the time of 1 of 1 entries" in reasons["reproduce_minutes"]
    assert record["data_mb_over_float32"] == 0.5
    # 36 samples of 8 patches with 40 numbers.
    assert record["details"]["data_mb"] == {"float32": 0.04608, "bfloat16": 0.02304}
    # The worst of all shapes and runs; among them more samples and more patches than the study's.
    assert record["extra_memory_mb"] == len(sizes) == 8
    assert {(s.n_train, s.n_patches) for s in sizes} == {(36, 8), (144, 8), (36, 32), (4, 320)}
    for key, precision in (("", "bfloat16"), ("_float32", "float32")):
        seconds = record["details"]["seconds"][precision]
        assert all(len(turns) == 2 for turns in seconds.values())
        yards = [turns for name, turns in seconds.items() if "products" in name or "blocks" in name]
        assert len(yards) == 2
        shares = [min(*turns) / own for *turns, own in zip(*yards, seconds["mvlib"], strict=True)]
        assert record[f"share_of_matmul{key}"] == pytest.approx(sum(shares) / 2)  # median of two
    over = [a / b for a, b in zip(seconds["loop"], seconds["mvlib"], strict=True)]
    assert record["over_loop"] == pytest.approx(sum(over) / 2)
    path = tmp_path / "latest.json"
    report.write_atomically(path, record)
    assert json.loads(path.read_text())["details"]["note"] == "a toy"
    assert [p.name for p in tmp_path.iterdir()] == ["latest.json"]


def test_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    with pytest.raises(ValueError, match="JSON compliant"):
        report.write_atomically(path, {"over_loop": math.nan})
    assert list(tmp_path.iterdir()) == []


def just_met() -> dict[str, Any]:
    bounds = {
        key: goal.get("at_least", goal.get("at_most")) for key, goal in report.goals().items()
    }
    return {**bounds, "details": {"date": "today", "reasons": {"over_jax": "no jax"}}}


TEACHER_LIKE_THE_BOOK = run.vary(TEACHER, precision=run.base_study("book").learner.precision)
TOY = Experiment(name="toy", scale="smoke", label="toy", study=TEACHER)


def test_minutes_to_reproduce_come_from_the_store(tmp_path: Path) -> None:
    store, reasons = Store(tmp_path), dict[str, str]()
    other = replace(TOY, study=replace(TEACHER, draw=3))
    for e, seconds, threads in ((TOY, 90.0, 1), (other, 60.0, 2)):
        made_by = {"device": "cpu", "threads": threads, "versions": {}}
        store.save(e.name, e.study, {}, seconds, made_by=made_by)
    # 90 s of one core and 60 s of two: 210 s of one, shared by two.
    assert run.reproduce_minutes([TOY, other], store, reasons) == 210 / 60 / 2 and not reasons
    third = replace(TOY, study=replace(TEACHER, draw=4))
    assert run.reproduce_minutes([TOY, third], store, reasons) is None
    assert "lacks the time of 1 of 2 entries" in reasons["reproduce_minutes"]


def test_the_book_is_measured_whole_before_and_now(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def code_of(revision: str) -> Iterator[Path]:
        yield Path(revision)

    asked: list[Path] = []
    monkeypatch.setattr(run, "code_of", code_of)
    monkeypatch.setattr(run, "study_seconds", lambda code: asked.append(code) or len(asked))
    found = run.whole_studies(run.measured_study("book"), {})
    assert asked.count(Path(run.BEFORE)) == 1 and asked.count(run.ROOT) == 3
    assert found["before"] == [asked.index(Path(run.BEFORE)) + 1]
    monkeypatch.setattr(run, "code_of", whole_study.code_of)
    monkeypatch.setattr(run, "BEFORE", "no-such-revision")
    reasons: dict[str, str] = {}
    assert run.whole_studies(run.measured_study("book"), reasons) == {}
    assert reasons["study_over_float32"].startswith("the code of no-such-revision is not here")


def test_the_code_of_a_revision_is_what_computes() -> None:
    if not (whole_study.ROOT / ".git").exists():
        pytest.skip("no git history")
    with whole_study.code_of("HEAD") as code:
        with (code / "mvlib" / "run" / "computing.py").open("a") as module:
            module.write("\n\ndef carry_out(order):\n    order.seconds = 12.5\n    return order\n")
            module.write("\n\nfrom types import SimpleNamespace as Order\n")
        assert whole_study.study_seconds(code, "smoke") == 12.5
    assert not code.exists()


def test_goals_are_those_of_the_record() -> None:
    assert tuple(report.goals()) == FIRST
    assert report.missed(just_met()) == []
    for key, goal in report.goals().items():
        worse = 0.99 if "at_least" in goal else 1.01
        record = just_met()
        record[key] *= worse
        assert len(report.missed(record)) == 1 and report.missed(record)[0].startswith(f"{key} = ")


def test_check_compares_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "latest.json"
    report.write_atomically(path, just_met() | {"over_jax": None})
    assert run.main(["--check", "--output", str(path)]) == 0
    assert "over_jax was not measured, and need not be: no jax." in capsys.readouterr().out
    absent = just_met() | {"over_loop": None}
    absent["details"]["reasons"]["over_loop"] = "nobody did"
    report.write_atomically(path, absent)
    assert run.main(["--check", "--output", str(path)]) == 1
    assert "over_loop was not measured: nobody did." in capsys.readouterr().out
    report.write_atomically(path, just_met() | {"over_loop": 3.9})
    assert run.main(["--check", "--output", str(path)]) == 1
    assert "over_loop = 3.9 must be >= 4" in capsys.readouterr().out


def test_latest_record_has_every_measure_or_says_why_not() -> None:
    record = json.loads(report.LATEST_PATH.read_text())
    details = record["details"]
    assert {"date", "commit", "cpu", "threads", "versions", "shape", "ratios"} <= details.keys()
    assert details["shape"] == vars_of(run.shape_of(run.measured_study("book")))
    for key in FIRST:
        value = record[key]
        if value is None:
            assert details["reasons"][key]
        else:
            assert math.isfinite(value) and value > 0
            assert key in NO_RATIOS or details["ratios"][key]["median"] == value


def vars_of(shape: Shape) -> dict[str, int]:
    return {name: getattr(shape, name) for name in shape.__dataclass_fields__}


def test_scaling_measures_every_point_and_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    centre = Shape(n_train=8, n_patches=4, dim=10, n_classes=3, n_neurons=2, n_networks=2)
    axes = {"dim": (5, 10, 20), "n_train": (4, 8, 16)}
    corners = tuple(replace(centre, n_train=n, n_networks=S, dim=d)
                    for n, S, d in [(4, 1, 10), (4, 2, 5), (8, 1, 20), (16, 4, 20)])  # fmt: skip
    aside = replace(centre, n_neurons=5, n_train=40, dim=30)
    clock = CostModel(prices={"flops": 1e-9, "once": 1e-6}, worst_error=0, median_error=0, n=0)

    def seconds_by_shape(shapes: list[Shape], rounds: int) -> dict[Shape, list[float]]:
        # Two axes of three with one centre, four corners, one aside.
        assert len(shapes) == len(set(shapes)) == 10 and rounds == 3
        # One turn that was slow is no matter.
        return {s: [predict_seconds(s, clock)] * 2 + [9.0] for s in shapes}

    monkeypatch.setattr(scaling, "seconds_by_shape", seconds_by_shape)
    monkeypatch.setattr(scaling, "extra_bytes", lambda shape, repeatable: 2e7 + shape.dim * 1e6)
    plan = scaling.Plan(centre=centre, axes=axes, corners=corners, held_out=(aside,))
    record = scaling.measure(plan, rounds=3)
    assert {name: axis["sizes"] for name, axis in record["axes"].items()} == {
        name: list(sizes) for name, sizes in axes.items()
    }
    # 4 N P d S k m = 4 * 32 * 12 d flops.
    assert record["axes"]["dim"]["seconds"] == pytest.approx(
        [1e-9 * 1536 * d + 1e-6 for d in (5, 10, 20)]
    )
    assert 0.5 < record["axes"]["dim"]["seconds_law"]["exponent"] < 1
    assert record["precision"] == run.base_study("book").learner.precision
    trial = record["held_out"][0]
    assert trial["shape"] == vars_of(aside)
    assert trial["predicted_seconds"] == pytest.approx(trial["seconds"], rel=1e-6)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert "predicted" in scaling.summary(record)


def test_scaling_times_whole_steps() -> None:
    shape = Shape(n_train=8, n_patches=4, dim=10, n_classes=3, n_neurons=2, n_networks=2)
    seconds = scaling.seconds_by_shape([shape, replace(shape, dim=20)], 2)
    assert all(len(turns) == 2 and min(turns) > 0 for turns in seconds.values())


def test_random_problems_and_the_largest_run_are_in_the_books_precision() -> None:
    study = run.base_study("book")
    small = Shape(n_train=8, n_patches=100, dim=40, n_classes=10, n_neurons=2, n_networks=2)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        made = contenders.random_problem(small, run.vary(study, precision=precision))
        assert made.X.dtype == dtype and made.W.dtype == torch.float32
        # 32000 numbers of variance 1 / d; their mean square varies by .8%.
        assert float(made.X.double().square().mean()) * 40 == pytest.approx(1, abs=0.04)
    size = contenders.problem(TEACHER_LIKE_THE_BOOK).X.element_size()
    assert largest.prediction(small)["data_bytes"] == size * 8 * 100 * 40


def test_axes_go_through_the_centre() -> None:
    for name, sizes in scaling.AXES.items():
        assert getattr(scaling.CENTRE, name) in sizes and len(sizes) >= 4
        assert all(b == 2 * a for a, b in zip(sizes, sizes[1:], strict=False))
    plan = scaling.Plan()
    assert not set(plan.fitted()) & set(plan.held_out)
    # The default plan tells the prices apart, for seconds and for bytes.
    for terms in (TIME_TERMS, MEMORY_TERMS):
        fit_cost(plan.fitted(), [1.0] * len(plan.fitted()), terms)


def test_what_was_tried_computes_the_same(given: Problem) -> None:
    ways = tried.variants(given)
    reference = ways["as kept"]()
    assert len(ways) > 5
    for name, way in ways.items():
        gap = float((way() - reference).norm() / reference.norm())
        assert gap < ROUNDING, name


def test_no_patch_is_all_zero(given: Problem) -> None:
    found = tried.zeros(given)
    assert 0.2 < found["correlations"] < 0.8
    assert found["patches_of_all"] <= found["patches_of_one_network"] < found["correlations"]
