"""What the theme leaves to do: addresses, what others see of a page, previews, a light first load.

A Sphinx extension, named in `_config.yml`.  It changes pages as they are written and adds a
sitemap, a page for wrong addresses and the previews that `_static/book.js` shows.  Two variables
of the environment tell it what nobody can know before the book is published:

    BOOK_URL         where the site will stand; else `html_baseurl` of _config.yml
    BOOK_REPOSITORY  where the source stands; else `repository: url` of _config.yml
"""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bookformulas import room
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).parent
# Sitemaps and social cards need whole addresses.  `.example` can belong to nobody.
PLACEHOLDER = "https://multi-view-book.example/"
CARD = "_static/social-card.png"
CARD_ALT = "Two overlapping discs, blue and orange: two views of one thing. The multi-view book."
# For building and for other languages; no page asks for them.
UNUSED = (
    "_static/locales",
    "_static/scripts/*.map",
    "_static/scripts/fontawesome.js*",
    "_static/styles/*.map",
    "_static/vendor/**/*.ttf",
)
ICON = re.compile(
    r'<(?P<tag>i|span) class="(?P<classes>[^"]*\bfa-(?P<name>[a-z0-9-]+)[^"]*)"(?P<rest>[^>]*)>'
    r"\s*</(?P=tag)>"
)
# The theme's style sheet names all icons of a font of which it uses a handful, for admonitions.
ICON_NAMES = re.compile(r'\.fa-[a-z0-9-]+:before\{content:"[^"]*"\}')
SIZES = {"solid", "brands", "regular", "lg", "fw"}
PROOF = re.compile(
    r'(<div class="proof [^"]*" id="(?P<id>[^"]+)">\s*<p class="admonition-title">.*?)(</p>)'
)
# The box that opens a chapter, and a cell of the first page's table.
CLAIM = re.compile(
    r'<div class="(?=[^"]*\badmonition\b)(?=[^"]*\btip\b)[^"]*">.*?</div>', re.DOTALL
)
VERDICTS = {"holds": "●", "right direction": "◐", "not at this size": "○", "fails": "✕"}
SIGNS = {"mu": "μ", "tau": "τ"}  # what findings spell out
GREEK = re.compile(rf"\b({'|'.join(SIGNS)})\b")
FINDINGS = re.compile(r'<div class="mv-findings.*?</table>', re.DOTALL)
# Scripts that serve one kind of thing -> what a page that has it contains.
PARTS = {
    "steps.js": 'class="mv-steps"',
    "copybutton": "<pre",
    "clipboard": "<pre",
    "togglebutton": "toggle",
    "design-tabs": "sd-tab",
}
VERDICT_CELL = re.compile(rf"(<td><p>)({'|'.join(VERDICTS)})(</p></td>)")
WORDS_A_MINUTE = 220
FEW = 6  # claims of a chapter that are all said at once
# Where chapters once stood -> where they stand: links from elsewhere go on leading to them.
MOVED = {
    "chapters/02-ntk-contrast": "chapters/06-ntk-contrast",
    "chapters/03-single-model": "chapters/02-single-model",
    "chapters/04-ensemble": "chapters/03-ensemble",
    "chapters/05-distillation": "chapters/04-distillation",
    "chapters/06-self-distillation": "chapters/05-self-distillation",
    "chapters/09-what-it-costs": "chapters/a1-what-it-costs",
    "chapters/10-how-far-it-holds": "chapters/09-how-far-it-holds",
    "chapters/11-towards-the-limit": "chapters/10-towards-the-limit",
    "chapters/12-mixup": "chapters/11-mixup",
}
# What stands beside the arrow that unfolds a cell.
PROMPT = re.compile(r"\b(Show|Hide) code cell (source|content)\b")
FOLDED = {"source": "the code", "content": "code and result"}
TABLE = re.compile(r'<table class="table".*?</table>', re.DOTALL)
COLUMN = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)
SENTENCES = 100  # letters
EMBEDDED = re.compile(r'src="data:[^"]*"')
DRAWING = re.compile(r'<img (?=[^>]*\bsrc="[^"]*_images/([\w-]+\.svg)")')
SIZE = re.compile(r'width="([\d.]+)pt" height="([\d.]+)pt"')
FORMULA = re.compile(r'<(span|div) class="math (?=[^>]*>(.*?)</\1>)', re.DOTALL)


# -- addresses ----------------------------------------------------------------------------------


