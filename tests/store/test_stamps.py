"""Stamps: sources that give the same numbers, proved by probes run under both."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvlib.core import source
from mvlib.core.checks import BadInput
from mvlib.store import stamps
from mvlib.store.kinds import Kind, own_kinds
from mvlib.store.stamps import Probed, differences, load_probes, refused, save_probes
from mvlib.studies import probes as of_studies
from mvlib.studies.probes import PROBES

ROOT = source.PACKAGE.parent
OLD = {"networks/plain/W": np.array([1.0, 2.0]), "networks/plain/winner": np.array([0, 1])}


def networks(**changes: object) -> Kind:
    return replace(next(kind for kind in own_kinds() if kind.name == "networks"), **changes)


def test_the_source_is_stamped() -> None:
    """Whoever changes code that stored numbers depend on proves that they stay:
    `python -m mvlib stamp --against REV`, or raises the kind's version and computes again."""
    assert [kind.name for kind in stamps.unstamped()] == []


def test_every_kind_has_probes() -> None:
    assert {kind.name for kind in own_kinds()} == PROBES.keys()


def test_equal_arrays_do_not_differ() -> None:
    assert differences(OLD, dict(OLD), [networks()]) == {"networks": []}


@pytest.mark.parametrize(
    "new",
    [
        {"networks/plain/W": np.array([1.0, 2.0 + 1e-15])},
        {"networks/plain/W": np.array([1.0, 2.0], dtype=np.float32)},
        {"networks/plain/W": np.array([[1.0, 2.0]])},
        {"networks/plain/winner": np.array([1, 0])},
    ],
)
def test_what_differs_is_named(new: dict[str, np.ndarray]) -> None:
    found = differences(OLD, OLD | new, [networks()])
    assert found == {"networks": list(new)}


def test_lost_probes_and_new_arrays_differ_and_new_probes_do_not() -> None:
    lost = {name: array for name, array in OLD.items() if name != "networks/plain/W"}
    assert differences(OLD, lost, [networks()]) == {"networks": ["networks/plain/W"]}
    more = OLD | {"networks/plain/extra": np.zeros(1)}
    assert differences(OLD, more, [networks()]) == {"networks": ["networks/plain/extra"]}
    assert differences(OLD, OLD | {"networks/new/W": np.zeros(1)}, [networks()]) == {"networks": []}


def test_why_a_stamp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = networks()
    monkeypatch.setattr(stamps, "stamped_sources", lambda kind: ["a", "b"])
    assert refused(Probed(OLD, {"networks": "b"}), OLD, [kind]) == {}
    why = refused(Probed(OLD, {"networks": "c"}), OLD, [kind])
    assert why == {"networks": "the source to compare with is not stamped itself"}
    other = OLD | {"networks/plain/W": np.zeros(2)}
    why = refused(Probed(OLD, {"networks": "b"}), other, [kind])
    assert why == {"networks": "these arrays differ: networks/plain/W"}
    # A kind whose own probes see nothing waits for the one whose probes do.
    blind = replace(kind, name="blind")
    probed = Probed(OLD, {"networks": "b", "blind": "b"})
    why = refused(probed, other, [blind, kind])
    assert why["blind"] == "the change moves numbers of other kinds (networks)"
    assert refused(probed, OLD, [blind, kind]) == {}
    # A raised version begins anew: nothing has to be equal to anything.
    monkeypatch.setattr(stamps, "stamped_sources", lambda kind: [])
    assert refused(Probed(OLD, {"networks": "b"}), other, [kind]) == {}


def test_probes_of_another_machine_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "probes.npz"
    save_probes(file, Probed(OLD, {"networks": "b"}))
    found = load_probes(file)
    assert found.sources == {"networks": "b"} and found.arrays.keys() == OLD.keys()
    monkeypatch.setattr(stamps, "machine", lambda: "elsewhere")
    with pytest.raises(BadInput, match="must be made on this machine .elsewhere. and was made on"):
        load_probes(file)
    file.write_bytes(b"no archive")
    with pytest.raises(BadInput, match="must be a file of `probe --save`"):
        load_probes(file)


