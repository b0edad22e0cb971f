"""Print the built site: one PDF a page, by headless Chromium and the site's print style sheet.

python book/pdf.py                    # every page of the book, into book/_build/pdf/
python book/pdf.py 03-ensemble trust  # these
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

BUILT = Path(__file__).resolve().parent / "_build"
# No sandbox: CI runs as root in a container.  The rest keeps Chromium itself off the network.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Made for the screen: they list, find or excuse, and say nothing.
SCREEN_ONLY = {"404", "genindex", "prf-prf", "search"}
MARGINS = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
STYLE = "font: 8px sans-serif; width: 100%; margin: 0 16mm; color: #555;"
HEAD = f'<div style="{STYLE}"><span class="title"></span></div>'
FOOT = f'<div style="{STYLE} text-align: right;"><span class="pageNumber"></span></div>'


def find_chromium() -> str | None:
    """The system's Chromium, if it has one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def pages(site: Path, names: list[str]) -> list[Path]:
    """The pages to print, by name without folder and ending; all, if none is named.

    Raises:
        ValueError: if a name belongs to no page.
    """
    found = {
        path.stem: path
        for path in sorted(site.rglob("*.html"))
        if not {"_static", "_modules"} & set(path.relative_to(site).parts)
        and path.stem not in SCREEN_ONLY
    }
    for name in names:
        if name not in found:
            raise ValueError(f"no page is called {name!r}; there are {', '.join(found)}.")
    return [found[name] for name in names or found]


def print_page(browser: Browser, page: Path, target: Path) -> None:
    """Print one page as it stands in the light theme, when its formulas are set."""
    context = browser.new_context(color_scheme="light")
    tab = context.new_page()
    tab.goto(page.as_uri(), wait_until="load")
    tab.evaluate("() => window.MathJax?.startup?.promise.then(() => 0)")
    tab.evaluate("() => document.fonts.ready.then(() => 0)")
    tab.pdf(
        path=target,
        format="A4",
        margin=MARGINS,  # type: ignore[arg-type]
        display_header_footer=True,
        header_template=HEAD,
        footer_template=FOOT,
        tagged=True,
        outline=True,
    )
    context.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Print the built site, one PDF a page.")
    parser.add_argument("pages", nargs="*", help="names of pages, e.g. 03-ensemble (default: all)")
    parser.add_argument("--site", type=Path, default=BUILT / "html", help="the built site")
    parser.add_argument("--output", type=Path, default=BUILT / "pdf", help="where PDFs go")
    options = parser.parse_args(arguments)
    chromium = find_chromium()
    if chromium is None:
        print("pdf: Chromium was not found; on Debian or Ubuntu: apt install chromium.",
              file=sys.stderr)  # fmt: skip
        return 2
    if not (options.site / "index.html").exists():
        print(f"pdf: no site in {options.site}; build it with `make book`.", file=sys.stderr)
        return 2
    try:
        chosen = pages(options.site, options.pages)
    except ValueError as error:
        print(f"pdf: {error}", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        for page in chosen:
            target = options.output / f"{page.stem}.pdf"
            print_page(browser, page, target)
            print(target)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
