"""Shared by the tests that open pages in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import open_browser, serving
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def origin(site: Path) -> Iterator[str]:
    """Where the module's own `site` is served."""
    with serving(site) as address:
        yield address
