"""The store: keys, bytes, states, and faults."""

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Config, arrays_of_toy

from mvlib.core import source
from mvlib.core.checks import BadInput
from mvlib.core.source import bare_source, fingerprint, modules_imported, modules_reached
from mvlib.paper.step_rules import ConstantStep
from mvlib.store import kinds, stamps
from mvlib.store.entries import RECORD, CorruptEntry, OtherSource, Store, canonical_json, digest
from mvlib.store.kinds import Kind, register

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([True, False])}


@dataclass(frozen=True)
class OtherStep:
    eta: float


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def save(store: Store, config: Config | None = None) -> Path:
    """One entry; returns its file."""
    config = config or Config()
    store.save("toy", config, ARRAYS, 1.0)
    return store.path("toy", config)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what is registered for `Config`, until the test ends."""
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))

    def change(**fields: Any) -> None:
        register(dataclasses.replace(kinds.kind_of(Config()), **fields))

    return change


# -- keys --------------------------------------------------------------------------------------


def test_canonical_json() -> None:
    assert canonical_json({"b": 1, "a": (1, 2.5)}) == canonical_json({"a": [1, 2.5], "b": 1})
    assert canonical_json(ConstantStep(0.1)) == '{"":"ConstantStep","eta":0.1}'
    assert canonical_json(ConstantStep(0.5)) != canonical_json(OtherStep(0.5))
    # A float keeps all its digits.
    assert canonical_json(0.1 + 0.2) != canonical_json(0.3)
    assert float(canonical_json(1 / 3)) == 1 / 3
    with pytest.raises(TypeError, match="cannot hold"):
        canonical_json({"a": object()})
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_defaults_are_left_out() -> None:
    assert canonical_json(Config()) == '{"":"Config"}'
    assert canonical_json(Config(size=4)) == '{"":"Config","size":4}'
    # 3.0 equals the default 3 and may give other numbers.
    assert canonical_json(Config(size=3.0)) == '{"":"Config","size":3.0}'  # type: ignore[arg-type]


def test_key_depends_on_name_configuration_and_version(
    store: Store, versions: Callable[..., None]
) -> None:
    key = store.key("toy", Config())
    assert len(key) == 32 and key == store.key("toy", Config())
    others = [
        store.key("other", Config()),
        store.key("toy", Config(size=4)),
        store.key("toy", Config(rate=0.1 + 1e-16)),
        store.key("toy", Config(rule=OtherStep(0.5))),
    ]
    versions(version=2)
    assert len({key, *others, store.key("toy", Config())}) == 6


def test_a_new_field_keeps_what_is_stored(store: Store, versions: Callable[..., None]) -> None:
    save(store)

    @dataclass(frozen=True)
    class Wider(Config):
        STORED_AS = "Config"
        extra: float = 0.5

    versions(configuration=Wider)
    entry = store.load("toy", Wider())
    assert entry is not None and np.array_equal(entry.arrays["b"], ARRAYS["b"])
    assert not store.has("toy", Wider(extra=0.6))


def test_another_default_is_another_experiment(store: Store, versions: Callable[..., None]) -> None:
    save(store)

    @dataclass(frozen=True)
    class Moved(Config):
        STORED_AS = "Config"
        rate: float = 0.2

    versions(configuration=Moved)
    assert not store.has("toy", Moved()) and store.load("toy", Moved()) is None
    assert store.state("toy", Moved()) == (
        "needs computing", "a default has another value than when it was computed"
    )  # fmt: skip


def test_a_study_of_no_kind_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match=r"study = OtherStep must be of a registered kind .*Config"):
        store.key("toy", OtherStep(1.0))


def test_kinds_are_checked() -> None:
    def kind(**fields: Any) -> Kind:
        given = {"name": "x", "configuration": OtherStep, "run": arrays_of_toy, "work": len}
        return Kind(**{**given, **fields})

    with pytest.raises(BadInput, match="configuration .* must be a frozen dataclass"):
        kind(configuration=dict)
    with pytest.raises(BadInput, match="version .* = 0 must be an integer >= 1"):
        kind(version=0)
    with pytest.raises(BadInput, match="configuration .* = 'Config' must be no other kind's"):
        register(kind(configuration=Config))


def test_a_kind_is_given_the_keywords_it_takes() -> None:
    seen: list[dict[str, object]] = []

    def run(study: object, *, device: str = "cpu") -> dict[str, np.ndarray]:
        seen.append({"device": device})
        return {}

    kind = Kind(name="x", configuration=OtherStep, run=run, work=lambda study: 1.0)
    kind.compute(OtherStep(1.0), device="cuda", progress=None, checkpoint=None)
    assert seen == [{"device": "cuda"}]


# -- sources -----------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that may be edited."""
    copy = tmp_path / "mvlib"
    shutil.copytree(source.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source, "PACKAGE", copy)
    start_again()
    yield copy
    start_again()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def start_again() -> None:
    """As in a new process: sources are read once, when a process begins."""
    source.sources.cache_clear()
    source._imports.cache_clear()
    fingerprint.cache_clear()


