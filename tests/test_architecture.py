"""What the layout promises: pure rooms, documented names, one home for each numbered object."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import mvlib
from mvlib.core import source
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import EXPLORED, FIRST_DRAW, SCALES, Scale
from mvlib.store.entries import canonical_json
from mvlib.store.kinds import Kind, own_kinds

PACKAGE = Path(mvlib.__file__).parent
TREES = {name: ast.parse(text) for name, text in source.sources(PACKAGE).items()}
PACKAGES = {name for name in TREES if f"{name}/__init__.py" and (PACKAGE / name).is_dir()} - {""}
NUMBERED = ["Definition 3.1", "Definition 3.3", "Definition 3.4", "eq. (3.1)", "eq. (4.1)",
            "eq. (4.2)", "eq. (4.3)", "eq. (4.3) as printed", "Theorem 1", "Theorem 2", "Theorem 3",
            "Theorem 4 (self-distillation)"]  # fmt: skip
# Who may read files and the environment.
DOORS = {"store.entries", "store.stamps", "store.migration", "store.kinds", "core.files",
         "core.source", "core.folders", "core.threads", "deep.photographs"}  # fmt: skip

rooms = pytest.mark.parametrize("room", sorted(TREES))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute, "" of anything else at its root."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@rooms
def test_only_doors_read_files_or_the_environment(room: str) -> None:
    if room in DOORS:
        return
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
def test_imports_are_absolute(room: str) -> None:
    """`core.source` follows those, and no others."""
    assert not [n for n in ast.walk(TREES[room]) if isinstance(n, ast.ImportFrom) and n.level]


@rooms
def test_public_names_are_documented(room: str) -> None:
    tree = TREES[room]
    assert ast.get_docstring(tree), f"{room} says nothing about itself"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{room}.{node.name}"


def test_packages_say_what_they_are_and_nothing_else() -> None:
    assert len(PACKAGES) >= 8
    for name in PACKAGES:
        (only,) = TREES[name].body
        assert isinstance(only, ast.Expr) and len(ast.unparse(only).splitlines()) <= 8


def test_data_and_networks_do_not_know_each_other() -> None:
    data = {"paper.multi_view_data", "paper.data_parameters"}
    assert not data & set(source.modules_reached("paper.gradient_descent"))
    assert "paper.network" not in source.modules_reached("paper.multi_view_data")


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


def test_catalogue_is_small_and_sound() -> None:
    names = [alias.name for node in TREES[""].body if isinstance(node, ast.ImportFrom)
             for alias in node.names]  # fmt: skip
    assert len(names) == len(set(names)) and len(names) <= 45
    assert all(getattr(mvlib, name).__doc__ for name in names)
    assert not PACKAGES & set(names), "a name of the catalogue would hide a package"


@pytest.mark.parametrize("kind", own_kinds(), ids=lambda kind: kind.name)
def test_figures_and_findings_stay_outside_of_the_numbers(kind: Kind) -> None:
    """Nor do experiments and sweeps reach them: changing those needs no stamp."""
    reached = source.modules_reached(kind.run.__module__.removeprefix("mvlib."))
    assert reached and {name.partition(".")[0] for name in reached} <= {
        "core", "store", "paper", "deep", "reduced", "studies"
    }  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_do_not_share_entries(scale: Scale) -> None:
    every = experiments(scale)
    assert len({(e.name, e.label) for e in every}) == len(every)
    assert len({(e.name, canonical_json(e.study)) for e in every}) == len(every)
    # Settings were chosen on draws before and after those that are reported; of the others only a
    # comparison of precisions speaks, which is to hold on both.
    bases = [(e.name, getattr(e.study, "base", e.study)) for e in every]
    bases = [(name, getattr(base, "base", base)) for name, base in bases]  # students of pictures
    draws = [(name, (base if hasattr(base, "draw") else base.data).draw) for name, base in bases]
    assert min(draw for _, draw in draws) >= FIRST_DRAW
    assert {name for name, draw in draws if draw >= EXPLORED} == {"precision"}
