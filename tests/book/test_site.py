"""The built site in a real browser: every page, wide and narrow, light and dark."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import nbformat
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from bookpages import MOVED
from browser import ROOT, SHIFT, SHIFTS, build_site, open_browser, shifted
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, BrowserContext, Page, Route

import api
import opening
from executed import notebooks_in

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Of 1 MB for the first page: what a server without compression sends to a fresh browser.
FIRST_PAGE, SITE = 1_000_000, 40_000_000
TAB_STOPS = 25  # of a page, beside links and controls
SCREEN = 800  # of a small laptop
SET_AT = 80  # per cent of its size: what a formula that does not fit may be set at
SOURCES = notebooks_in(ROOT / "notebooks")
# Findings of axe-core that the theme causes and no style or template of ours can cure, by rule.
EXCEPTIONS: dict[str, str] = {}
# These take most of axe-core's time, and see nothing in a line but what its style gives it.
COLOURS = ["color-contrast", "link-in-text-block"]


@dataclass
class Visit:
    """What went wrong while a page was open, in words."""

    address: str
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page, origin: str) -> None:
        def said(kind: str, text: str, where: str) -> None:
            if kind in ("error", "warning"):
                self.faults.append(f"console {kind}: {text} {where}")

        def asked(url: str) -> None:
            if not url.startswith((origin, "data:", "blob:")):
                self.faults.append(f"asks outside: {url[:100]}")

        page.on("console", lambda m: said(m.type, m.text, m.location.get("url", "")))
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("request", lambda request: asked(request.url))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport=WIDE, color_scheme="light")  # type: ignore[arg-type]
    yield opened
    opened.close()


def pages(site: Path) -> dict[str, BeautifulSoup]:
    """Every page of the site, parsed without the images it embeds; not what leads on from an
    address of old."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        place = path.relative_to(site)
        if "_static" not in place.parts and place.with_suffix("").as_posix() not in MOVED:
            text = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", path.read_text(encoding="utf-8"))
            found[path.relative_to(site).as_posix()] = BeautifulSoup(text, "html.parser")
    return found


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[str, BeautifulSoup]:
    return pages(site)


# -- what the files say -----------------------------------------------------------------------


def test_no_link_is_broken(site: Path, parsed: dict[str, BeautifulSoup]) -> None:
    anchors = {page: {tag["id"] for tag in soup.select("[id]")} for page, soup in parsed.items()}
    broken = []
    for page, soup in parsed.items():
        for tag in soup.select("a[href], link[href], script[src], img[src]"):
            address = str(tag.get("href") or tag.get("src"))
            if urlsplit(address).scheme or address.startswith(("//", "data:")):
                continue
            path, anchor = urldefrag(urljoin(f"/{page}", address))
            path = unquote(urlsplit(path).path).lstrip("/") or "index.html"
            if not (site / path).is_file():
                broken.append(f"{page}: {address}")
            elif anchor.startswith("race:"):
                # A state of the explorable: it needs the explorable, and its tests follow it.
                if "mv-race" not in anchors[path]:
                    broken.append(f"{page}: {address}, no explorable there")
            elif anchor and path in anchors and unquote(anchor) not in anchors[path]:
                broken.append(f"{page}: {address}, no such anchor")
    assert not broken


def test_ids_are_unique(parsed: dict[str, BeautifulSoup]) -> None:
    for page, soup in parsed.items():
        ids = [tag["id"] for tag in soup.select("article [id]")]
        assert not {i for i in ids if ids.count(i) > 1}, page


def test_images_say_what_they_show(parsed: dict[str, BeautifulSoup]) -> None:
    for page, soup in parsed.items():
        for image in soup.select("article img"):
            alt = str(image.get("alt", ""))
            assert len(alt.split()) >= 3 and not re.search(r"\.(png|svg|jpe?g)\b", alt), page
        # The logo stands beside the book's name and says nothing more.
        assert all(image.has_attr("alt") for image in soup.select("img")), page


def test_every_figure_and_table_has_number_and_caption(parsed: dict[str, BeautifulSoup]) -> None:
    seen = []
    for page, soup in parsed.items():
        shown = [("Figure", tag) for tag in soup.select("article .cell_output img.mv-light")]
        shown += [("Table", tag) for tag in soup.select("article .cell_output table.table")]
        for kind, tag in shown:
            figure = tag.find_parent("figure")
            assert figure is not None, f"{page}: {tag.get('alt') or tag.get_text()[:60]}"
            number = figure.select_one(".caption-number")
            caption = figure.select_one(".caption-text")
            assert number and caption and len(caption.get_text().split()) >= 3, page
            assert re.fullmatch(rf"{kind} ([1-9A-Z]\d*\.)?\d+ ", number.get_text()), number
            seen.append(number.get_text())
    assert len(seen) > 90
    twice = {number for number in seen if seen.count(number) > 1}
    assert not twice