def test_a_new_version_begins_a_new_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "STAMPS", tmp_path / "stamps.json")
    stamps.write_stamps([networks()])
    monkeypatch.setattr(Kind, "source", "c" * 64)
    stamps.write_stamps([networks()])
    assert len(stamps.stamped_sources(networks())) == 2
    newer = networks().version + 1
    stamps.write_stamps([networks(version=newer)])
    assert stamps.stamped_sources(networks(version=newer)) == ["c" * 64]
    assert stamps.stamped_sources(networks()) == []


# -- the command, in a clone ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with the library as it stands, one commit."""
    root = tmp_path_factory.mktemp("clone")
    package = source.PACKAGE.name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source.PACKAGE, root / package, ignore=ignored)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "As it stands"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def probes(clone: Path) -> Path:
    """What the probes of one kind give as the library stands."""
    file = clone / "probes.npz"
    done = mvlib(clone, "probe", "--kind", "networks", "--save", str(file))
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture
def edited(clone: Path) -> Iterator[Path]:
    yield clone
    subprocess.run(["git", "checkout", "-q", "."], cwd=clone, check=True)


def mvlib(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mvlib", *words]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)


def change(clone: Path, old: str, new: str) -> str:
    """Replace a text that stands once in the library; returns the module's name."""
    for path in sorted((clone / "mvlib").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if old in text:
            assert text.count(old) == 1
            path.write_text(text.replace(old, new), encoding="utf-8")
            return path.stem
    raise AssertionError(f"{old!r} stands nowhere")


def test_words_keep_everything(edited: Path) -> None:
    """A docstring needs no stamp; an error message gets one; and every entry stays."""
    change(edited, "The two-layer convolutional network of Section 3.2", "The network")
    status = ["status", "--name", "single-model", "--results", str(ROOT / "results")]
    assert "needs computing" not in mvlib(edited, *status).stdout
    change(edited, 'f"be an integer >= {low}"', 'f"be a whole number >= {low}"')
    assert mvlib(edited, *status).stdout.endswith("\n3 needs computing\n")
    done = mvlib(edited, "stamp", "--kind", "networks")
    assert done.returncode == 0 and done.stdout.count(": stamped, ") == 1
    assert mvlib(edited, *status).stdout.endswith("\n3 stamped\n")


# What a sub-package once hid from the store: each moves a number, and the stamp must say which.
MUTATIONS = {
    "a slope": ("torch.mul(u, u, out=slope)", "torch.mul(u, 1.000001 * u, out=slope)"),
    "a sampler's interval": ("uniform(rho, params.weak_view_spread * rho)", "uniform(rho, rho)"),
    "a resample": ("BOOTSTRAP_RESAMPLES, seed=setting.draw",
                   "BOOTSTRAP_RESAMPLES, seed=1 if kind == 'multi' else setting.draw"),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_change_that_moves_a_number_is_refused(edited: Path, probes: Path, mutation: str) -> None:
    change(edited, *MUTATIONS[mutation])
    done = mvlib(edited, "stamp", "--kind", "networks", "--against", str(probes))
    assert done.returncode == 1
    assert "networks: REFUSED, these arrays differ: networks/" in done.stdout
    assert mutation != "a resample" or "/bootstrap_multi" in done.stdout
    assert not subprocess.run(
        ["git", "diff", "--quiet", "--", "mvlib/store/stamps.json"], cwd=edited, check=False
    ).returncode


def test_a_revision_that_is_not_there(edited: Path) -> None:
    change(edited, 'f"be an integer >= {low}"', 'f"be a whole number >= {low}"')
    done = mvlib(edited, "stamp", "--against", "no-such-revision")
    assert done.returncode == 2
    assert "against (--against) = 'no-such-revision' must be a revision" in done.stderr


def test_a_probe_that_cannot_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, object]:
        raise ImportError("No module named 'sklearn'")

    monkeypatch.setattr(of_studies, "PROBES", {"networks": lambda: {"needs more": absent}})
    said = r"probe = networks/needs more must run on this machine and does not .*sklearn.*; stamp"
    with pytest.raises(BadInput, match=said):
        of_studies.run_probes([networks()])
