"""Sweeps over several processes, with real ones: a Dask cluster on this machine, some of whose
members are killed, and command lines that meet over one store."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import psutil
import pytest
import torch
from shapes import unchecked
from sweeps import family, long
from toys import TEACHER

from mvlib.core import source
from mvlib.core.checks import BadInput
from mvlib.experiments.settings import Experiment
from mvlib.run import cluster, dispatch, progress
from mvlib.run.cluster import Killed, check_address, processes
from mvlib.run.computing import Order
from mvlib.run.dispatch import entry_of, is_stored
from mvlib.run.sweep import fill
from mvlib.store.entries import Store

TESTS = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
LONG = 120  # seconds after which something hangs; a busy machine needs some


def wait_for(what: Callable[[], Any]) -> Any:
    """What `what` returns, as soon as it is true."""
    deadline = time.monotonic() + LONG
    while not (found := what()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@contextmanager
def process(*command: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block."""
    with subprocess.Popen(
        [str(part) for part in command], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **ONE_THREAD, **environment},
    ) as started:  # fmt: skip
        try:
            yield started
        finally:
            started.kill()
            started.communicate()


def sweep(*arguments: object) -> Any:
    """A command line of its own that computes the family of `sweeps`."""
    return process(sys.executable, TESTS / "sweeps.py", "run", *arguments)


def dask(*arguments: object, **environment: str) -> Any:
    """One member of a cluster."""
    return process(
        Path(sys.executable).with_name("dask"), *arguments, "--no-dashboard",
        DASK_LOGGING__DISTRIBUTED="error", **environment,
    )  # fmt: skip


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A scheduler's address and process."""
    file = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    with dask("scheduler", *options) as started:
        # It is there before it is written; its last character is the closing brace.
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        yield json.loads(file.read_text())["address"], started


@contextmanager
def worker(address: str, folder: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """A worker's address and process."""
    with distributed.Client(address, set_as_default=False) as client:
        before = set(client.scheduler_info()["workers"])
        options = ("--nthreads", 1, "--no-nanny", "--local-directory", folder)
        with dask("worker", address, *options, **environment) as started:
            new = wait_for(lambda: set(client.scheduler_info()["workers"]) - before)
            yield new.pop(), started.pid
        wait_for(lambda: set(client.scheduler_info()["workers"]) <= before)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler without workers."""
    with scheduler(tmp_path_factory.mktemp("dask")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A scheduler and its only worker."""
    folder = tmp_path_factory.mktemp("dask")
    with scheduler(folder) as (address, _), worker(address, folder) as (its_address, _):
        yield address, its_address


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As everywhere here: with more, the last digits may differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Store:
    """The family computed in this process."""
    store = Store(tmp_path_factory.mktemp("expected"))
    fill(family(), store, show=False)
    return store


def assert_same(store: Store, expected: Store, chosen: list[Experiment]) -> None:
    """One entry an experiment, equal to the last bit, and nothing else in the store."""
    for e in chosen:
        ours, theirs = entry_of(e, store), entry_of(e, expected)
        assert ours is not None and theirs is not None
        assert ours.arrays.keys() == theirs.arrays.keys()
        for name, array in ours.arrays.items():
            assert array.dtype == theirs.arrays[name].dtype
            assert np.array_equal(array, theirs.arrays[name], equal_nan=True), (e.label, name)
        assert ours.provenance["sha256"] == theirs.provenance["sha256"]
        assert ours.provenance["threads"] == 1 and ours.provenance["device"] == "cpu"
    files = {p for p in store.root.rglob("*") if p.is_file() and p.parent.name != ".locks"}
    assert files == {store.path(e.name, e.study) for e in chosen}


# -- a cluster ---------------------------------------------------------------------------------


# Lambdas, because they travel with their code: neither scheduler nor worker can import this file.


def executing(client: distributed.Client, address: str) -> bool:
    """Whether a worker is in the middle of a task."""
    count = client.run(lambda dask_worker: dask_worker.state.executing_count, workers=[address])
    return count[address] == 1


def tasks(client: distributed.Client) -> int:
    """How many tasks the scheduler knows."""
    return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))


