"""Shared by all tests: hypothesis without deadlines or luck, and one store at smoke scale."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from filelock import FileLock
from hypothesis import settings

from mvlib.experiments.catalogue import experiments
from mvlib.findings.claims import NEEDED, findings, needed
from mvlib.findings.finding import Finding
from mvlib.run.sweep import fill, stored
from mvlib.store.entries import Arrays, Store

# A test run in the background of a shell may have Ctrl-C ignored, and so would its children: the
# tests that interrupt a process would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
matplotlib.use("Agg")
settings.register_profile("mvlib", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("mvlib")


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store holding all that the findings rest on, at smoke scale.  Read it, never change it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # one store for all workers
        folder = folder.parent
    with FileLock(folder / "smoke.lock"):
        fill(needed("smoke"), Store(folder / "smoke"), show=False)
    return folder / "smoke"


@pytest.fixture(scope="session")
def smoke_families(smoke_store: Path) -> dict[str, list[Arrays]]:
    """The arrays of these experiments by name, one a data draw."""
    store = Store(smoke_store)
    return {name: stored(experiments("smoke", name), store) for name in NEEDED}


@pytest.fixture(scope="session")
def smoke_findings(smoke_store: Path) -> dict[str, Finding]:
    """Every finding at smoke scale, by claim."""
    store = Store(smoke_store)
    return {f.claim: f for f in findings("smoke", lambda e: stored([e], store)[0])}


@pytest.fixture
def heeds_hangup() -> Iterator[None]:
    """Whatever a test starts ends with its terminal, also where the tests run under nohup, whose
    children would ignore a hang-up."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