def networks() -> Kind:
    return next(kind for kind in kinds.own_kinds() if kind.name == "networks")


def test_source_follows_what_is_computed(sources: Path) -> None:
    before = networks().source
    edit(sources / "paper" / "activation.py", "(z - varrho).relu()", "(z - 2 * varrho).relu()")
    assert networks().source == before, "what runs is what was read"
    start_again()
    assert networks().source != before


def test_source_ignores_words_and_unrelated_rooms(sources: Path) -> None:
    before = networks().source
    room = sources / "paper" / "activation.py"
    edit(room, "ReLU with its corner replaced", "A ReLU whose corner gave way")
    text = room.read_text(encoding="utf-8")
    room.write_text("# A comment.\n\n\n" + text + "\n\n# Another.\n", encoding="utf-8")
    for other in ("figures/summary.py", "findings/theorems.py"):
        (sources / other).write_text("x = 1\n", encoding="utf-8")
    start_again()
    assert networks().source == before


def test_foreign_files_are_not_modules(sources: Path) -> None:
    before = fingerprint()
    for name in (".#learner.py", "._learner.py", "learner copy.py", "learner~.py"):
        (sources / name).write_bytes(b"\xff\xfe not Python")
    start_again()
    assert fingerprint() == before


def test_bare_source() -> None:
    text = (
        '"""Module."""\n\nimport os  # why\n\n\ndef f(x):\n    """Words\n\n    and more."""\n'
        '    # reason\n    s = "# not a comment"\n    return s  # end\n\n\n'
        'class A:\n    "doc"\n\n    y = """kept"""\n'
    )
    assert bare_source(text) == (
        'import os\ndef f(x):\n    s = "# not a comment"\n    return s\n'
        'class A:\n    y = """kept"""'
    )


def test_bare_source_keeps_code_on_a_docstrings_line() -> None:
    assert bare_source('def f(): "doc"; return 1\n') != bare_source('def f(): "doc"; return 2\n')


def test_modules_reached() -> None:
    assert modules_reached("core.checks") == ["core.checks"]
    assert modules_reached("paper.network") == [
        "core.arithmetic", "core.checks", "core.randomness", "paper.activation", "paper.network"
    ]  # fmt: skip
    assert set(modules_reached("studies.single_model")) >= {
        "core.checks", "core.randomness", "paper.ensemble", "paper.evaluation",
        "paper.gradient_descent", "paper.multi_view_data", "paper.network", "paper.objectives",
        "studies.single_model",
    }  # fmt: skip
    assert modules_reached("no_such_room") == []


def test_modules_a_notebook_imports() -> None:
    assert modules_imported("import mvlib\nmvlib.LearnerParams()") == modules_reached(
        "paper.network"
    )
    assert modules_imported("import mvlib as m\nm.ntk") == modules_reached("paper.tangent_kernel")
    assert modules_imported("from mvlib.core import checks") == ["core.checks"]
    assert modules_imported("import numpy\nx = 1") == []


# -- saving and loading ------------------------------------------------------------------------


def test_what_is_saved_is_loaded(store: Store) -> None:
    assert not store.has("toy", Config())
    assert store.load("toy", Config()) is None
    path = save(store)
    assert store.has("toy", Config())
    entry = Store(store.root).load("toy", Config())
    assert entry is not None and entry.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(entry.arrays[name], array)
        assert entry.arrays[name].dtype == array.dtype
    record = json.loads(zipfile.ZipFile(path).read(RECORD))
    assert record == entry.provenance
    assert record["config"] == {
        "": "Config", "size": 3, "rate": 0.1, "rule": {"": "ConstantStep", "eta": 0.5}
    }  # fmt: skip
    assert {"versions", "device", "seconds", "key", "kind", "version", "source"} <= record.keys()
    assert [p.name for p in path.parent.iterdir()] == [path.name], "one file an entry"


def test_numpy_reads_an_entry_too(store: Store) -> None:
    with np.load(save(store)) as archive:
        assert np.array_equal(archive["b"], ARRAYS["b"])


def test_equal_arrays_give_equal_bytes(store: Store, tmp_path: Path) -> None:
    first = save(store)
    backwards = dict(reversed(ARRAYS.items()))
    Store(tmp_path / "other").save("toy", Config(), backwards, 1.0)
    assert (tmp_path / "other" / "toy" / first.name).read_bytes() == first.read_bytes()