def test_a_killed_worker_costs_nothing(
    staffed: tuple[str, str], store: Store, expected: Store, tmp_path: Path
) -> None:
    address, _ = staffed
    with (
        worker(address, tmp_path) as (doomed, pid),
        ThreadPoolExecutor(1) as thread,
        distributed.Client(address, set_as_default=False) as client,
    ):
        sweeping = thread.submit(fill, family(), store, show=False, scheduler=address)
        wait_for(lambda: sweeping.done() or executing(client, doomed))
        assert not sweeping.done(), sweeping.result()
        was_at = client.processing(workers=[doomed])[doomed]
        os.kill(pid, signal.SIGKILL)
        computed = sweeping.result(LONG)
        assert was_at
    assert sorted(e.label for e in computed) == sorted(e.label for e in family())
    assert_same(store, expected, family())


def edited_copy(folder: Path) -> Path:
    """A folder to import another version of the library from."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source.PACKAGE, folder / "mvlib", ignore=ignored)
    with (folder / "mvlib" / "core" / "checks.py").open("a") as file:
        file.write("\nDIFFERENT = 1\n")
    return folder


def test_a_worker_of_another_version_is_refused(address: str, store: Store, tmp_path: Path) -> None:
    other = edited_copy(tmp_path / "other")
    with worker(address, tmp_path, PYTHONPATH=str(other)) as (its_address, _):
        with pytest.raises(BadInput) as caught:
            fill(family(), store, show=False, scheduler=address)
    said = str(caught.value)
    ours = source.fingerprint()[:8]
    assert f"worker {its_address} = " in said and f"must be {ours}" in said, said
    theirs = said.split(" = ")[1][:8]
    assert len(theirs) == 8 and theirs != ours and int(theirs, 16)
    assert "install the same version there" in said
    assert not any(is_stored(e, store) for e in family())


def test_a_worker_that_joins_late_is_asked_too(address: str, store: Store, tmp_path: Path) -> None:
    """And one without the library says so, though it cannot import what it is given to run."""
    lacking = tmp_path / "lacking" / "mvlib"
    lacking.mkdir(parents=True)
    (lacking / "__init__.py").write_text("raise ImportError('no mvlib for you')\n")
    with (
        ThreadPoolExecutor(1) as thread,
        distributed.Client(address, set_as_default=False) as client,
    ):
        sweeping = thread.submit(fill, family(), store, show=False, scheduler=address)
        wait_for(lambda: tasks(client))
        with worker(address, tmp_path, PYTHONPATH=str(lacking.parent)) as (its_address, _):
            with pytest.raises(BadInput, match="no mvlib for you.*install the same version") as e:
                sweeping.result(LONG)
        assert its_address in str(e.value)
        wait_for(lambda: tasks(client) == 0)  # all were taken back


def test_a_device_that_no_worker_has(staffed: tuple[str, str], store: Store) -> None:
    address, its_address = staffed
    with pytest.raises(BadInput, match=r"device \(--device\) = 'cuda:7' .*use cpu|pick") as e:
        fill(family(), store, show=False, scheduler=address, device="cuda:7")
    assert its_address in str(e.value)


def test_control_c_takes_orders_back(address: str, store: Store) -> None:
    with (
        distributed.Client(address, set_as_default=False) as client,
        sweep("--results", store.root, "--scheduler", address) as sweeping,
    ):
        wait_for(lambda: tasks(client))
        sweeping.send_signal(signal.SIGINT)
        said = sweeping.communicate(timeout=LONG)[1]
        assert sweeping.returncode == 130, said
        assert said.startswith("\nmvlib: interrupted") and said.count("\n") == 2, said
        wait_for(lambda: tasks(client) == 0)


def test_a_scheduler_that_goes_away(store: Store, tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, its_process):
        with sweep("--results", store.root, "--scheduler", address) as sweeping:
            with distributed.Client(address, set_as_default=False) as client:
                wait_for(lambda: tasks(client))
            its_process.kill()
            said = sweeping.communicate(timeout=LONG)[1]
    assert sweeping.returncode == 2, said
    assert said.startswith(f"mvlib: scheduler (--scheduler) = '{address}'"), said
    assert "was lost" in said and said.count("\n") == 1, said


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_nobody_at_the_address(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    address = f"tcp://127.0.0.1:{unused_port()}"
    started = time.monotonic()
    with pytest.raises(BadInput, match=f"{address}.*nobody answered within 0.5 s.*dask scheduler"):
        fill(family(), store, show=False, scheduler=address)
    assert time.monotonic() - started < 10


def test_a_worker_in_the_place_of_the_scheduler(staffed: tuple[str, str], store: Store) -> None:
    with pytest.raises(BadInput, match=f"{staffed[1]}.*a Worker answered"):
        fill(family(), store, show=False, scheduler=staffed[1])


def test_something_else_at_the_address(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)

        answering = thread.submit(answer)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BadInput, match=f"{address}.*something else answered"):
            fill(family(), store, show=False, scheduler=address)
        answering.result(LONG)


@pytest.mark.parametrize(
    "malformed",
    ["", "127.0.0.1:8786", "tcp://", "tcp://host", "tcp://host:", "tcp://host:0",
     "tcp://host:65536", "tcp://host:port", "http://host:8786", "tcp://a/b:8786", "tcp://::1:8786"],
)  # fmt: skip
def test_malformed_addresses(malformed: str) -> None:
    with pytest.raises(BadInput, match=r"scheduler \(--scheduler\) = .* must be tcp://host:port"):
        check_address(malformed)


@pytest.mark.parametrize("fine", ["tcp://host:8786", "tcp://10.0.0.1:1", "tcp://[::1]:8786"])
def test_well_formed_addresses(fine: str) -> None:
    assert check_address(fine) == fine


def test_a_cluster_without_workers_is_waited_for(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SAY_AFTER", 0.3)
    monkeypatch.setattr(dispatch, "GIVE_UP", 1 / 3600)
    with pytest.raises(BadInput, match=f"for a worker to join {address} and gives up"):
        fill(family(), store, show=False, scheduler=address)
    said = f"mvlib: waiting for a worker to join {address}, 0.000277778 h at most\n"
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.parametrize(
    "asked", [{"scheduler": "tcp://127.0.0.1:1"}, {"jobs": 2}], ids=["scheduler", "jobs"]
)
def test_without_the_package(
    asked: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    word = next(iter(asked))
    with pytest.raises(BadInput, match=rf"{word} \(--{word}\) = .*pip install distributed.*jobs 1"):
        fill(family(), store, show=False, **asked)


def test_one_process_is_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports no Dask, and threads of its OpenMP (which shows what it has read) do not spin."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    script = "import sys, mvlib.run.sweep; sys.exit('distributed' in sys.modules)"
    with process(sys.executable, "-c", script, OMP_DISPLAY_ENV="true") as alone:
        said = alone.communicate(timeout=LONG)[1]
    assert alone.returncode == 0
    assert re.search(r"OMP_WAIT_POLICY\s*=\s*'PASSIVE'", said), said


# -- processes of this machine -----------------------------------------------------------------


def test_two_sweeps_share_the_work(store: Store, expected: Store) -> None:
    with sweep("--results", store.root) as one, sweep("--results", store.root) as other:
        said = [sweeping.communicate(timeout=LONG) for sweeping in (one, other)]
    assert one.returncode == other.returncode == 0, said
    n = len(family())
    counts = [int(out.split(": ")[1].split(" computed now")[0]) for out, _ in said]
    assert sum(counts) == n, said  # each entry by one of them
    assert_same(store, expected, family())


def under_way(sweeping: subprocess.Popen[str], store: Store) -> list[psutil.Process]:
    """The processes that compute for a sweep, as soon as one keeps a checkpoint."""
    wait_for(lambda: list(store.root.glob(".checkpoints/long-*.npz")))
    return psutil.Process(sweeping.pid).children(recursive=True)


# A plain script, without `if __name__ == "__main__"`.
SCRIPT = """
import sys
from sweeps import failing, family
from mvlib.run.dispatch import ExperimentFailed
from mvlib.store.entries import Store
from mvlib.run.sweep import fill
print("once", flush=True)
try:
    fill([failing(), *family()], Store(sys.argv[1]), jobs=2, checkpoint_every=0.02)
