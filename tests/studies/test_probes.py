"""Whether the probes, whose arrays a stamp compares, reach all code that stored numbers depend on.

What must be reached is read off the source: in the modules that a kind's hash covers, every
statement, every arm of a conditional expression, every operand of `and` and `or` in what `run` can
get at, and where there is no `else`, what happens without the branch.  Refusals and progress give
no number.
"""

import ast
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

import pytest

from mvlib.core import checks, files, folders, source
from mvlib.store import kinds
from mvlib.store.kinds import Kind, own_kinds
from mvlib.studies.probes import run_probes

# What these do shows in no array: they refuse a value, find a file, or keep what was computed.
INFRASTRUCTURE = {module.__name__ for module in (checks, files, folders, kinds, source)}
GRADIENT = "no study differentiates scores"
NETWORK = "fetches what is not on this machine, by its checksum"
NAMES = "words for people"
OTHERS = "no study: other callers alone"
REFUSED = "what comes of it is refused"
SPEED = "decides which of two ways the same products are done; probes take both"
THREADS = "blocks side by side, where there are threads: the numbers are the same"
SLOW = "studies refuse what does not take off: q = 2, or no power at all"
# "function", or one piece of it, "function: text": why no probe reaches it.
EXCEPTIONS = {
    "core.arithmetic._seconds": SPEED,
    "core.arithmetic.inner_products: not (left.dtype == torch.float32 and "
    "left.device.type == 'cpu' and ONEDNN)": "needs a GPU, or torch without oneDNN",
    "core.arithmetic.inner_products: return nnf.linear(left, right)":
        "needs a GPU, or torch without oneDNN",
    "core.arithmetic.product_rates": SPEED,
    "deep.image_networks.ResidualNet.flops": "an estimate of time",
    "deep.networks.init_many: not ('readout.weight' in weights)": OTHERS,
    "deep.photographs._array: return np.empty(len(value), object)": REFUSED,
    "deep.photographs._find: return (best, [part for part in PARTS[name] if part not in best])":
        REFUSED,
    "deep.photographs._tar_members: part": REFUSED,
    "deep.photographs.download_fashion_mnist": NETWORK,
    "deep.photographs.here: not _find(name, (data_folder(), DEBIAN))[1]": NETWORK,
    "deep.photographs.load: download_fashion_mnist()": NETWORK,
    "deep.photographs.load: name == 'fashion-mnist'": NETWORK,
    "deep.picture_views.PictureViews.things": NAMES,
    "paper.activation.Activation.onset": SLOW,
    "paper.activation.SmoothedReLU.value_and_slope": GRADIENT,
    "paper.activation.SmoothedReLU.value_and_slope_: slope = u": SLOW,
    "paper.activation._check_slope: not (onset is not None)": SLOW,
    "paper.gradient_descent._check_range": OTHERS,
    "paper.gradient_descent.train: list(range(len(W0)))": OTHERS,
    "paper.gradient_descent.train: not (ascent is not None)": "said for the types",
    "paper.multi_view_data.StreamedPatches.__len__": OTHERS,
    "paper.multi_view_data.StreamedPatches.chunks: ThreadPoolExecutor(at_once)": THREADS,
    "paper.multi_view_data.StreamedPatches.chunks: not (at_once < 2)": THREADS,
    "paper.multi_view_data.StreamedPatches.is_floating_point": OTHERS,
    "paper.network._Pass.__init__: torch.is_grad_enabled()": GRADIENT,
    "paper.network._Pass.forward: value, slope = "
    "self.activation.value_and_slope(self.weights @ x.to(self.W.dtype))": GRADIENT,
    "paper.network._budget: DEVICE_FLOATS": "needs a GPU",
    "paper.objectives.cross_entropy: "
    "return -(labels[:, None] * F.log_softmax(dim=-1)).sum(dim=-1)": OTHERS,
    "paper.tangent_kernel._largest_eigenvalue: return float(torch.linalg.eigvalsh(K)[-1])":
        "studies train on 2 k >= 4 samples at least",
    "paper.tangent_kernel.ntk: _in_blocks(group, x1, learner, rows)": OTHERS,
    "paper.tangent_kernel.ntk: x2": OTHERS,
    "studies.images._lessons: 0": REFUSED,
    "studies.images._lessons: None": REFUSED,
}  # fmt: skip

Place = tuple[int, int]
Range = tuple[Place, Place]


@dataclass(frozen=True)
class Piece:
    """Code that runs or does not run as a whole; or, of a branch without `else`, the step from
    its test past its body."""

    function: str
    text: str
    where: Range
    statement: Range  # with the blocks below, which run only if it does
    body: Place | None = None  # where the branch begins that may be passed over

    def is_in(self, other: "Piece") -> bool:
        return self != other and _within(self.where, other.statement)


# -- what must be reached ------------------------------------------------------------------------