def test_verdicts_have_mu_as_a_letter_and_nowhere_else(parsed: dict[str, BeautifulSoup]) -> None:
    said = [line.get_text() for soup in parsed.values() for line in soup.select(".mv-verdicts li")]
    assert any("μ" in line for line in said)
    assert not [line for line in said if re.search(r"\bmu\b|μ\w|\wμ", line)]


def test_cells_of_sentences_have_room(parsed: dict[str, BeautifulSoup]) -> None:
    """Where rows become lists on a phone, each cell says its column."""
    long = 0
    for page, soup in parsed.items():
        for table in soup.select("article table.table"):
            cells, columns = table.select("td"), [tag.get_text() for tag in table.select("th")]
            told = [cell["data-column"] for cell in cells if cell.has_attr("data-column")]
            is_long = any(len(cell.get_text()) > 100 for cell in cells)
            assert is_long == ("mv-sentences" in table["class"]) == bool(told), page
            assert told == columns * (len(cells) // len(columns)) or not is_long, page
            long += is_long
    assert long > 10


def test_what_is_folded_says_what_it_is(parsed: dict[str, BeautifulSoup]) -> None:
    found = {
        summary.get_text(" ", strip=True)
        for soup in parsed.values()
        for summary in soup.select("article details.hide > summary")
    }
    assert found == {
        f"{verb} {what}" for verb in ("Show", "Hide") for what in ("the code", "code and result")
    } or found == {f"Show {what} Hide {what}" for what in ("the code", "code and result")}


def test_chapters_are_numbered(parsed: dict[str, BeautifulSoup]) -> None:
    """The sidebar's number is that of the chapter's figures; an appendix has a letter."""
    links = parsed["index.html"].select(".bd-sidebar-primary a.reference.internal[href^=chapters]")
    for link in links:
        soup = parsed[str(link["href"])]
        number = re.match(r"([0-9A-Z]+)\. ", link.get_text(strip=True))
        captions = [tag.get_text() for tag in soup.select("figcaption .caption-number")]
        own = [c for c in captions if number and re.search(rf" {number[1]}\.\d", c)]
        assert own == captions if number else all("." not in c for c in captions), link
    assert [link.get_text(strip=True)[:2] for link in links if "data-model" in str(link["href"])]
    assert [str(link["href"]) for link in links if link.get_text(strip=True).startswith("A. ")]


def test_chapters_are_cited_by_number(parsed: dict[str, BeautifulSoup]) -> None:
    cited = [link.get_text() for link in parsed["glossary.html"].select("article dd a .doc")]
    for text in ("Chapter 2, One network learns one view", "Appendix A, What it costs"):
        assert text in cited and text.partition(", ")[2] not in cited, text
    assert "How far to trust this" in cited


def follow(page: str, link: Tag | None) -> tuple[str, str]:
    """Page and anchor that a link of a page leads to."""
    assert link is not None
    path, anchor = urldefrag(urljoin(page, str(link["href"])))
    return path, unquote(anchor)


def test_every_public_name_has_an_address_and_its_source(parsed: dict[str, BeautifulSoup]) -> None:
    first, others = api.catalogue(ROOT / "mvlib")
    for public in (*first, *(public for left in others.values() for public in left)):
        entry = parsed["api.html"].find(id=public.path)
        assert entry is not None, public.path
        link = entry.select_one("a:has(.viewcode-link)")
        assert link is not None, f"{public.path}: no source"
        page, anchor = follow("api.html", link)
        code = parsed[page].find(id=anchor)
        word = "class" if public.is_class else "def"
        assert code and f"{word} {public.name}" in code.get_text(), public.path


def test_from_the_paper_to_code_and_verdict(parsed: dict[str, BeautifulSoup]) -> None:
    numbered, claims = parsed["paper-to-code.html"].select("article table")
    for row in numbered.select("tbody tr"):
        where, _ = row.select("td")
        code, *book = where.select("a")
        path = follow("paper-to-code.html", code)[1]
        assert path.rpartition(".")[2] == code.get_text(), where.get_text()
        assert book, where.get_text()
    told = json.loads((ROOT / "book" / "_verdicts.json").read_text(encoding="utf-8"))
    rows = claims.select("tbody tr")
    assert len(rows) == sum(map(len, told.values())) > 20
    for row in rows:
        claim, _, verdict, code = row.select("td")
        shown, anchor = follow("paper-to-code.html", claim.a)
        assert parsed[shown].find(id=anchor).name == "figure", claim.get_text()
        there, anchor = follow("paper-to-code.html", verdict.a)
        assert there == shown
        assert verdict.get_text() in parsed[there].find(id=anchor).get_text(), claim.get_text()
        assert follow("paper-to-code.html", code.a)[1].startswith("mvlib.findings.")
    looked_up = claims.get_text() + numbered.get_text()
    for words in ("Theorem 4", "(4.3) as printed", "Tangent kernels: distillation",
                  "Photographs: the distilled share", "training the average"):  # fmt: skip
        assert words in looked_up


def test_first_page_leads_to_measurement_and_code(parsed: dict[str, BeautifulSoup]) -> None:
    rows = parsed["index.html"].select("article .mv-findings tbody tr")
    told = json.loads((ROOT / "book" / "_verdicts.json").read_text(encoding="utf-8"))
    assert len(rows) == sum(map(len, told.values()))
    folded = [row for row in rows if row.find_parent("details")]
    assert len(rows) - len(folded) == sum(row["headline"] for of in told.values() for row in of)
    for row in rows:
        shown, code = (follow("index.html", link) for link in row.select("a"))
        assert shown[0].startswith("chapters/") and shown[1]
        assert parsed["api.html"].find(id=code[1]).name == "dt"


def test_names_in_chapters_lead_to_the_reference(parsed: dict[str, BeautifulSoup]) -> None:
    """Each call of a `report_...` function in a cell can be opened, and names in prose."""
    called = 0
    for source in SOURCES:
        page = f"chapters/{source.stem}.html"
        for cell in parsed[page].select("article div.cell_input pre"):
            for name in re.findall(r"\breport_\w+\.[a-z_]\w+(?=\()", cell.get_text()):
                links = [a for a in cell.select("a.mv-code") if a.get_text() == name]
                assert links, f"{source.stem}: {name}"
                assert follow(page, links[0])[1] == f"mvlib.findings.{name}"
                called += 1
    assert called > 60
    prose = parsed["notation.html"].select('article td a[href*="#mvlib."]')
    said = {a.get_text(): follow("notation.html", a)[1].rpartition(".")[2] for a in prose}
    assert said["MultiViewParams.sparsity"] == "MultiViewParams"  # a field leads to its class
    assert said["truncated_logit"] == "truncated_logit"
    assert "softmax" not in said  # the paper's, though the reduced dynamics have one


def test_theorems_have_the_papers_numbers(parsed: dict[str, BeautifulSoup]) -> None:
    for label, title in (("thm-single", "Theorem 1"), ("thm-ensemble", "Theorem 2"),
                         ("thm-distill", "Theorem 3")):  # fmt: skip
        [box] = [box for soup in parsed.values() if (box := soup.find(id=label))]
        assert box.get_text(strip=True).startswith(title)


def test_every_page_names_the_paper(parsed: dict[str, BeautifulSoup]) -> None:
    for page, soup in parsed.items():
        if page != "404.html":
            link = soup.select_one('footer a[href="https://arxiv.org/abs/2012.09816"]')
            assert link and "Towards Understanding" in link.get_text(), page
            assert "arXiv:2012.09816" in link.find_parent("footer").get_text()


def test_chapters_say_how_long_they_take(parsed: dict[str, BeautifulSoup]) -> None:
    for source in SOURCES:
        [line] = parsed[f"chapters/{source.stem}.html"].select("article .mv-reading")
        minutes = re.fullmatch(r"(\d+) minutes to read", line.get_text())
        assert minutes and 3 <= int(minutes[1]) <= 30, source.stem


def test_every_statement_can_be_linked_to(parsed: dict[str, BeautifulSoup]) -> None:
    labels = {
        label: path.stem
        for path in SOURCES
        for cell in nbformat.read(path, as_version=4)["cells"]
        for label in re.findall(r"\{prf:\w+\}.*\n:label: (\S+)", cell["source"])
    }
    assert labels, "no labels were found in the notebooks"
    for label, chapter in labels.items():
        statement = parsed[f"chapters/{chapter}.html"].find(id=label)
        assert statement is not None, label
        assert statement.select_one(f'a.headerlink[href="#{label}"]'), f"{label}: no permalink"
    for page, soup in parsed.items():
        for statement in soup.select("div.proof"):
            assert statement.get("id") in labels, f"{page}: a statement without a label"


def test_pages_tell_others_what_they_are(parsed: dict[str, BeautifulSoup]) -> None:
    titles, descriptions = [], []
    for page, soup in parsed.items():
        assert soup.title is not None and soup.title.string, page
        titles.append(soup.title.string)
        assert len(titles[-1]) <= 90, titles[-1]
        if page.startswith("_modules/"):
            continue
        if page in ("404.html", "genindex.html", "py-modindex.html", "prf-prf.html", "search.html"):
            continue
        content = {
            str(tag.get("property") or tag.get("name")): str(tag.get("content"))
            for tag in soup.select("meta[content]")
        }
        wanted = ["og:title", "og:description", "og:image", "og:url", "twitter:card", "description"]
        assert all(content.get(name) for name in wanted), page
        descriptions.append(content["description"])
        assert 40 <= len(descriptions[-1]) <= 210 and "\\" not in descriptions[-1], page
        assert (ROOT / "book" / urlsplit(content["og:image"]).path[1:]).is_file()
    assert len(set(titles)) == len(titles)
    assert len(set(descriptions)) == len(descriptions)


def test_sitemap_lists_every_page(site: Path, parsed: dict[str, BeautifulSoup]) -> None:
    listed = re.findall("<loc>(.*)</loc>", (site / "sitemap.xml").read_text())
    paths = {urlsplit(address).path.lstrip("/") for address in listed}
    special = {"404.html", "genindex.html", "prf-prf.html", "py-modindex.html", "search.html"}
    assert paths == {page for page in parsed.keys() - special if not page.startswith("_modules/")}


def test_nothing_can_be_launched_without_a_repository(parsed: dict[str, BeautifulSoup]) -> None:
    for page, soup in parsed.items():
        assert not soup.select('a[href*="mybinder.org/v2"], .dropdown-launch-buttons'), page


def test_site_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) <= SITE


