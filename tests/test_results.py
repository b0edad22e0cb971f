"""The store: keys, bytes, and faults."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mvlib import results, source
from mvlib.checks import BadInput
from mvlib.results import CorruptEntry, Store, canonical_json
from mvlib.source import bare_source, fingerprint, modules_reached
from mvlib.training import ConstantStep

MODULE = "single_model"
QUICK = "checks"  # a module with little source, where the key is not the point
ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([True, False])}


@dataclass(frozen=True)
class Config:
    size: int = 3
    rate: float = 0.1
    rule: object = ConstantStep(0.5)


@dataclass(frozen=True)
class OtherStep:
    eta: float


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def save(store: Store, config: object = None) -> tuple[Path, Path]:
    """One entry; returns its two files."""
    config = Config() if config is None else config
    store.save("toy", config, ARRAYS, 1.0)
    key = store.key("toy", config)
    return store.root / "toy" / f"{key}.npz", store.root / "toy" / f"{key}.json"


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


def test_key_depends_on_name_and_configuration(store: Store) -> None:
    key = store.key("toy", Config())
    assert len(key) == 32 and key == store.key("toy", Config())
    others = [
        store.key("other", Config()),
        store.key("toy", Config(size=4)),
        store.key("toy", Config(rate=0.1 + 1e-16)),
        store.key("toy", Config(rule=OtherStep(0.5))),
        store.key("toy", Config(), "learner"),
    ]
    assert len({key, *others}) == 6


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
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def start_again() -> None:
    """As in a new process: sources are read once, when a process begins."""
    source._sources.cache_clear()
    fingerprint.cache_clear()


def test_key_follows_the_numerical_source(store: Store, sources: Path) -> None:
    before = store.key("toy", Config())
    edit(sources / "learner.py", "torch.relu(z - varrho)", "torch.relu(z - 2 * varrho)")
    assert store.key("toy", Config()) == before, "what runs is what was read"
    start_again()
    assert store.key("toy", Config()) != before


def test_key_ignores_words_and_unrelated_rooms(store: Store, sources: Path) -> None:
    before = store.key("toy", Config())
    edit(sources / "learner.py", "ReLU with its corner replaced", "A ReLU whose corner gave way")
    learner = sources / "learner.py"
    learner.write_text("# A comment.\n\n\n" + learner.read_text() + "\n\n# Another.\n")
    (sources / "figures.py").write_text("x = 1\n")
    (sources / "theorems.py").write_text("x = 1\n")
    start_again()
    assert store.key("toy", Config()) == before
    assert fingerprint() != fingerprint(MODULE)


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
    assert modules_reached("checks") == ["checks"]
    assert modules_reached("learner") == ["checks", "learner", "randomness"]
    assert set(modules_reached(MODULE)) >= {
        "checks", "distribution", "ensemble", "learner", "measurement", "objectives",
        "randomness", "single_model", "training",
    }  # fmt: skip
    assert modules_reached("no_such_room") == []


# -- saving and loading ------------------------------------------------------------------------


def test_what_is_saved_is_loaded(store: Store) -> None:
    assert not store.has("toy", Config())
    assert store.load("toy", Config()) is None
    arrays_path, record_path = save(store)
    assert store.has("toy", Config())
    entry = Store(store.root).load("toy", Config())
    assert entry is not None and entry.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(entry.arrays[name], array)
        assert entry.arrays[name].dtype == array.dtype
    record = json.loads(record_path.read_text())
    assert record["config"] == {
        "": "Config", "size": 3, "rate": 0.1, "rule": {"": "ConstantStep", "eta": 0.5}
    }  # fmt: skip
    assert record["sha256"] == hashlib.sha256(arrays_path.read_bytes()).hexdigest()
    assert {"versions", "device", "seconds", "key", "module", "name"} <= record.keys()


def test_equal_arrays_give_equal_bytes(store: Store, tmp_path: Path) -> None:
    first, _ = save(store)
    content = first.read_bytes()
    backwards = dict(reversed(ARRAYS.items()))
    Store(tmp_path / "other").save("toy", Config(), backwards, 2.0)
    assert (tmp_path / "other" / "toy" / first.name).read_bytes() == content


def test_objects_are_not_pickled(store: Store) -> None:
    with pytest.raises(ValueError, match="[Oo]bject arrays"):
        store.save("toy", Config(), {"a": np.array([{}], dtype=object)}, 1.0)
    assert not store.has("toy", Config())


def test_receipts_name_what_was_read(store: Store) -> None:
    arrays_path, _ = save(store)
    reader = Store(store.root)
    assert reader.receipts() == {"library": fingerprint(), "entries": {}}
    reader.load("toy", Config())
    sha = hashlib.sha256(arrays_path.read_bytes()).hexdigest()
    assert reader.receipts()["entries"] == {f"toy/{arrays_path.stem}": sha}
    other = arrays_path.parent / "measured.json"
    other.write_text("1")
    files = reader.display_receipts(files=[other]).content["files"]
    assert files == {other.as_posix(): hashlib.sha256(b"1").hexdigest()}
    shown = reader.display_receipts()._repr_mimebundle_()
    assert shown["application/json"] == reader.receipts()


# -- faults ------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def other_key(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"key": "0" * 32}))


def other_configuration(path: Path) -> None:
    record = json.loads(path.read_text())
    record["config"]["size"] = 4
    path.write_text(json.dumps(record))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FAULTS = {
    "arrays truncated": (0, truncate),
    "arrays empty": (0, lambda path: path.write_bytes(b"")),
    "arrays missing": (0, Path.unlink),
    "arrays with one bit flipped": (0, flip_a_bit),
    "record truncated": (1, truncate),
    "record empty": (1, lambda path: path.write_bytes(b"")),
    "record not text": (1, lambda path: path.write_bytes(b"\xff\xfe")),
    "record a bare number": (1, lambda path: path.write_text("5")),
    "record without checksum": (1, lambda path: path.write_text('{"key": "x"}')),
    "wrong key": (1, other_key),
    "wrong configuration": (1, other_configuration),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_entry_is_reported_and_never_used(
    store: Store, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody else is writing: no need to wait before the second look.
    monkeypatch.setattr(results.time, "sleep", lambda seconds: None)
    which, damage = FAULTS[fault]
    files = save(store)
    damage(files[which])
    with pytest.raises(CorruptEntry) as caught:
        store.load("toy", Config())
    said = str(caught.value)
    assert str(files[1]) in said and "python -m mvlib run" in said and "--recompute" in said
    with pytest.raises(CorruptEntry):
        store.load_or_run("toy", Config(), lambda: ARRAYS)
    # The way out works.
    store.load_or_run("toy", Config(), lambda: ARRAYS, recompute=True)
    assert store.load("toy", Config()) is not None


def test_swapped_arrays_are_noticed(store: Store) -> None:
    mine, _ = save(store)
    store.save("toy", Config(size=4), {"b": np.zeros(3)}, 1.0)
    theirs = store.root / "toy" / f"{store.key('toy', Config(size=4))}.npz"
    theirs.replace(mine)
    with pytest.raises(CorruptEntry, match="checksum"):
        store.load("toy", Config())


SAVES = """
import os, sys
import numpy as np
from mvlib.results import Store
store = Store(sys.argv[1])
"""
DIES = (
    SAVES
    + """
