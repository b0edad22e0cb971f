"""`python -m mvlib`: what it prints, its exit codes, and what survives an interruption."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shapes import unchecked

from mvlib.__main__ import main
from mvlib.core.arithmetic import describe
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import SCALES, Scale
from mvlib.findings.claims import needed
from mvlib.findings.finding import Finding
from mvlib.run.computing import work
from mvlib.run.dispatch import is_stored
from mvlib.store.entries import Store
from mvlib.store.kinds import Kind
from mvlib.studies.single_model import SingleModelStudy

FIELDS = ["claim", "statement", "predicted", "margin", "source", "direction", "turn",
          "measured", "low", "high", "n", "unit", "caveat", "few"]  # fmt: skip
SMOKE = ["--scale", "smoke"]
N_STORED = len(needed("smoke"))  # in smoke_store


def fake_arrays(*_: object, **__: object) -> dict[str, np.ndarray]:
    """In place of the computation, where a test is about everything else."""
    return {"x": np.arange(3)}


@pytest.fixture
def own_store(smoke_store: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(smoke_store, tmp_path / "results"))


def test_findings_as_json(smoke_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", *SMOKE, "--json", "--results", str(smoke_store)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    claims = [f["claim"] for f in found]
    assert claims[:3] == ["theorem-1", "theorem-2", "lottery-winners"]
    assert {"theorem-3", "self-distillation", "ntk-ensemble-over-single"} < set(claims)
    for f in found:
        assert list(f) == [*FIELDS, "verdict"]
        assert f["low"] <= f["high"]
        assert f["verdict"] in ("holds", "right direction", "not at this size", "fails")
        assert isinstance(f["n"], int) and f["n"] > 0
        assert all(isinstance(f[word], str) and f[word] for word in ("statement", "unit", "caveat"))
    assert list(Finding.__dataclass_fields__) == FIELDS


def test_findings_for_people(smoke_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", *SMOKE, "--results", str(smoke_store)]) == 0
    said = capsys.readouterr().out
    assert all(f"theorem-{number}: " in said for number in (1, 2, 3)) and "n = " in said


@pytest.mark.parametrize("scale", SCALES)
def test_list(scale: Scale, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--scale", scale]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(experiments(scale)) > 30
    assert " hours of one core: " in last
    for line, experiment in zip(lines, experiments(scale), strict=True):
        assert line.startswith(experiment.name) and experiment.label in line and "TFLOP" in line


def test_list_says_how_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = experiments("smoke", "single-model")[0]
    made_by = {"device": "cpu", "threads": 2, "versions": {}}
    Store(tmp_path).save(first.name, first.study, fake_arrays(), 1800.0, made_by=made_by)
    for name, hours in (("single-model", ["1.0000 h  measured", "1.0000 h  foretold"]),
                        ("distilled", ["TFLOP   unknown"] * 2)):  # fmt: skip
        assert main(["list", *SMOKE, "--name", name, "--results", str(tmp_path)]) == 0
        *lines, last = capsys.readouterr().out.splitlines()
        assert [
            " ".join(line.split())[-len(" ".join(end.split())) :]
            for line, end in zip(lines, hours, strict=True)
        ] == [" ".join(end.split()) for end in hours]
        assert last.startswith("2.00 hours" if name == "single-model" else "0.00 hours")
        rate = work(first.study) / 3600 / 1e9
        assert f"(GFLOP/s a core: networks in bfloat16 {rate:.0f})" in last


def test_status(smoke_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", *SMOKE, "--results", str(smoke_store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    n_missing = len(experiments("smoke")) - N_STORED
    assert lines.pop() == f"{N_STORED} current, {n_missing} needs computing"
    assert sum(line.endswith(" current") for line in lines) == N_STORED
    assert sum(line.endswith("needs computing: never computed") for line in lines) == n_missing
    assert main(["status", *SMOKE, "--name", "race", "--results", str(smoke_store)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kind, "compute", fake_arrays)
    n = len(experiments("smoke", "sweep-threshold"))
    command = ["run", *SMOKE, "--name", "sweep-threshold", "--results", str(tmp_path / "r")]
    for more, count in (([], n), ([], 0), (["--recompute"], n)):
        assert main([*command, *more]) == 0
        assert f"{count} computed now" in capsys.readouterr().out


def test_run_says_how_products_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kind, "compute", fake_arrays)
    for name, said in (("race", [describe("bfloat16")]), ("gaussian", [])):
        assert main(["run", *SMOKE, "--name", name, "--results", str(tmp_path)]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in printed if line.startswith("products in ")] == said


@pytest.mark.parametrize("command", ["run", "list", "status", "findings"])
def test_unknown_scale(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--scale", "huge"]) == 2
    assert_one_sentence(capsys, "scale = 'huge' must be one of", "smoke", "book", "paper")


@pytest.mark.parametrize("command", ["run", "list", "status"])
def test_unknown_name(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *SMOKE, "--name", "nothing"]) == 2
    assert_one_sentence(capsys, "experiment = 'nothing' must be one of", "single-model")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "-1"], ["jobs (--jobs) = -1 must be an integer >= 0"]),
        (["--jobs", "half"], ["jobs (--jobs) = 'half' must be an integer >= 0"]),
        (["--jobs", "1.5"], ["jobs (--jobs) = '1.5'"]),
        (["--device", "gpu"], ["device (--device) = 'gpu' must be cpu, cuda or cuda:N"]),
        (["--device", "cuda:99"], ["device (--device) = 'cuda:99' must be there", "finds"]),
        (["--scheduler", "here"], ["scheduler (--scheduler) = 'here' must be tcp://host:port"]),
        (["--checkpoint-every", "often"], ["checkpoint_every (--checkpoint-every) = 'often'"]),
        (["--checkpoint-every", "nan"], ["checkpoint_every (--checkpoint-every) = nan"]),
    ],
)
def test_where_to_run_is_checked(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with unchecked():
        assert main(["run", *SMOKE, "--results", str(tmp_path), *arguments]) == 2
    assert_one_sentence(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_jobs_and_scheduler_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", *SMOKE, "--jobs", "2", "--scheduler", "tcp://127.0.0.1:8786"])
    assert caught.value.code == 2
    assert "not allowed with argument --jobs" in capsys.readouterr().err


def test_a_failing_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(
        kind: Kind, study: SingleModelStudy, *_: object, **__: object
    ) -> dict[str, np.ndarray]:
        if study.learner.threshold == 2.0:
            raise MemoryError("not enough")
        return fake_arrays()

    monkeypatch.setattr(Kind, "compute", fails)
    assert main(["run", *SMOKE, "--name", "sweep-threshold", "--results", str(tmp_path)]) == 1
    assert_one_sentence(capsys, "sweep-threshold (threshold = 2.0) failed (MemoryError: not eno")
    first, *_, last = experiments("smoke", "sweep-threshold")
    assert is_stored(first, Store(tmp_path)) and not is_stored(last, Store(tmp_path))


def test_teachers_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def outputs(*_: object, **__: object) -> dict[str, np.ndarray]:
        return {"train_outputs": np.zeros(3)}

    monkeypatch.setattr(Kind, "compute", outputs)
    command = ["run", *SMOKE, "--name", "distilled", "--results", str(tmp_path)]
    n = len(experiments("smoke", "distilled"))
    assert main(command) == 0
    assert f": {n} computed now and {n} more that teach them." in capsys.readouterr().out
    assert main(command) == 0
    assert ": 0 computed now." in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--speed", "9"]])
def test_unknown_words(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m mvlib" in capsys.readouterr().err


def test_unwritable_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    computed: list[object] = []
    monkeypatch.setattr(Kind, "compute", lambda *_, **__: computed.append(1) or fake_arrays())
    (tmp_path / "file").write_text("")
    assert main(["run", *SMOKE, "--results", str(tmp_path / "file" / "below")]) == 2
    assert_one_sentence(capsys, "results folder", "must be writable", "--results")
    assert computed == []


def test_findings_never_compute(
    own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(Kind, "compute", None)
    monkeypatch.chdir(tmp_path)
    n = N_STORED
    shutil.rmtree(own_store / "contrast")
    gone = len(experiments("smoke", "contrast"))
    for root, missing in ((own_store, gone), (tmp_path / "nowhere", n)):
        assert main(["findings", *SMOKE, "--results", str(root)]) == 2
        command = f"python -m mvlib run --scale smoke --results {root}"
        assert_one_sentence(capsys, str(root), f"lacks {missing} of {n} entries", command)
    assert not (tmp_path / "nowhere").exists()


def test_folders_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kind, "compute", fake_arrays)
    monkeypatch.setenv("MVLIB_RESULTS", str(tmp_path / "mine"))
    monkeypatch.setenv("MVLIB_DATA", "")  # restored when the test ends
    command = ["run", *SMOKE, "--name", "race", "--data", str(tmp_path / "photographs")]
    assert main(command) == 0
    assert f" in {tmp_path / 'mine'}: " in capsys.readouterr().out
    assert os.environ["MVLIB_DATA"] == str(tmp_path / "photographs")
    (tmp_path / "file").write_text("")
    for option in ("--data", "--results"):
        assert main([*command, option, str(tmp_path / "file")]) == 2
        assert_one_sentence(capsys, f"{option} (MVLIB_{option[2:].upper()})", "be a folder")


def assert_one_sentence(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    # A progress bar may have drawn itself before; it ends with a line of its own.
    said = [line for line in err.replace("\r", "\n").splitlines() if "% |" not in line]
    said = [line for line in said if line.startswith("mvlib: ")]
    assert len(said) == 1 and "Traceback" not in err, err
    assert all(word in said[0] for word in words), said


def damage(root: Path) -> Path:
    path = sorted((root / "single-model").glob("*.npz"))[0]
    path.write_bytes(path.read_bytes()[:-30])
    return path


@pytest.mark.parametrize("command", ["run", "findings"])
def test_corrupt_entry(command: str, own_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damage(own_store)
    more = ["--name", "single-model"] if command == "run" else []
    assert main([command, *SMOKE, *more, "--results", str(own_store)]) == 2
    assert_one_sentence(capsys, str(path), "damaged", "python -m mvlib run")


def test_status_shows_a_corrupt_entry(own_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damage(own_store)
    assert main(["status", *SMOKE, "--results", str(own_store)]) == 2
    assert f"damaged: {path}" in capsys.readouterr().out


def test_the_command_that_is_named_rebuilds(
    own_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kind, "compute", fake_arrays)
    damage(own_store)
    assert main(["run", *SMOKE, "--name", "single-model", "--results", str(own_store)]) == 2
    command = shlex.split(capsys.readouterr().err.split("`")[1])
    assert command[:4] == ["python", "-m", "mvlib", "run"]
    # It must reach this store and this scale: not the book's results in the current folder.
    assert str(own_store) in command and "smoke" in command
    assert main(command[3:]) == 0
    assert main(["status", *SMOKE, "--results", str(own_store)]) == 0


def test_an_interruption_keeps_finished_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def second_is_interrupted(
        kind: Kind, study: object, *_: object, **__: object
    ) -> dict[str, np.ndarray]:
        if calls:
            raise KeyboardInterrupt
        calls.append(study)
        return fake_arrays()

    calls: list[object] = []
    monkeypatch.setattr(Kind, "compute", second_is_interrupted)
    assert main(["run", *SMOKE, "--name", "single-model", "--results", str(tmp_path)]) == 130
    assert "what was finished is stored" in capsys.readouterr().err
    first, second = experiments("smoke", "single-model")
    store = Store(tmp_path)
    assert is_stored(first, store) and not is_stored(second, store)


SLOW = """
import sys, time
import numpy as np
from mvlib.__main__ import main
from mvlib.store.kinds import Kind
calls = []
def slow(kind, study, **__):
    calls.append(study)
    if len(calls) == 2:
        print("under way", flush=True)
        time.sleep(300)
    return {"x": np.arange(3)}
Kind.compute = slow
sys.exit(main(["run", "--scale", "smoke", "--name", "single-model", "--results", sys.argv[1]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_control_c(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        time.sleep(0.1)  # well into the sleep
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said and "interrupted" in said
    assert [p.suffix for p in (tmp_path / "single-model").iterdir()] == [".npz"]
    store = Store(tmp_path)
    assert is_stored(experiments("smoke", "single-model")[0], store)


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "mvlib", "list", "--scale", "huge"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("mvlib: scale = 'huge'") and done.stderr.count("\n") == 1