def modules(kinds: Sequence[Kind]) -> list[str]:
    """Those that the stored numbers of these kinds depend on."""
    roots = {kind.run.__module__.removeprefix("mvlib.") for kind in kinds}
    reached = {f"mvlib.{name}" for root in roots for name in source.modules_reached(root)}
    return sorted(reached - INFRASTRUCTURE)


class Module:
    """What a module's source defines, and what it takes from others."""

    def __init__(self, name: str) -> None:
        self.name, self.file = name, str(import_module(name).__file__)
        self.tree = ast.parse(Path(self.file).read_text(encoding="utf-8"))
        self.own: dict[str, list[ast.AST]] = defaultdict(list)
        self.taken: dict[str, tuple[str, str]] = {}  # (module, name there); "" for all of it
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.own[node.name].append(node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for one in ast.walk(target):
                        if isinstance(one, ast.Name):
                            self.own[one.id].append(node)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mvlib"):
                for alias in node.names:
                    found = getattr(import_module(str(node.module)), alias.name)
                    whole = (found.__name__, "") if isinstance(found, ModuleType) else None
                    place = whole or (str(node.module), alias.name)
                    self.taken[alias.asname or alias.name] = place

    def said(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """(module, name) of what some code speaks of, but for what gives none."""
        numberless = {id(one) for block in ast.walk(node) for one in _numberless(block)}
        for one in ast.walk(node):
            if id(one) in numberless:
                continue
            if isinstance(one, ast.Name):
                yield self.taken.get(one.id, (self.name, one.id))
            elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
                module, name = self.taken.get(one.value.id, ("", ""))
                if module and not name:
                    yield module, one.attr


def reachable(kinds: Sequence[Kind]) -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """(file, full name, function) of all that stored numbers can depend on: `run`, the methods of
    every class, whatever these speak of, and so on."""
    trees = {name: Module(name) for name in modules(kinds)}
    waiting = [(kind.run.__module__, kind.run.__name__) for kind in kinds]
    waiting += [
        (name, node.name)
        for name, module in trees.items()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    ]
    done = set()
    while waiting:
        place = name, word = waiting.pop()
        if place in done or name not in trees:
            continue
        done.add(place)
        module = trees[name]
        if word in module.taken:  # handed on
            waiting.append(module.taken[word])
        for node in module.own[word]:
            waiting += module.said(node)
            if isinstance(node, ast.FunctionDef):
                yield module.file, f"{name}.{word}", node
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef):
                    yield module.file, f"{name}.{word}.{method.name}", method


def pieces(name: str, function: ast.FunctionDef) -> Iterator[Piece]:
    """Those of a function but for what gives no number; `__post_init__` does nothing else."""
    if name.endswith(".__post_init__"):
        return
    numberless = {id(one) for block in ast.walk(function) for one in _numberless(block)}
    for node in ast.walk(function):
        if id(node) in numberless:
            continue
        for part in _parts(node):
            whole = _range(node if isinstance(node, ast.stmt) else part)
            yield Piece(name.removeprefix("mvlib."), ast.unparse(part), _range(part), whole)
        if isinstance(node, ast.If) and not node.orelse:
            text, body = f"not ({ast.unparse(node.test)})", _range(node.body[0])[0]
            test = _range(node.test)
            yield Piece(name.removeprefix("mvlib."), text, _range(node), test, body)


def _parts(node: ast.AST) -> list[Any]:
    """The pieces that begin with this node: those of its children come with them."""
    match node:
        case ast.If() | ast.While():
            return [node.test]
        case ast.For():
            return [node.iter]
        case ast.With():
            return [item.context_expr for item in node.items]
        case ast.IfExp():
            return [node.body, node.orelse]
        case ast.BoolOp():
            return node.values[1:]
        case ast.Lambda():
            return [node.body]
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return [node.elt]
        case ast.DictComp():
            return [node.key]
        case ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None):  # words, dots, a type
            return []
        case ast.Pass() | ast.Nonlocal() | ast.Global():
            return []
        case ast.stmt() if not hasattr(node, "body") and not _refuses(node):
            return [node]
    return []


def _range(node: Any) -> Range:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _within(inner: Range, outer: Range) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _numberless(block: Any) -> Iterator[ast.AST]:
    """A branch that ends in a refusal, what `require` is told, and what tells of progress."""
    if isinstance(block, ast.If) and ast.unparse(block.test) in ("progress", "tick"):
        yield from ast.walk(block)
    elif isinstance(block, (ast.If, ast.ExceptHandler)) and _refuses(block.body[-1]):
        for statement in block.body:
            yield from ast.walk(statement)
    elif _calls(block, "require"):
        yield from ast.walk(block.value)


def _refuses(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) or _calls(node, "require(False, ")


def _calls(node: ast.AST, beginning: str) -> bool:
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return called and ast.unparse(node).startswith(beginning)


# -- what is reached -----------------------------------------------------------------------------