calls, replace = [], os.replace
def dying(*paths):
    calls.append(paths)
    if len(calls) == int(sys.argv[2]):
        os._exit(9)
    replace(*paths)
os.replace = dying
store.save("toy", {"size": 3}, "checks", {"a": np.arange(1000)}, 1.0)
"""
)
TWINS = (
    SAVES
    + """
for turn in range(40):
    store.save("toy", {"size": 3}, "checks", {"a": np.arange(1000)}, 1.0)
    entry = store.load("toy", {"size": 3}, "checks")
    assert entry is not None and entry.arrays["a"].sum() == 499500
"""
)


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_killed_before_and_between_the_renames(tmp_path: Path) -> None:
    dying = [python(DIES, tmp_path / str(turn), turn) for turn in (1, 2)]
    for turn, process in zip((1, 2), dying, strict=True):
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 9, said
        store = Store(tmp_path / str(turn))
        assert not store.has("toy", {"size": 3}, "checks")
        assert store.load("toy", {"size": 3}, "checks") is None
        # What it left behind is recognisable as litter and does not stand in the way.
        left = [p for p in (store.root / "toy").iterdir() if p.suffix == ".tmp"]
        assert len(left) == 3 - turn and all(p.name.startswith(".") for p in left)
        store.load_or_run("toy", {"size": 3}, "checks", lambda: ARRAYS)
        assert store.load("toy", {"size": 3}, "checks") is not None


def test_a_failing_rename_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BadInput, match=r"No space left on device.*--results"):
        save(store)
    monkeypatch.undo()
    assert list((store.root / "toy").iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("when", [1, 2], ids=["arrays", "record"])
def test_a_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch, step: str, when: int) -> None:
    """While an entry is replaced: what was there before stays, or what comes is complete."""
    old, _ = save(store)
    calls = []
    true = getattr(os, step)

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == when:
            raise OSError(errno.ENOSPC, "No space left on device")
        return true(*arguments)

    monkeypatch.setattr(os, step, full)
    with pytest.raises(BadInput, match=r"results.* disk is full .*free some, or .*--results"):
        store.save("toy", Config(), ARRAYS, 2.0)
    monkeypatch.undo()
    entry = store.load("toy", Config())
    assert entry is not None and entry.provenance["seconds"] == 1.0
    assert sorted(p.suffix for p in old.parent.iterdir()) == [".json", ".npz"]


TINY = """
import errno, os, sys
import numpy as np
from mvlib.checks import BadInput
from mvlib.results import Store
store = Store(sys.argv[1])
store.save("toy", {"size": 1}, "checks", {"a": np.arange(10)}, 1.0)
noise = np.random.default_rng(0).random(100_000)
try:
    store.save("toy", {"size": 2}, "checks", {"a": noise}, 1.0)
