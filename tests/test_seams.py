"""What a reader changes, in a file of his own: each example of the page "Run it again, change it"
is short, uses public names alone, runs, and shows what the page says of it."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from shapes import unchecked

import mvlib
from mvlib.experiments.settings import base_study

PAGE = Path(__file__).parents[1] / "book" / "rerun.md"
EXAMPLES = dict(
    re.findall(r"\n\(([\w-]+)\)=\n\*\*.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
)
examples = pytest.mark.parametrize("label", EXAMPLES)
L = 2  # networks, for time
Run = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs an example, once, as the file it would be, in a folder of its own, with few networks."""
    small = replace(base_study("smoke"), n_networks=L, n_test_single=100, n_test_multi=100)
    folder = tmp_path_factory.mktemp("mine")

    @functools.cache
    def run(label: str) -> ModuleType:
        name = label.replace("-", "_")
        path = folder / f"{name}.py"
        path.write_text(EXAMPLES[label], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, name, module)
        # `Experiment.study` is annotated with the library's own kinds alone.
        with contextlib.redirect_stdout(io.StringIO()) as said, unchecked():
            spec.loader.exec_module(module)
        module.__dict__["said"] = said.getvalue()
        return module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mvlib, "base_study", lambda scale: small)
        patch.chdir(folder)
        yield run


@pytest.fixture(scope="module")
def plain(run: Run) -> Mapping[str, np.ndarray]:
    """The same study without any of the changes."""
    return mvlib.run_single_model(usual())


def usual(**changes: object) -> mvlib.SingleModelStudy:
    return replace(mvlib.base_study("smoke"), **changes)  # type: ignore[arg-type]


# -- what the examples are ------------------------------------------------------------------------


def test_every_seam_has_its_example() -> None:
    assert list(EXAMPLES) == [
        "three-views", "own-views", "own-activation", "own-objective", "own-batches", "new-inputs",
        "adam", "own-kind",
    ]  # fmt: skip


@examples
def test_an_example_is_short(label: str) -> None:
    assert len([line for line in EXAMPLES[label].splitlines() if line.strip()]) <= 20


def test_an_example_uses_public_names_alone() -> None:
    for label, text in EXAMPLES.items():
        for said in faults(text):
            pytest.fail(f"{label}: {said}")