def set_addresses(app: Sphinx, config: Config) -> None:
    """Take the two addresses from the environment; without a repository nothing can be launched or
    reported."""
    base = os.environ.get("BOOK_URL") or str(config.html_baseurl or "")
    config.html_baseurl = base.rstrip("/") + "/" if base else ""
    config.html_search_scorer = str(HERE / "search.js")  # which no relative path would find
    options = config.html_theme_options
    repository = os.environ.get("BOOK_REPOSITORY") or options.get("repository_url") or ""
    options["repository_url"] = repository
    if not repository:
        options["launch_buttons"] = {}
    on_github = "://github.com/" in repository
    options["use_issues_button"] = on_github
    if not on_github:  # the only place that Colab opens notebooks from by address
        options["launch_buttons"].pop("colab_url", None)


# -- every page ---------------------------------------------------------------------------------


def finish_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """The parts of a page that its source does not say."""
    body = context.get("body", "")
    context["script_files"] = [s for s in context["script_files"] if _needed(s, body)]
    if pagename == app.config.root_doc:
        context["docstitle"] = ""  # or its title would read "The book - The book"
    if not doctree:
        return
    for button in context.get("header_buttons", []):
        items = button.get("buttons", [])
        items[:] = [item for item in items if _leads_somewhere(app, pagename, item)]
        for item in items:
            # The book shows executed chapters; what one wants to run is the notebook.
            if "url" in item and "://" in item["url"]:
                item["url"] = item["url"].replace("chapters%2F", "notebooks%2F")
                item["url"] = item["url"].replace("/chapters/", "/notebooks/")
    context["metatags"] += _meta(app, pagename, context["title"], _description(doctree))
    # Every theorem's content has the same id; ids must be unique, and nothing uses this one.
    body = body.replace(' id="proof-content"', "")
    permalink = r'\1<a class="headerlink" href="#\g<id>" title="Link to this statement">#</a>\3'
    body = PROOF.sub(permalink, body)
    if pagename == app.config.root_doc:
        body = VERDICT_CELL.sub(lambda m: f"{m[1]}{_marked(m[2])}{m[3]}", body)
        body = FINDINGS.sub(lambda table: GREEK.sub(_greek, table[0]), body)
    if pagename.startswith("chapters/"):
        body = body.replace("</h1>", f"</h1>\n{_reading_time(doctree)}", 1)
    body = TABLE.sub(lambda table: _table(table[0]), body)
    body = PROMPT.sub(lambda prompt: f"{prompt[1]} {FOLDED[prompt[2]]}", body)
    body = DRAWING.sub(lambda m: f"<img {_size(Path(app.srcdir) / '_static' / m[1])} ", body)
    body = FORMULA.sub(lambda m: f'<{m[1]} style="{room(m[1], m[2])}" class="math ', body)
    context["body"] = CLAIM.sub(lambda box: box[0] + _verdicts(app, pagename), body, count=1)


def _leads_somewhere(app: Sphinx, pagename: str, item: dict[str, Any]) -> bool:
    """Colab has nothing but the notebook, whose first cell must name the repository to fetch."""
    if item.get("text") != "Colab":
        return True
    notebook = Path(app.env.doc2path(pagename)).read_text(encoding="utf-8")
    return app.config.html_theme_options["repository_url"] in notebook


def _reading_time(doctree: nodes.Node) -> str:
    """How long the page's paragraphs take at a steady pace, without figures and exercises run."""
    words = sum(len(paragraph.astext().split()) for paragraph in doctree.findall(nodes.paragraph))
    return f'<p class="mv-reading">{max(1, round(words / WORDS_A_MINUTE))} minutes to read</p>'


def _verdicts(app: Sphinx, pagename: str) -> str:
    """What was measured of a chapter's claims, as `answer.py` wrote it, to stand below the box."""
    path = Path(app.srcdir) / "_verdicts.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = told.get(pagename.removeprefix("chapters/"), [])
    first = [row for row in rows if row["headline"]]
    if len(rows) <= FEW or not first:
        return _claims(rows)
    rest = [row for row in rows if not row["headline"]]
    summary = f"<summary>{len(rest)} more claims of this chapter</summary>"
    return f'{_claims(first)}<details class="mv-more">{summary}{_claims(rest)}</details>'


def _claims(rows: list[dict[str, Any]]) -> str:
    """A list of claims and what was measured of them."""
    lines = [
        f'<li id="verdict-{row["key"]}">'
        "<strong>{claim}</strong> Predicted {predicted}, measured {measured} ({unit}) "
        "{mark}</li>".format(
            mark=_marked(row["verdict"]),
            **{name: GREEK.sub(_greek, html.escape(str(value))) for name, value in row.items()},
        )
        for row in rows
    ]
    return f'<ul class="mv-verdicts">{"".join(lines)}</ul>' if lines else ""