except ExperimentFailed as error:
    print(error, type(error.__cause__).__name__, sep="\\n")
"""


def test_several_processes(store: Store, expected: Store, tmp_path: Path) -> None:
    """One of the experiments fails and all processes are killed; the others are as they should
    be."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(TESTS), *sys.path])
    with process(sys.executable, script, store.root, PYTHONPATH=path) as sweeping:
        for child in under_way(sweeping, store):
            child.kill()
        out, err = sweeping.communicate(timeout=LONG)
    assert sweeping.returncode == 0 and err == "", err
    once, said, cause = out.splitlines()
    assert once == "once" and cause == "FloatingPointError"
    assert said.startswith("experiment failing (too large a step) failed (FloatingPointError: ")
    assert "lower the step size" in said and said.endswith("all others are stored.")
    for left in store.root.glob(".checkpoints/failing-*"):  # how far it had come
        left.unlink()
    assert_same(store, expected, family())
    entry = entry_of(long(), store)
    assert entry is not None and entry.provenance["resumed"] is True


OWN = """
import sys
from dataclasses import dataclass
import numpy as np
from mvlib import Experiment, Kind, Store, register, run_all

@dataclass(frozen=True)
class Mine:
    size: int

def run_mine(study):
    return {"x": np.arange(study.size)}

register(Kind(name="mine", configuration=Mine, run=run_mine, work=lambda study: 1.0))
made = [Experiment(name="mine", scale="smoke", label=str(n), study=Mine(n)) for n in (2, 3)]
print([a["x"].tolist() for a in run_all(made, Store(sys.argv[1]), jobs=2)])
print([Store(sys.argv[1]).state("mine", e.study)[0] for e in made])
"""