REPOSITORY = "https://github.com/owner/place"


def test_addresses_and_launch_buttons_come_from_two_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a book of one notebook and one page, with the real configuration."""
    book = tmp_path / "book"
    (book / "chapters").mkdir(parents=True)
    for name in ("_ext", "_explorable", "_static", "_vendor", "references.bib"):
        (book / name).symlink_to(ROOT / "book" / name)
    (book / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: chapters/one\n- file: chapters/two\n"
    )
    (book / "index.md").write_text("# A book\n\nWith words in it.\n")
    cell = nbformat.v4.new_markdown_cell("# One\n\nA chapter.")
    knows = nbformat.v4.new_code_cell(opening.CODE.format(repository=REPOSITORY))
    knows["metadata"]["tags"] = ["remove-cell"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, cells in (("one", [cell, knows]), ("two", [cell])):
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        nbformat.write(notebook, book / "chapters" / f"{name}.ipynb")
    monkeypatch.setenv("BOOK_URL", "https://owner.example.org/place")
    monkeypatch.setenv("BOOK_REPOSITORY", REPOSITORY)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(book), "-W", "-n"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    built = book / "_build" / "html"
    chapter = BeautifulSoup((built / "chapters" / "one.html").read_text(), "html.parser")
    launch = chapter.select_one('a[href^="https://mybinder.org"]')
    # The notebook and not the executed chapter: its folder is where the store is found from.
    wanted = "gh/owner/place/main?urlpath=tree/notebooks/one.ipynb"
    assert launch and str(launch["href"]).endswith(wanted)
    colab = chapter.select_one('a[href^="https://colab.research.google.com"]')
    assert colab and str(colab["href"]).endswith("github/owner/place/blob/main/notebooks/one.ipynb")
    assert chapter.select_one(f'a[href^="{REPOSITORY}/issues/new"]')
    # A notebook that does not know where to fetch the library from cannot run there.
    other = (built / "chapters" / "two.html").read_text()
    assert "mybinder.org/v2" in other and "colab.research" not in other
    there = "https://owner.example.org/place/chapters/one.html"
    canonical, address = (
        chapter.select_one(s) for s in ('link[rel="canonical"]', 'meta[property="og:url"]')
    )
    assert canonical and address and canonical["href"] == address["content"] == there
    assert there in (built / "sitemap.xml").read_text()
    assert 'href="/place/index.html"' in (built / "404.html").read_text()


# -- what the browser shows -------------------------------------------------------------------


def page_faults(page: Page) -> list[str]:
    """Faults of the page as it now stands."""
    return page.evaluate(
        r"""() => {
            const faults = [];
            const wide = document.documentElement.scrollWidth;
            if (wide > innerWidth) faults.push(`${wide} px wide in a window of ${innerWidth}`);
            const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (text.nextNode()) {
                const hidden = text.currentNode.parentElement.closest(
                    "script, style, pre, code, mjx-assistive-mml");
                if (!hidden && /\\\(|\\\[|\$\$|\\(frac|mu|mathbb)\b/.test(text.currentNode.data))
                    faults.push(`raw formula: ${text.currentNode.data.slice(0, 60)}`);
            }
            for (const formula of document.querySelectorAll("article .math"))
                if (!formula.querySelector("mjx-container"))
                    faults.push(`formula not set: ${formula.textContent.slice(0, 60)}`);
            for (const error of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
                faults.push(`formula in error: ${error.textContent.slice(0, 60)}`);
            for (const image of document.images) {
                if (image.complete && !image.naturalWidth) faults.push(`no image: ${image.alt}`);
                const tall = image.clientWidth * image.naturalHeight / image.naturalWidth;
                if (image.complete && Math.abs(tall - image.clientHeight) > 2)
                    faults.push(`${image.clientHeight} px high for ${tall}: ${image.alt}`);
            }
            for (const cell of document.querySelectorAll("article .mv-sentences td"))
                if (innerWidth < 577 && cell.offsetWidth && cell.offsetWidth < 250)
                    faults.push(`a tower of ${cell.textContent.slice(0, 60)}`);
            for (const table of document.querySelectorAll("article table")) {
                let box = table;
                while (box.tagName !== "ARTICLE" && box.scrollWidth <= box.clientWidth + 1)
                    box = box.parentElement;
                if (box.tagName === "ARTICLE" || !table.offsetWidth) continue;
                const what = table.textContent.trim().slice(0, 60);
                if (innerWidth >= 1280 || table.matches(".mv-sentences"))
                    faults.push(`scrolls, ${box.scrollWidth} px in ${box.clientWidth}: ${what}`);
                const shades = getComputedStyle(box).backgroundAttachment;
                if (shades !== "local, local, scroll, scroll")
                    faults.push(`nothing says that there is more of ${what}`);
            }
            for (const still of document.querySelectorAll(".mv-alive > img"))
                if (still.offsetWidth) faults.push("a still beside the figure that moves");
            // Formulas and drawings are whole; tables and code may scroll.
            const cut = (box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1;
            for (const part of document.querySelectorAll("mjx-container[display] > mjx-math")) {
                const needs = part.getBoundingClientRect().width;
                const has = part.parentElement.clientWidth;
                if (needs > has + 1)
                    faults.push(`cut, ${needs} px in ${has}: ${part.textContent.slice(0, 60)}`);
            }
            for (const box of document.querySelectorAll("article div.math"))
                if (box.clientWidth && parseFloat(box.style.fontSize || "100%") < SET_AT)
                    faults.push(`set at ${box.style.fontSize}: ${box.textContent.slice(0, 60)}`);
            for (const part of document.querySelectorAll("article :is(div.math, img)"))
                for (let box = part; box.tagName !== "ARTICLE"; box = box.parentElement)
                    if (part.offsetWidth && cut(box))
                        faults.push(
                            `cut, ${box.scrollWidth} px in ${box.clientWidth}: ` +
                            (part.alt || part.id || part.textContent).slice(0, 60));
            const own = "a, button, input, select, textarea, summary, details";
            const stops = [...document.querySelectorAll("article [tabindex='0']")]
                .filter((stop) => !stop.matches(own) && stop.offsetWidth);
            if (stops.length > TAB_STOPS && location.pathname.includes("/chapters/"))
                faults.push(`${stops.length} needless stops of Tab`);
            for (const stop of stops)
                if (stop.closest("mjx-container"))
                    faults.push(`a formula is a stop of Tab: ${stop.textContent.slice(0, 40)}`);
            for (const button of document.querySelectorAll("button, input[type=submit]"))
                if (!(button.ariaLabel || button.title || button.value ||
                        button.textContent.trim() || button.labels.length))
                    faults.push(`a button without a name: ${button.outerHTML.slice(0, 80)}`);
            return faults;
        }""".replace("TAB_STOPS", str(TAB_STOPS)).replace("SET_AT", str(SET_AT))
    )


def settled(page: Page) -> None:
    """Wait until formulas are set, and what the page does of its own on a new size is done: that
    happens before the frame after the next."""
    page.evaluate("() => window.MathJax?.startup?.promise.then(() => 0)")
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def each_token_once(page: Page) -> None:
    """Leave one word of code of each kind, by the classes that colour it: axe-core looks at every
    word for seconds, and what is readable once is readable again."""
    page.evaluate(
        r"""() => {
            const seen = new Set();
            for (const word of document.querySelectorAll("article pre span:not([id])")) {
                let kind = "";
                for (let e = word; e !== document.body; e = e.parentElement)
                    kind += `${e.tagName} ${e.className} ${e.getAttribute("style")} > `;
                if (seen.has(kind)) word.replaceWith(...word.childNodes);
                seen.add(kind);
            }
        }"""
    )


def each_kind_once(page: Page) -> None:
    """Leave of lines that consist of the same kinds of words the first: colours are a matter of
    kinds, and pages have hundreds of lines alike."""
    page.evaluate(
        r"""() => {
            const seen = new Set();
            const kind = (element) => {
                let path = "";
                for (let e = element; e !== document.body; e = e.parentElement)
                    path += `${e.tagName} ${e.className} ${e.getAttribute("style")} > `;
                return path;
            };
            for (const line of document.querySelectorAll("article :is(dt, dd, li, p)")) {
                if (!line.isConnected || line.parentElement.closest("[data-kept]")) continue;
                const words = [line, ...line.querySelectorAll("*")]
                    .filter((word) => !word.parentElement.closest("mjx-container")).map(kind);
                if (words.every((word) => seen.has(word))) line.remove();
                else line.dataset.kept = words.forEach((word) => seen.add(word));
            }
        }"""
    )


def audit(page: Page, rules: list[str] | None = None, *, but: Sequence[str] = ()) -> list[str]:
    """Serious and critical findings of axe-core, by all rules or some."""
    # Without preload: axe would fetch imported style sheets, from the wrong folder.
    options: dict[str, object] = {"resultTypes": ["violations"], "preload": False}
    options["rules"] = {rule: {"enabled": False} for rule in but}
    if rules:
        options["runOnly"] = rules
    # The script is half a megabyte, and stays in the page.
    script = "0" if page.evaluate("'axe' in window") else AXE_SCRIPT
    found = Axe(script).run(page, options=options).response["violations"]
    return [
        f"axe {v['id']}: {node['target']} {node['html'][:120]} {node['failureSummary'][-160:]}"
        for v in found
        if v["impact"] in ("serious", "critical") and v["id"] not in EXCEPTIONS
        for node in v["nodes"][:5]
    ]


def look(page: Page, origin: str, address: str) -> list[str]:
    """Faults of one page, wide and narrow, light and dark."""

    def turn(scheme: Literal["light", "dark"]) -> None:
        page.emulate_media(color_scheme=scheme)
        if address != "404.html":
            page.wait_for_selector(f"html[data-theme={scheme}]")

    visit = Visit(address)
    visit.watch(page, origin)
    page.add_init_script(SHIFTS)
    for screen in (PHONE, WIDE):
        page.set_viewport_size(screen)  # type: ignore[arg-type]
        page.goto(origin + address, wait_until="load")
        settled(page)
        if (jumped := shifted(page)) > SHIFT:
            visit.faults.append(f"jumps by {jumped:.3f} at {screen['width']} px")
    # Colours are judged as they end up, not on their way from one theme to the other.
    page.add_style_tag(content="* { transition: none !important; }")
    visit.faults += page_faults(page)
    visit.faults += audit(page, but=COLOURS)
    turn("dark")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    settled(page)
    visit.faults += [f"phone: {fault}" for fault in page_faults(page)]
    # Boxes that scroll on a phone alone must be reached by the keyboard, too.
    visit.faults += [f"phone: {f}" for f in audit(page, ["scrollable-region-focusable"])]
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    # In dark mode other colours and other images are shown; nothing else of a page changes.
    visit.faults += [f"dark: {fault}" for fault in audit(page, ["image-alt"])]
    each_token_once(page)
    each_kind_once(page)
    visit.faults += [f"dark: {fault}" for fault in audit(page, COLOURS)]
    turn("light")
    visit.faults += audit(page, COLOURS)
    return [f"{address}: {fault}" for fault in visit.faults]


def look_at_all(origin: str, waiting: "SimpleQueue[str]") -> list[str]:
    """Faults of the pages that wait, in a browser of this thread's own."""
    faults = []
    with open_browser() as browser:
        context = browser.new_context(viewport=WIDE, color_scheme="light")  # type: ignore[arg-type]
        with suppress(Empty):
            while True:
                page = context.new_page()
                faults += look(page, origin, waiting.get_nowait())
                page.close()
    return faults


def test_every_page_wide_and_narrow_light_and_dark(
    site: Path, origin: str, parsed: dict[str, BeautifulSoup]
) -> None:
    waiting: SimpleQueue[str] = SimpleQueue()
    # The largest first, or one core would be left with it at the end.
    in_order = sorted(parsed, key=lambda page: -(site / page).stat().st_size)
    # Pages of source are made alike: one of them and their list stand for all.
    sources = [page for page in in_order if page.startswith("_modules/")][1:]
    for address in in_order:
        if address not in sources or address == "_modules/index.html":
            waiting.put(address)
    with ThreadPoolExecutor() as pool:
        browsers = [
            pool.submit(look_at_all, origin, waiting)
            for _ in range(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
        ]
        faults = [fault for done in browsers for fault in done.result()]
    assert not faults, "\n".join(faults)


def test_a_word_that_cannot_be_read_is_seen(context: BrowserContext) -> None:
    """Though most words of code are looked at as one."""
    page = context.new_page()
    word = '<span class="{}">word</span> '
    blocks = "".join(
        f"<div class={place}><pre>{word.format('plain') * 9}{word.format(kind) * 9}</pre></div>"
        for place, kind in (("one", "faint"), ("two", "clear"), ("three", "faint"))
    )
    page.set_content(
        '<html lang="en"><head><title>words</title><style>.one .faint {color: #ddd}'
        f".three .faint {{color: #eee}}</style></head><main><article>{blocks}</article></main>"
    )
    each_token_once(page)
    assert page.locator("pre span").count() == 6
    assert page.locator("article").inner_text().split() == ["word"] * 54
    faults = audit(page)
    assert len(faults) == 2 and all("color-contrast" in fault for fault in faults), faults
    assert all(place in fault for place, fault in zip((".one", ".three"), faults, strict=True))


def test_a_line_that_cannot_be_read_is_seen(context: BrowserContext) -> None:
    """Though lines alike are looked at as one."""
    page = context.new_page()
    line = "<dt>word</dt><dd><p>words and <code{}>code</code></p></dd>"
    lines = line.format("") * 5 + line.format(" style='color: #ddd'") + line.format("") * 5
    page.set_content(
        '<html lang="en"><head><title>lines</title></head>'
        f"<main><article><dl>{lines}</dl></article></main>"
    )
    each_kind_once(page)
    assert [page.locator(f"article {tag}").count() for tag in ("dt", "dd", "code")] == [1, 2, 2]
    [fault] = audit(page, COLOURS)
    assert "color-contrast" in fault and "#ddd" in fault


def test_nothing_jumps_where_a_reader_runs_through_the_reference(
    origin: str, context: BrowserContext
) -> None:
    page = context.new_page()
    page.add_init_script(SHIFTS)
    page.goto(f"{origin}api.html")
    settled(page)
    here, seen = page.locator("#pst-page-toc-nav a[aria-current]"), set()
    page.mouse.move(600, 400)
    for _ in range(25):
        page.mouse.wheel(0, 6000)
        page.wait_for_timeout(100)
        if here.count():
            seen.add(here.inner_text())
            place, bar = here.bounding_box(), page.locator(".bd-sidebar-secondary").bounding_box()
            assert place and bar and bar["y"] <= place["y"] < bar["y"] + bar["height"]
    assert len(seen) > 3
    assert shifted(page) <= SHIFT


def test_nothing_jumps_on_a_first_visit(origin: str, context: BrowserContext) -> None:
    """When the theme has not stored its colours yet, and a script has to choose them."""
    page = context.new_page()
    page.add_init_script(SHIFTS)
    page.goto(f"{origin}paper-to-code.html")
    page.wait_for_selector("html[data-theme=light]")
    settled(page)
    assert shifted(page) <= SHIFT


def test_first_page_is_light(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    client = context.new_cdp_session(page)
    sizes: list[float] = []
    client.send("Network.enable")
    client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(origin, wait_until="networkidle")
    assert len(sizes) > 10
    assert sum(sizes) <= FIRST_PAGE, f"{sum(sizes):,.0f} bytes"


@pytest.mark.parametrize("words", ["lottery", "Theorem 1", "theorem 1"])
def test_search_finds_the_theorem_first(words: str, origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(origin)
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input[name=q]").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    found = page.locator("#search-results ul.search li")
    found.locator("p.context").first.wait_for()
    page.wait_for_function(
        "document.querySelector('#search-summary, .search-summary')?.textContent"
    )
    page.wait_for_timeout(500)  # results come one by one
    for snippet in found.locator("p.context").all_inner_texts():
        assert not re.search(r"\.ipynb|\.pdf|\\\(|\\frac", snippet), snippet
    first = found.locator("a").first
    assert "One network learns one view" in first.inner_text()
    first.click()
    page.wait_for_url("**/02-single-model.html*")


def test_theme_can_be_chosen_and_is_remembered(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(origin)
    assert page.get_attribute("html", "data-theme") == "light"
    while page.get_attribute("html", "data-mode") != "dark":
        page.locator(".theme-switch-button:visible").first.click()
    page.goto(origin + "notation.html")
    assert page.get_attribute("html", "data-theme") == "dark"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_first_screen_states_claim_and_verdict(
    source: Path, origin: str, context: BrowserContext
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": SCREEN})
    page.goto(f"{origin}chapters/{source.stem}.html")
    claim = page.locator("article .admonition.tip").first
    if claim.count() == 0:
        pytest.skip("a page to play on")
    settled(page)
    told = json.loads((ROOT / "book" / "_verdicts.json").read_text(encoding="utf-8"))
    boxes = [claim]
    if source.stem in told:
        boxes.append(page.locator("article .mv-verdicts .mv-verdict").first)
    for box in boxes:
        place = box.bounding_box()
        assert place and place["y"] + min(place["height"], 60) <= SCREEN, source.stem


def test_links_show_where_they_lead(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    visit = Visit("previews")
    visit.watch(page, origin)
    page.goto(origin + "notation.html")
    settled(page)
    link = page.locator('article a[href$="#def-data"]').first
    link.hover()
    box = page.locator("#mv-preview")
    box.wait_for(state="visible")
    assert "Multi-view and single-view data" in box.inner_text()
    assert box.locator("mjx-container").count() > 3
    assert link.get_attribute("aria-describedby") == "mv-preview"
    page.keyboard.press("Escape")
    assert box.count() == 0
    page.mouse.move(0, 0)
    page.locator('article a[href$="#equation-eq-gd"]').first.focus()
    box.wait_for(state="visible")
    assert box.locator("mjx-container").count() > 0
    on_screen = box.bounding_box()
    assert on_screen and on_screen["x"] >= 0 and on_screen["x"] + on_screen["width"] <= 1280
    page.keyboard.press("Escape")
    assert box.count() == 0
    assert not visit.faults


def test_a_page_without_formulas_can_preview_them(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    visit = Visit("previews")
    visit.watch(page, origin)
    target = "chapters/04-distillation.html#equation-eq-distill"
    link = f'<a id="probe" class="reference internal" href="{target}">'

    def with_link(route: Route) -> None:
        body = route.fetch().text().replace("</section>", f"<p>{link}a formula</a></p></section>")
        route.fulfill(body=body, content_type="text/html")

    page.route("**/references.html", with_link)
    page.goto(origin + "references.html")
    assert page.evaluate("window.MathJax?.typesetPromise === undefined")
    page.locator("#probe").hover()
    page.locator("#mv-preview mjx-container").wait_for(state="visible")
    assert not visit.faults


def test_code_can_be_copied(origin: str, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(origin + "rerun.html")
    block = page.locator("div.highlight", has_text="papermill notebooks").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("papermill notebooks/")


def test_wrong_address_leads_back(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(origin + "no/such/page.html")
    page.get_by_role("link", name="first page").click()
    page.wait_for_url("**/index.html")
    assert page.locator("h1").first.inner_text().startswith("The multi-view book")


def test_print_leaves_the_text(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(origin + "chapters/02-single-model.html")
    page.emulate_media(media="print")
    for gone in (".bd-sidebar-primary", ".bd-header-article", ".prev-next-footer"):
        assert not page.locator(gone).first.is_visible(), gone
    assert page.locator("img.mv-light").first.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.sd-dropdown:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.sd-dropdown:not([open])").count() > 0


def test_old_addresses_lead_on(origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    for old, new in MOVED.items():
        visit = Visit(old)
        visit.watch(page, origin)
        page.goto(f"{origin}{old}.html#exercises")
        page.wait_for_url(f"{origin}{new}.html#exercises")
        assert not visit.faults
    without = context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    page = without.new_page()
    page.goto(f"{origin}{old}.html")
    page.wait_for_url(f"{origin}{new}.html")
    without.close()


# -- notebooks --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_chapter_downloads(source: Path, origin: str, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{origin}chapters/{source.stem}.html")
    page.locator(".dropdown-download-buttons > button").hover()
    with page.expect_download() as download:
        page.locator("a.btn-download-source-button").click()
    assert download.value.suggested_filename == source.name
    content = Path(download.value.path()).read_bytes()
    assert content == (ROOT / "book" / "chapters" / source.name).read_bytes()
    nbformat.validate(nbformat.reads(content.decode(), as_version=4))


def test_a_downloaded_notebook_runs(site: Path, tmp_path: Path) -> None:
    """As `rerun` says: from anywhere, small, into a store of one's own."""
    notebook = site / "_sources" / "chapters" / "01-data-model.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb")]
    options = ["-p", "scale", "smoke", "-p", "results", str(tmp_path / "results")]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert any(cell.get("execution_count") for cell in cells)


# -- paper ------------------------------------------------------------------------------------


def test_a_page_prints(site: Path, tmp_path: Path) -> None:
    """In a process of its own: a second driver cannot start beside this module's."""
    command = [sys.executable, str(ROOT / "book" / "pdf.py"), "--site", str(site)]
    command += ["--output", str(tmp_path), "03-ensemble"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "03-ensemble.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3
    unknown = subprocess.run([*command, "no-page"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "'no-page'" in unknown.stderr
    assert "03-ensemble" in unknown.stderr and "Traceback" not in unknown.stderr