class Located(NamedTuple):
    """Where an instruction stands: the pieces that it is of, the branches whose test it is of, and
    those in whose test or body it is."""

    pieces: list[Piece]
    tests: list[Piece]
    branches: list[Piece]


class Tracer:
    """For `sys.settrace`: notes which of some pieces run, by the instructions that do."""

    def __init__(self, pieces: dict[str, list[Piece]]) -> None:
        self.reached: set[Piece] = set()
        self._pieces = pieces
        self._located: dict[CodeType, list[Located]] = {}
        self._wanted: dict[CodeType, set[Piece]] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> Callable | None:
        code = frame.f_code
        if code.co_filename not in self._pieces:
            return None
        if code not in self._located:
            located = self._located[code] = list(self._locate(code))
            self._wanted[code] = {p for one in located for p in one.pieces + one.tests}
        if self._wanted[code] <= self.reached:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        located, tested = self._located[code], []

        def note(frame: FrameType, event: str, arg: object) -> Callable:
            nonlocal tested
            now = located[frame.f_lasti // 2] if event == "opcode" else NOWHERE
            self.reached.update(now.pieces)
            self.reached.update(branch for branch in tested if branch not in now.branches)
            tested = now.tests
            return note

        return note

    def _locate(self, code: CodeType) -> Iterator[Located]:
        """Every instruction of some code."""
        for line, end_line, column, end_column in code.co_positions():
            if line is None or end_line is None or column is None or end_column is None:
                yield NOWHERE
                continue
            here = (line, column), (end_line, end_column)
            of = [p for p in self._pieces[code.co_filename] if _within(here, p.where)]
            branches = [piece for piece in of if piece.body]
            # Jumps may stand for the whole statement.
            tests = [piece for piece in branches if piece.body and here[0] < piece.body]
            yield Located([piece for piece in of if not piece.body], tests, branches)


NOWHERE = Located([], [], [])


def not_reached(pieces: dict[str, list[Piece]], run: Callable[[], object]) -> list[str]:
    """ "function: text" of the pieces that do not run; of a statement without what is below it."""
    tracer, before = Tracer(pieces), sys.gettrace()
    sys.settrace(tracer)
    try:
        run()
    finally:
        sys.settrace(before)
    missing = [[p for p in ones if p not in tracer.reached] for ones in pieces.values()]
    return sorted({
        f"{piece.function}: {piece.text}"
        for ones in missing for piece in ones if not any(piece.is_in(other) for other in ones)
    })  # fmt: skip


def missed_by_probes() -> list[str]:
    """What the probes of all kinds do not reach."""
    wanted = defaultdict(list)
    for file, name, function in reachable(own_kinds()):
        wanted[file] += pieces(name, function)
    return not_reached(wanted, lambda: run_probes(own_kinds()))


@pytest.fixture(scope="module")
def missing() -> list[str]:
    """In a process of its own: here results may be kept, and shapes are checked, which takes as
    long again."""
    environment = os.environ | {"PYTHONPATH": str(source.PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def test_probes_reach_what_numbers_depend_on(missing: list[str]) -> None:
    """To mend with a small study in mvlib/probes.py; an exception needs a reason."""
    assert [one for one in missing if not {one, function_of(one)} & EXCEPTIONS.keys()] == []


def test_no_exception_is_idle(missing: list[str]) -> None:
    assert sorted(EXCEPTIONS.keys() - {*missing, *map(function_of, missing)}) == []


def function_of(piece: str) -> str:
    return piece.partition(":")[0]


# -- the test itself -----------------------------------------------------------------------------

TOY = '''
def f(x):
    """Words."""
    if x is not None and x > 1:
        y = [z for z in range(x)]
        for z in y:
            x = z
        return x
    if x == -3:
        x = 9
    if x == -1:
        word = "refused"
        raise ValueError(word)
    return 1 if x else 2 if x is None else 3
'''


@pytest.mark.parametrize(
    "arguments, named",
    [
        ((2, 0, 1, None, -3), []),
        ((2, 0, 1, None), ["x = 9"]),
        ((2, 0, 1, -3), ["2"]),
        ((2, 1, -3), ["2 if x is None else 3"]),
        # What stands below a statement that does not run is not named again.
        ((0, None, -3), ["return x", "y", "y = [z for z in range(x)]"]),
        ((2, -3), ["2 if x is None else 3", "not (x == -3)"]),
    ],
)
def test_what_does_not_run_is_named(arguments: tuple[int | None, ...], named: list[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(TOY, "toy.py", "exec"), names)
    (function,) = ast.parse(TOY).body
    assert isinstance(function, ast.FunctionDef)
    toy = {"toy.py": list(pieces("f", function))}
    found = not_reached(toy, lambda: [names["f"](x) for x in arguments])
    assert found == [f"f: {text}" for text in named]


if __name__ == "__main__":
    print(json.dumps(missed_by_probes()))