def test_a_readers_own_kind_goes_with_the_order(store: Store, tmp_path: Path) -> None:
    """Other processes cannot import the script that registers it."""
    script = tmp_path / "script.py"
    script.write_text(OWN)
    path = os.pathsep.join(sys.path)
    with process(sys.executable, script, store.root, PYTHONPATH=path) as running:
        out, err = running.communicate(timeout=LONG)
    assert running.returncode == 0 and err == "", err
    assert out == "[[0, 1], [0, 1, 2]]\n['current', 'current']\n"


class Deadly:
    """Whoever unpickles it is killed."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, (f"__import__('os').kill(__import__('os').getpid(), {signal.SIGKILL:d})",)


def test_what_kills_its_process_twice_is_given_up() -> None:
    with unchecked():
        order = Order(study=TEACHER, outputs=Deadly())  # type: ignore[arg-type]
    with processes(1) as workers:
        future = workers.submit(order, priority=1, progress=lambda *_: None)
        wait_for(lambda: workers.awaited() is None and future.done())
        with pytest.raises(Killed, match="its process was killed 2 times; .* use fewer --jobs"):
            future.result()


# Every 1 ms is after every step: there is a checkpoint to find.
OFTEN = ("--jobs", 2, "--checkpoint-every", "0.001")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP], ids=["control-c", "hung up"])
@pytest.mark.usefixtures("heeds_hangup")
def test_a_sweep_leaves_no_process_behind(end: signal.Signals, store: Store) -> None:
    with sweep("--results", store.root, *OFTEN) as sweeping:
        children = under_way(sweeping, store)
        assert len(children) >= 2
        if end == signal.SIGINT:  # as a terminal does it: to every process
            for child in children:
                child.send_signal(end)
        sweeping.send_signal(end)
        said = sweeping.communicate(timeout=LONG)[1]
    if end == signal.SIGINT:
        assert sweeping.returncode == 130 and said.startswith("\nmvlib: interrupted"), said
        assert said.count("\n") == 2, said
    assert psutil.wait_procs(children, timeout=LONG)[1] == []
    assert not is_stored(long(), store)


def test_a_killed_sweep_goes_on_where_it_was(store: Store, expected: Store) -> None:
    """And leaves no process behind either."""
    with sweep("--results", store.root, *OFTEN) as sweeping:
        children = under_way(sweeping, store)
        sweeping.kill()
        assert psutil.wait_procs(children, timeout=LONG)[1] == []
    assert not is_stored(long(), store)
    with sweep("--results", store.root) as again:
        out, err = again.communicate(timeout=LONG)
    assert again.returncode == 0 and err == "" and " computed now" in out, err
    entry, whole = entry_of(long(), store), entry_of(long(), expected)
    assert entry is not None and whole is not None
    assert entry.provenance["resumed"] is True and "resumed" not in whole.provenance
    assert_same(store, expected, family())