def _greek(word: re.Match[str]) -> str:
    """A symbol that findings spell out, as a sign."""
    return SIGNS[word[0]]


def _marked(verdict: str) -> str:
    """A verdict in words, with a shape and a colour of its own."""
    shape = VERDICTS[verdict]
    return f'<span class="mv-verdict mv-{verdict.replace(" ", "-")}">{shape} {verdict}</span>'


def _table(table: str) -> str:
    """A table; of one with whole sentences each row becomes a list on a phone (see custom.css), in
    which a cell has to say its column."""
    if all(len(html.unescape(_bare_text(cell))) <= SENTENCES for cell in CELL.findall(table)):
        return table
    columns = itertools.cycle(_bare_text(column) for column in COLUMN.findall(table))
    table = table.replace('class="table"', 'class="table mv-sentences"', 1)
    return CELL.sub(lambda cell: f'<td data-column="{next(columns)}">{cell[1]}</td>', table)


def _bare_text(content: str) -> str:
    """What one reads of a piece of a page, still escaped."""
    return re.sub(r"<[^>]*>", "", content).replace('"', "&quot;").strip()


def _size(drawing: Path) -> str:
    """Width and height of a drawing of ours, for its place to be kept until it has come."""
    found = SIZE.search(drawing.read_text(encoding="utf-8"))
    if not found:
        return ""
    wide, high = (round(float(points) * 4 / 3) for points in found.groups())
    return f'width="{wide}" height="{high}"'


def _needed(script: Any, body: str) -> bool:
    """Whether a page needs a script: formulas and moving figures are not everywhere, live kernels
    nowhere."""
    name = str(getattr(script, "filename", script) or "")
    inline = str(getattr(script, "attributes", {}).get("body", ""))
    if "thebe" in (name + inline).lower():
        return False
    for script, part in PARTS.items():
        if script in name:
            return part in body
    return "mathjax" not in name or 'class="math' in body


def _meta(app: Sphinx, pagename: str, title: str, description: str) -> str:
    base = app.config.html_baseurl or PLACEHOLDER
    title = BeautifulSoup(title, "html.parser").get_text()
    tags = {
        "og:title": title,
        "og:description": description,
        "og:type": "website" if pagename == app.config.root_doc else "article",
        "og:url": base + app.builder.get_target_uri(pagename),
        "og:site_name": app.config.html_title,
        "og:image": base + CARD,
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": CARD_ALT,
    }
    names = {"description": description, "twitter:card": "summary_large_image"}
    lines = [f'<meta property="{k}" content="{html.escape(v)}" />' for k, v in tags.items()]
    lines += [f'<meta name="{k}" content="{html.escape(v)}" />' for k, v in names.items()]
    return "\n    ".join(["", *lines, ""])


def _description(doctree: nodes.Node, limit: int = 200) -> str:
    """The page's first paragraph (a chapter's is its claim), cut after a sentence or a word."""
    text = ""
    for paragraph in doctree.findall(nodes.paragraph):
        text += " " + "".join(
            _in_words(part.astext()) if isinstance(part.parent, nodes.math) else part.astext()
            for part in paragraph.findall(nodes.Text)
        )
        if len(text) > 60:
            break
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    cut = text[:limit]
    stop = max(cut.rfind(end) for end in (". ", "? "))
    return cut[: stop + 1] if stop > 60 else cut.rsplit(" ", 1)[0] + " ..."


def _in_words(tex: str) -> str:
    """A short formula as text: a search engine shows no mathematics."""
    tex = re.sub(r"\\frac(\d)(\d)", r"\1/\2 ", tex).replace(r"\mu", "μ").replace(r"\to", "→")
    return re.sub(r"[\\{}$]", "", tex.replace(r"\infty", "∞"))


def previews(address: str, page: str) -> dict[str, str]:
    """What links to a page's statements, equations and glossary entries show before one goes."""
    if not any(part in page for part in ('class="proof', 'id="equation-', 'class="glossary')):
        return {}
    soup = BeautifulSoup(EMBEDDED.sub('src=""', page), "html.parser")
    found = {}
    for target in soup.select('div.proof[id], div.math[id^="equation-"], dl.glossary dt[id]'):
        shown: list[Tag | None] = [target]
        if target.name == "dt":
            shown.append(target.find_next_sibling("dd"))
        found[f"{address}#{target['id']}"] = "".join(_bare(part) for part in shown if part)
    return found


