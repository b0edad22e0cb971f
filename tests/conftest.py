"""Shared by all tests: hypothesis without deadlines or luck, and one store at smoke scale."""

import signal
from pathlib import Path

import matplotlib
import pytest
from hypothesis import settings

from mvlib.__main__ import main

# A test run in the background of a shell may have Ctrl-C ignored, and so would its children: the
# tests that interrupt a process would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
matplotlib.use("Agg")
settings.register_profile("mvlib", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("mvlib")


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store holding the single-model experiments at smoke scale.  Read it, never change it."""
    root = tmp_path_factory.mktemp("smoke") / "results"
    assert main(["run", "--scale", "smoke", "--name", "single-model", "--results", str(root)]) == 0
    return root