except BadInput as error:
    print(error)
assert store.load("toy", {"size": 1}, "checks") is not None
assert store.load("toy", {"size": 2}, "checks") is None
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
    done = subprocess.run(
        [*inside, mount, tmp_path, sys.executable, "-c", TINY, tmp_path],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert "disk is full (No space left on device)" in said and left == "['.json', '.npz']"


def test_a_claim_is_one_processs(store: Store) -> None:
    key = store.key("toy", Config())
    store.check_writable()
    mine = store.claim(key)
    assert mine is not None
    script = (
        "import sys; from mvlib.results import Store; "
        "sys.exit(Store(sys.argv[1]).claim(sys.argv[2]) is None)"
    )
    for expected in (1, 0):
        process = python(script, store.root, key)
        assert process.communicate(timeout=120)[1] == "" and process.returncode == expected
        mine.release()


def test_two_processes_save_the_same_entry(tmp_path: Path) -> None:
    twins = [python(TWINS, tmp_path) for _ in range(2)]
    for process in twins:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    files = [p.suffix for p in (tmp_path / "toy").iterdir()]
    assert sorted(files) == [".json", ".npz"]


def test_an_unwritable_folder_is_noticed_before_computing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    store = Store(file / "below")  # not even root can make this folder
    computed = []
    with pytest.raises(
        BadInput, match=r"results folder .*file/below.* must be writable .*--results"
    ):
        store.load_or_run("toy", Config(), lambda: computed.append(1) or ARRAYS)
    assert computed == []
    with pytest.raises(BadInput, match="must be writable"):
        store.save("toy", Config(), ARRAYS, 1.0)


# -- resuming ----------------------------------------------------------------------------------


def test_load_or_run_computes_once(store: Store) -> None:
    computed: list[int] = []

    def compute() -> dict[str, np.ndarray]:
        computed.append(1)
        return ARRAYS

    for _ in range(2):
        entry = store.load_or_run("toy", Config(), compute)
        assert np.array_equal(entry.arrays["b"], ARRAYS["b"])
    assert len(computed) == 1
    store.load_or_run("toy", Config(), compute, recompute=True)
    assert len(computed) == 2
    store.load_or_run("toy", replace(Config(), size=4), compute)
    assert len(computed) == 3


def test_an_interruption_keeps_what_was_finished(store: Store) -> None:
    def interrupted() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    store.load_or_run("toy", Config(), lambda: ARRAYS)
    with pytest.raises(KeyboardInterrupt):
        store.load_or_run("toy", Config(size=4), interrupted)
    assert store.has("toy", Config())
    assert not store.has("toy", Config(size=4))
    assert sorted(p.suffix for p in (store.root / "toy").iterdir()) == [".json", ".npz"]
    store.load_or_run("toy", Config(size=4), lambda: ARRAYS)
    assert store.has("toy", Config(size=4))
