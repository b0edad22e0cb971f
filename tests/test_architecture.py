"""What the layout promises: pure rooms, documented names, one home for each numbered object."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import mvlib
from mvlib import results, source
from mvlib.experiments import experiments
from mvlib.settings import FIRST_DRAW, SCALES, Scale

PACKAGE = Path(mvlib.__file__).parent
ROOMS = sorted(PACKAGE.glob("*.py"))
TREES = {path.stem: ast.parse(path.read_text()) for path in ROOMS}
# Design: aim for under 300 lines.  figures are lists of drawings, one beside the other; the
# others hold one subject each and are watched: a new one needs a reason.
LONG = {
    "figures": 650,
    "student_figures": 550,
    "report_students": 450,
    "cluster": 400,
    "distribution": 420,
    "training": 380,
}
NUMBERED = ["Definition 3.1", "Definition 3.3", "Definition 3.4", "eq. (3.1)", "eq. (4.1)",
            "eq. (4.2)", "eq. (4.3)", "Theorem 1", "Theorem 2", "Theorem 3",
            "Self-distillation"]  # fmt: skip

rooms = pytest.mark.parametrize("room", sorted(TREES))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute, "" of anything else at its root."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@rooms
def test_no_room_but_the_store_and_the_loader_read_files_or_the_environment(room: str) -> None:
    if room in ("results", "files", "source", "folders", "images"):
        return  # image_archives parses what images has read
    files = {"read_text", "read_bytes", "write_text", "write_bytes", "load", "save", "loadtxt"}
    for node in ast.walk(TREES[room]):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        assert name not in ("os.environ", "os.getenv"), f"{room}: line {node.lineno}"
        if isinstance(node, ast.Call):
            call = dotted(node.func)
            # store.load is the door to the store; a checkpoint is handed in by who keeps it.
            own, _, method = call.rpartition(".")
            reads = bool(own) and method in files and own not in ("store", "checkpoint")
            assert call != "open" and not reads, f"{room}: line {node.lineno} calls {call}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] != "mvlib":
            assert not files & {alias.name for alias in node.names}, f"{room}: {node.lineno}"


@rooms
def test_no_global_seeds(room: str) -> None:
    for node in ast.walk(TREES[room]):
        if isinstance(node, ast.Call):
            call = dotted(node.func)
            assert call not in ("torch.manual_seed", "np.random.seed", "random.seed", "seed"), call
            # torch draws name their generator; numpy draws come from a seeded one.
            if call in ("torch.rand", "torch.randn", "torch.randint", "torch.randperm"):
                assert "generator" in {k.arg for k in node.keywords}, f"{room}: {node.lineno}"
            assert not (call.startswith("np.random.") and call != "np.random.default_rng"), call
        if isinstance(node, ast.Import):
            assert "random" not in {alias.name for alias in node.names}


@rooms
def test_rooms_are_imported_in_the_form_the_store_follows(room: str) -> None:
    # source.modules_reached follows `from mvlib.room import name` and nothing else.
    for node in ast.walk(TREES[room]):
        if isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] == "mvlib" for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module != "mvlib"


@rooms
def test_public_names_are_documented(room: str) -> None:
    tree = TREES[room]
    assert ast.get_docstring(tree), f"{room} says nothing about itself"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{room}.{node.name}"


@rooms
def test_rooms_stay_readable(room: str) -> None:
    lines = len((PACKAGE / f"{room}.py").read_text().splitlines())
    assert lines <= LONG.get(room, 300)


def test_every_numbered_object_has_exactly_one_home() -> None:
    tags: Counter[str] = Counter()
    for room, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                doc = ast.get_docstring(node) or ""
                for tag in re.findall(r"^Paper: (.*)$", doc, re.MULTILINE):
                    assert tag.endswith("."), f"{room}: {tag}"
                    assert doc.rstrip().endswith(f"Paper: {tag}"), f"{room}: not the last line"
                    tags[tag.removesuffix(".")] += 1
    assert all(count == 1 for count in tags.values()), tags
    assert set(NUMBERED) <= tags.keys()


def test_catalogue_is_sound() -> None:
    names = [alias.name for node in TREES["__init__"].body if isinstance(node, ast.ImportFrom)
             for alias in node.names]  # fmt: skip
    assert len(names) == len(set(names))
    assert all(getattr(mvlib, name).__doc__ for name in names)


NUMBERS = [
    "single_model",
    "distillation",
    "joint_training",
    "contrast",
    "gaussian",
    "image_training",
    "image_kernels",
    "image_views",
    "image_inside",
]


@pytest.mark.parametrize("module", NUMBERS)
def test_figures_stay_outside_of_the_numbers(module: str) -> None:
    """Nor do claims and configurations reach them: changing those keeps what is stored."""
    outside = {"figures", "student_figures", "theorems", "students", "claims", "contradictions",
               "finding", "results", "experiments", "student_experiments", "settings", "sweep",
               "dispatch", "progress", "cluster", "threads", "computing", "checkpoint", "source",
               "files", "pulls", "gaussian_experiments", "gaussian_gain",
               "gaussian_figures", "image_experiments", "image_findings", "image_figures",
               "portable", "reduced_data", "reduced", "reduced_race", "reduced_check", "moving",
               "summary_figures", "report_students", "report_gaussian", "report_images",
               "report_costs", "report_data", "report_networks", "report_kernels",
               "report_reduced"}  # fmt: skip
    reached = set(source.modules_reached(module))
    assert module in reached and outside <= TREES.keys()
    assert not outside & reached


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_do_not_share_entries(scale: Scale) -> None:
    every = experiments(scale)
    assert len({(e.name, e.label) for e in every}) == len(every)
    assert len({(e.name, results.canonical_json(e.study)) for e in every}) == len(every)
    # Settings were chosen on earlier draws: none of those is reported.
    for e in every:
        study = getattr(e.study, "base", e.study)
        draw = study.draw if hasattr(study, "draw") else study.data.draw
        assert FIRST_DRAW <= draw < 900