def faults(text: str) -> list[str]:
    """Names of the library that are not there, and private names of anybody's."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mvlib"):
            home = importlib.import_module(node.module or "")
            found += [f"{home.__name__}.{n} is not there" for n in names if not hasattr(home, n)]
        if isinstance(node, ast.Attribute):
            names = [node.attr]
            if isinstance(node.value, ast.Name) and node.value.id == "mvlib":
                found += [] if hasattr(mvlib, node.attr) else [f"mvlib.{node.attr} is not there"]
        if isinstance(node, ast.Name):
            names = [node.id]
        found += [f"{n} is private" for n in names if re.search(r"(^|\.)_", n)]
    return found


def test_a_private_name_is_seen() -> None:
    text = "import mvlib._a\nfrom mvlib.core import lost\nmvlib.gone()\nx._y = mvlib.train"
    assert faults(text) == [
        "mvlib._a is private",
        "mvlib.core.lost is not there",
        "_y is private",
        "mvlib.gone is not there",
    ]


# -- what they show (three views: tests/paper/test_three_views.py) ---------------------------------


@pytest.mark.parametrize("label", [label for label in EXAMPLES if label != "three-views"])
def test_what_is_stored_is_another_entry(label: str, run: Run) -> None:
    store = mvlib.Store("nowhere")
    assert store.key("mine", run(label).study) != store.key("mine", usual())


def test_networks_learn_views_that_turn(run: Run) -> None:
    made = run("own-views")
    drawn = mvlib.sample(made.study.data, 50, seed=10, name="train")
    places, strengths = drawn.view_patches[0].flatten(0, 1), drawn.strengths[0].flatten()
    assert isinstance(drawn.patches, torch.Tensor)
    for view, p in ((places >= 0) & (strengths > 0)[:, None]).nonzero().tolist():
        turned = drawn.patches[0, places[view, p]].float()[[view, 8 + view]]
        # Noise of .6 / sqrt(300) = .035 in each of two directions, four times and more.
        each = float(strengths[view]) / int((places[view] >= 0).sum())
        assert float(turned.norm()) == pytest.approx(each, abs=0.2)
    arrays = made.arrays
    assert arrays["fitted"].all() and arrays["multi_error"].max() < 0.05
    # Null: a network that knows both views of each class, or none.
    assert 0.1 < arrays["single_error"].mean() < 0.75


def test_lottery_and_kernels_follow_an_activation(run: Run) -> None:
    made = run("own-activation")
    study, arrays = made.study, made.arrays
    assert arrays["fitted"].all()
    # Null: a guess, right for one class of two; of eight, seven or more are right once in 28.
    assert made.foretold.shape == (L, study.data.n_classes) and made.foretold.sum() >= 7
    drawn = mvlib.sample(study.data, study.n_train, seed=study.draw, name="train")
    features = mvlib.feature_vectors(study.data, study.draw)
    seeds = [1000 * study.draw + r for r in range(L)]
    W0 = mvlib.init_weights(seeds, study.learner, n_classes=study.data.n_classes,
                            dim=study.data.dim)  # fmt: skip
    mine, theirs = (
        mvlib.lottery_winners(W0, features, drawn, learner)
        for learner in (study.learner, usual().learner)
    )
    assert np.array_equal(arrays["winner_margin"], mine.margin.numpy())
    assert not torch.allclose(mine.margin, theirs.margin, rtol=1e-3)
    X = drawn.patches[:6]
    assert isinstance(X, torch.Tensor)
    # Weights large enough for the two activations to part.
    ours, usuals = (mvlib.ntk(5 * W0[0], X, None, s.learner) for s in (study, usual()))
    assert not torch.allclose(ours, usuals, rtol=1e-2)


def test_label_smoothing_lowers_the_largest_score(run: Run) -> None:
    made = run("own-objective")
    assert made.arrays["fitted"].all()
    # Null: the objective changes nothing in as many steps.
    plain = mvlib.run_single_model(usual(schedule=made.study.schedule))
    assert made.arrays["train_outputs"].max() < 0.5 * plain["train_outputs"].max()


def test_mixup_mixes_inputs_and_labels_alike(run: Run, plain: Mapping[str, np.ndarray]) -> None:
    made = run("own-batches")
    X, labels = torch.eye(4)[:, None], torch.tensor([0, 1, 2, 3])
    first, again, other = (
        made.study.batches.batch(step, X, labels, 4, seed=7) for step in (5, 5, 6)
    )
    # Of inputs that are their own labels the mixtures are, too.
    assert torch.equal(first.X[:, 0], first.labels) and not torch.equal(first.labels, torch.eye(4))
    assert torch.equal(first.X, again.X) and not torch.equal(first.X, other.X)
    assert made.arrays["fitted"].all()
    assert not np.array_equal(made.arrays["stop_step"], plain["stop_step"])


def test_new_inputs_teach_every_network_both_views(
    run: Run, plain: Mapping[str, np.ndarray]
) -> None:
    arrays = run("new-inputs").arrays
    known, before = (
        mvlib.learned_views(torch.as_tensor(a["correlations"])) for a in (arrays, plain)
    )
    assert bool(known.all()) and not bool(before.all())
    assert arrays["single_error"].max() < 0.05 < 0.2 < plain["single_error"].min()


def test_adam_stops_after_a_pass(run: Run) -> None:
    made = run("adam")
    assert made.arrays["fitted"].all()
    steps_a_pass = made.study.n_train / made.study.batches.size
    assert (made.arrays["stop_step"] % steps_a_pass == 0).all()


def test_a_new_kind_is_found_again(run: Run) -> None:
    made = run("own-kind")
    store = mvlib.Store("my-results")
    entry = store.load("neurons", made.study)
    assert entry is not None and entry.provenance["kind"] == "neurons"
    grown = entry.arrays["grown"]
    assert grown.shape == (L, made.study.base.data.n_classes) and (grown >= 1).all()
    assert made.said == f"{grown}\n"
    assert store.state("neurons", made.study) == ("current", "")
    with unchecked():
        [again] = mvlib.run_all([made.mine], store)
    assert np.array_equal(again["grown"], grown) and len(list(store.root.rglob("*.npz"))) == 1
    assert not store.has("neurons", made.GrownNeurons(replace(made.study.base, draw=11)))