def _bare(element: Tag) -> str:
    """A copy without ids, permalinks and links, which would lead nowhere from another page."""
    copy = BeautifulSoup(str(element), "html.parser")
    for link in copy.select("a.headerlink"):
        link.decompose()
    for link in copy.select("a"):
        link.unwrap()
    for part in copy.select("[id]"):
        del part["id"]
    return str(copy)


# -- the whole site -----------------------------------------------------------------------------


def finish_site(app: Sphinx, failure: Exception | None) -> None:
    """Draw icons into the pages, drop what nothing uses, write the site's own files."""
    if failure or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [p for p in sorted(out.rglob("*.html")) if "_static" not in p.relative_to(out).parts]
    library = out / "_static" / "scripts" / "fontawesome.js"
    # Absent where a build began with pages that an earlier one has finished.
    icons = Icons(library.read_text(encoding="utf-8")) if library.exists() else None
    shown: dict[str, str] = {}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        done = finish_html(text, icons)
        if done != text:
            page.write_text(done, encoding="utf-8")
        shown |= previews(page.relative_to(out).as_posix(), done)
    sheet = out / "_static" / "styles" / "pydata-sphinx-theme.css"
    sheet.write_text(ICON_NAMES.sub("", sheet.read_text(encoding="utf-8")), encoding="utf-8")
    for pattern in UNUSED:
        for path in out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # A script and not JSON: pages opened as files may load scripts, and nothing else.
    macros = json.dumps(app.config.mathjax3_config or {})
    (out / "_static" / "previews-data.js").write_text(
        f"window.bookPreviews = {json.dumps(shown, ensure_ascii=False)};\n"
        f"window.bookMathJax = {macros};\n",
        encoding="utf-8",
    )
    base = app.config.html_baseurl or PLACEHOLDER
    documents = sorted(app.env.found_docs & set(app.env.all_docs))
    (out / "sitemap.xml").write_text(sitemap(base, documents), encoding="utf-8")
    lost = (HERE / "404.html").read_text(encoding="utf-8")
    root = urlsplit(app.config.html_baseurl).path or "/"
    (out / "404.html").write_text(lost.replace("{root}", root), encoding="utf-8")
    leads = (HERE / "moved.html").read_text(encoding="utf-8")
    for old, new in MOVED.items():
        if new in documents:  # both lie in one folder
            there = leads.replace("{page}", f"{new.rpartition('/')[2]}.html")
            (out / f"{old}.html").write_text(there, encoding="utf-8")


class Icons:
    """The drawings in the theme's icon script, which is larger than all the rest of a page."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.found: dict[str, re.Match[str] | None] = {}

    def find(self, name: str) -> re.Match[str] | None:
        """Width, height and path of an icon; each search goes through a megabyte."""
        if name not in self.found:
            self.found[name] = re.search(
                rf'"?\b{name}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', self.script
            )
        return self.found[name]

    def draw(self, found: re.Match[str]) -> str:
        """The element's replacement: its icon, without the script that would have drawn it."""
        names = re.findall(r"\bfa-([a-z0-9-]+)", found["classes"])
        name = next(n for n in names if n not in SIZES)
        drawing = self.find(name)
        if drawing is None:
            return found[0]
        width, height, path = drawing.groups()
        return (
            f'<svg class="mv-icon {found["classes"]}"{found["rest"]} aria-hidden="true" '
            f'viewBox="0 0 {width} {height}"><path fill="currentColor" d="{path}"/></svg>'
        )


def finish_html(text: str, icons: Icons | None) -> str:
    """What the theme's templates have no option for."""
    if icons:
        text = ICON.sub(icons.draw, text)
        text = re.sub(r'\s*<script defer src="[^"]*fontawesome\.js[^"]*"></script>', "", text)
    # A notebook is to be saved, not to be opened as text in a new tab.
    text = re.sub(r'(<a href="[^"]*_sources/[^"]*") target="_blank"', r"\1 download", text)
    # Of two pictures of one thing only the one that is shown is fetched.
    text = re.sub(r'<img (?=[^>]*class="[^"]*only-(?:light|dark))', '<img loading="lazy" ', text)
    # A list holds list items; this one holds references, which have a role of their own.
    return text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')


def sitemap(base: str, documents: list[str]) -> str:
    urls = "".join(f"  <url><loc>{html.escape(base + d)}.html</loc></url>\n" for d in documents)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", set_addresses, priority=1)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", finish_site, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