def test_objects_are_not_pickled(store: Store) -> None:
    with pytest.raises(ValueError, match="[Oo]bject arrays"):
        store.save("toy", Config(), {"a": np.array([{}], dtype=object)}, 1.0)
    assert not store.has("toy", Config())


def test_receipts_name_what_was_read(store: Store) -> None:
    path = save(store)
    reader = Store(store.root)
    assert reader.receipts() == {"entries": {}}
    entry = reader.load("toy", Config())
    assert entry is not None
    assert reader.receipts()["entries"] == {f"toy/{path.stem}": digest(entry.provenance)}
    other = path.parent / "measured.json"
    other.write_text("1")
    files = reader.display_receipts(files=[other]).content["files"]
    assert files == {other.as_posix(): hashlib.sha256(b"1").hexdigest()}
    shown = reader.display_receipts()._repr_mimebundle_()
    assert shown["application/json"] == reader.receipts()


def test_a_receipt_is_of_the_arrays_alone(store: Store) -> None:
    """Computing an entry again to the same numbers makes no chapter stale."""
    save(store)
    before = dict(store.read)
    store.save("toy", Config(), ARRAYS, 99.0, made_by={"threads": 7})
    assert store.read == before
    store.save("toy", Config(), {**ARRAYS, "b": ARRAYS["b"] + 1}, 99.0)
    assert store.read != before


# -- states ------------------------------------------------------------------------------------


def test_states(
    store: Store, versions: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.state("toy", Config()) == ("needs computing", "never computed")
    path = save(store)
    assert store.state("toy", Config()) == ("current", "")
    old, now = kinds.kind_of(Config()).source, "f" * 64
    monkeypatch.setattr(Kind, "source", now)
    state, why = store.state("toy", Config())
    assert state == "needs computing" and old[:8] in why and "ffffffff" in why
    with pytest.warns(OtherSource, match=f"{old[:8]}.*ffffffff.*stamp.*--recompute"):
        assert store.load("toy", Config()) is not None
    monkeypatch.setattr(stamps, "stamped_sources", lambda kind: [old, now])
    state, why = store.state("toy", Config())
    assert state == "stamped" and old[:8] in why
    assert store.load("toy", Config()) is not None
    versions(version=3)
    assert store.state("toy", Config())[1] == "computed at version 1; this one is 3"
    truncate(path)
    versions(version=1)
    assert store.state("toy", Config())[0] == "damaged"


def test_an_entry_of_a_newer_version(store: Store, versions: Callable[..., None]) -> None:
    versions(version=2)
    save(store)
    versions(version=1)
    state, why = store.state("toy", Config())
    assert (state, why) == (
        "needs computing", "computed at version 2 by a newer mvlib: update it; this one is 1"
    )  # fmt: skip
    assert store.load("toy", Config()) is None


def test_an_entry_of_a_newer_format_is_refused(store: Store) -> None:
    path = save(store)
    change_record(path, format=3)
    with pytest.raises(BadInput, match="has format 3 and this mvlib reads up to 2; update mvlib"):
        store.load("toy", Config())
    assert store.state("toy", Config())[0] == "needs computing"


# -- faults ------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """The same archive with members changed; sound in its own checksums."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def change_record(path: Path, **changes: object) -> None:
    def change(name: str, content: bytes) -> bytes:
        return json.dumps(json.loads(content) | changes).encode() if name == RECORD else content

    rewritten(path, change)


def change_array(path: Path) -> None:
    rewritten(path, lambda name, content: content[:-1] + b"?" if name == "b.npy" else content)


def bare_number(path: Path) -> None:
    rewritten(path, lambda name, content: b"5" if name == RECORD else content)


FAULTS: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"\xff\xfe"),
    "one number changed": change_array,
    "record a bare number": bare_number,
    "record without checksums": lambda path: change_record(path, sha256={}),
    "another key": lambda path: change_record(path, key="0" * 32),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_entry_is_reported_and_never_used(store: Store, fault: str) -> None:
    path = save(store)
    FAULTS[fault](path)
    with pytest.raises(CorruptEntry) as caught:
        store.load("toy", Config())
    said = str(caught.value)
    assert str(path) in said and "python -m mvlib run" in said and "--recompute" in said
    # The way out works.
    save(store)
    assert store.load("toy", Config()) is not None


def test_no_flipped_bit_changes_what_is_read(store: Store) -> None:
    path = save(store)
    content, entry = path.read_bytes(), store.load("toy", Config())
    assert entry is not None
    noticed = 0
    # Every third byte, each of a byte's eight bits in turn: no part of the file is as short.
    places = range(0, len(content), 3)
    for turn, place in enumerate(places):
        flipped = content[place] ^ (1 << turn % 8)
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        try:
            found = store.load("toy", Config())
        except CorruptEntry:
            noticed += 1
            continue
        assert found is not None and found.provenance == entry.provenance, place
        assert all(np.array_equal(found.arrays[n], a) for n, a in entry.arrays.items()), place
    assert noticed > len(places) / 2


