"""The built site, a server for it and a browser to look at it with.

Used as context managers, not kept for the whole session: while a browser is open, its driver's
event loop runs in this thread, and tests that start loops of their own would fail.
"""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pdf import OPTIONS, find_chromium

ROOT = Path(__file__).resolve().parent.parent
# Of a page, as browsers score it: 0.1 is their "good".
SHIFT = 0.05
# Keeps what jumped of itself, not after a reader's move.
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => { for (const entry of list.getEntries())
        if (!entry.hadRecentInput) window.shifts.push(entry.value);
    }).observe({ type: "layout-shift", buffered: true });
"""


def chromium() -> str:
    """Where the system's Chromium is; without one the test is skipped, but in CI it fails."""
    found = find_chromium()
    if found is None:
        missing = "no chromium on the PATH; on Debian: apt install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def build_site(folder: Path) -> Path:
    """Build the book from the committed chapters; warnings fail it.  Gives the HTML's folder."""
    command = [Path(sys.executable).parent / "jupyter-book", "build", ROOT / "book"]
    options = ["--path-output", folder, "-W", "-n", "--keep-going"]
    # Another book's address, or none: what the tests expect must not depend on the machine.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BOOK_")}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log, and its 404.html for what is not there, as hosts do."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            return super().send_error(code, message, explain)
        content = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of this folder, with a slash at its end."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def shifted(page: Page) -> float:
    """How much of a page has jumped since it was opened, where `SHIFTS` was put into it."""
    return sum(page.evaluate("window.shifts"))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()