def test_swapped_entries_are_noticed(store: Store) -> None:
    mine, theirs = save(store), save(store, Config(size=4))
    theirs.replace(mine)
    with pytest.raises(CorruptEntry, match="its key is not the one in its name"):
        store.load("toy", Config())


SAVES = """
import os, sys
import numpy as np
from toys import Config
from mvlib.store.entries import Store
store, config = Store(sys.argv[1]), Config()
"""
DIES = (
    SAVES
    + """
os.replace = lambda *paths: os._exit(9)
store.save("toy", config, {"a": np.arange(1000)}, 1.0)
"""
)
TWINS = (
    SAVES
    + """
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    store.save("toy", config, {"a": np.arange(1000)}, 1.0)
    entry = store.load("toy", config)
    assert entry is not None and entry.arrays["a"].sum() == 499500
"""
)


CLAIMS = """
import sys
from mvlib.store.entries import Store
store = Store(sys.argv[1])
print(store.claim(sys.argv[2]) is not None, flush=True)
sys.stdin.readline()
mine = store.claim(sys.argv[2])
print(mine is not None, flush=True)
sys.stdin.readline()
"""


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    path = os.pathsep.join([str(source.PACKAGE.parent), str(Path(__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": path}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    )


def test_killed_before_the_rename(tmp_path: Path) -> None:
    process = python(DIES, tmp_path)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 9, said
    store = Store(tmp_path)
    assert not store.has("toy", Config()) and store.load("toy", Config()) is None
    # What it left behind is recognisable as litter and does not stand in the way.
    (left,) = (store.root / "toy").iterdir()
    assert left.suffix == ".tmp" and left.name.startswith(".")
    save(store)
    assert store.load("toy", Config()) is not None


def test_a_failing_rename_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BadInput, match=r"No space left on device.*--results"):
        save(store)
    monkeypatch.undo()
    assert list((store.root / "toy").iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "fdopen"])
def test_a_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """While an entry is replaced: what was there before stays."""
    old = save(store)

    def full(*arguments: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(BadInput, match=r"results.* disk is full .*free some, or .*--results"):
        store.save("toy", Config(), ARRAYS, 2.0)
    monkeypatch.undo()
    entry = store.load("toy", Config())
    assert entry is not None and entry.provenance["seconds"] == 1.0
    assert list(old.parent.iterdir()) == [old]


TINY = """
import errno, os, sys
import numpy as np
from toys import Config
from mvlib.core.checks import BadInput
from mvlib.store.entries import Store
store = Store(sys.argv[1])
store.save("toy", Config(size=1), {"a": np.arange(10)}, 1.0)
noise = np.random.default_rng(0).random(100_000)
try:
    store.save("toy", Config(size=2), {"a": noise}, 1.0)
except BadInput as error:
    print(error)
assert store.load("toy", Config(size=1)) is not None
assert store.load("toy", Config(size=2)) is None
print(sorted(p.suffix for p in (store.root / "toy").iterdir()))
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    # In a mount namespace of its own, which is gone with the process.
    mount = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, mount, tmp_path, "true"], capture_output=True).returncode
    ):
        pytest.skip("may not mount here")
    path = os.pathsep.join([str(source.PACKAGE.parent), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [*inside, mount, tmp_path, sys.executable, "-c", TINY, tmp_path],
        capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert "disk is full (No space left on device)" in said and left == "['.npz']"


def test_a_claim_is_one_processs(store: Store) -> None:
    key = store.key("toy", Config())
    store.check_writable()
    mine = store.claim(key)
    assert mine is not None
    with python(CLAIMS, store.root, key) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "False\n"
        mine.release()
        process.stdin.write("again\n")
        process.stdin.flush()
        assert process.stdout.readline() == "True\n"
        assert store.claim(key) is None
        assert process.communicate(timeout=120) == ("", "") and process.returncode == 0
    assert store.claim(key) is not None, "freed by its holder's end"


def test_two_processes_save_the_same_entry(tmp_path: Path) -> None:
    twins = [python(TWINS, tmp_path) for _ in range(2)]
    for process in twins:  # both are ready before one begins
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in twins:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in twins:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    assert [p.suffix for p in (tmp_path / "toy").iterdir()] == [".npz"]


def test_an_unwritable_folder_is_noticed_before_computing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    store = Store(file / "below")  # not even root can make this folder
    unwritable = r"results folder .*file/below.* must be writable .*--results"
    with pytest.raises(BadInput, match=unwritable):
        store.check_writable()
    with pytest.raises(BadInput, match=unwritable):
        save(store)
