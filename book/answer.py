"""Draw the book in one picture for its first page and the README, and write the table of findings:

    python book/answer.py [--results DIR]

It writes `_static/answer-light.svg` and `_static/answer-dark.svg`, and `_answer.md`, which shows
them with their alternative text, from the first data draw of the store; `_introduction.md`, the
four numbers of the paper's introduction; `_findings.md`, every finding with its verdict;
`_claims.md`, where each is measured and by which code; and `_verdicts.json`, the verdicts for each
chapter's claim box.  A test fails when they are not what the store gives.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

import places  # noqa: E402
import trust_lists  # noqa: E402
from mvlib.experiments.settings import base_study  # noqa: E402
from mvlib.figures.picture import Picture  # noqa: E402
from mvlib.figures.summary import Learner, who_knows_what  # noqa: E402
from mvlib.findings import theorems  # noqa: E402
from mvlib.findings.finding import Finding, Verdict, few_draws  # noqa: E402
from mvlib.findings.report_students import GOAL  # noqa: E402
from mvlib.run import sweep  # noqa: E402
from mvlib.store.entries import Store  # noqa: E402

SHOWN = 4  # networks drawn
# Of what the paper's introduction prints a number.
INTRODUCTION = {
    "theorem-1": "a single network",
    "theorem-2": "the average of networks",
    "theorem-3": "one student of that average",
    "self-distillation": "a student of a single network",
}
BOOK = ROOT / "book"
WRITTEN = "% Written by `python book/answer.py`; a test fails when it is out of date.\n\n"


def answer(store: Store) -> Picture:
    """The first ensemble of the first draw: its networks, their average, and its first student."""
    study = base_study("book")
    members = study.ensemble_size or study.n_networks
    [single, distilled] = [
        sweep.load_family("book", name, store)[0][1] for name in ("single-model", "distilled")
    ]
    knows = theorems.learned(single["correlations"][:members])
    errors = theorems.network_errors(study, [single])[0][:members]
    rows = [
        Learner(name=f"network {i + 1}", kind="single", knows=views, error=float(error))
        for i, (views, error) in enumerate(zip(knows[:SHOWN], errors, strict=False))
    ]
    together = float(theorems.ensembles(study, [single])[0][0])
    rows.append(
        Learner(
            name=f"average of {members}", kind="ensemble", knows=knows.any(axis=0), error=together
        )
    )
    student = theorems.learned(distilled["correlations"])[0]
    error = float(theorems.network_errors(study, [distilled])[0][0])
    rows.append(Learner(name="one student", kind="student", knows=student, error=error))
    return who_knows_what(rows)


def files(picture: Picture, found: Sequence[Finding]) -> dict[str, bytes]:
    """What is written, by its path in `book/`."""
    shown = "".join(
        f"```{{image}} _static/answer-{theme}.svg\n:class: only-{theme}\n:alt: {picture.alt}\n"
        "```\n\n"
        for theme in ("light", "dark")
    )
    return {
        "_static/answer-light.svg": lighter(picture.light),
        "_static/answer-dark.svg": lighter(picture.dark),
        "_answer.md": (WRITTEN + shown).encode(),
        "_introduction.md": (WRITTEN + introduction(found)).encode(),
        "_findings.md": findings_page(found).encode(),
        "_measured.md": measured_page(found).encode(),
        "_claims.md": (WRITTEN + places.claims_page(found)).encode(),
        "_verdicts.json": (json.dumps(verdicts(found), indent=1) + "\n").encode(),
    }


def lighter(svg: bytes) -> bytes:
    """The drawing with places to a hundredth of a point, without indents and remarks, and a style
    said once for all marks in a row that have it: who opens the first page waits for it."""
    bare = re.sub(rb"<metadata>.*?</metadata>|<!--.*?-->", b"", svg, flags=re.DOTALL)
    bare = re.sub(rb"([1-9]\d*\.\d\d)\d+", rb"\1", re.sub(rb"\s*\n\s*", b"\n", bare))

    def once(run: re.Match[bytes]) -> bytes:
        style = b' style="%s"' % run[1]
        return b"<g%s>\n%s</g>\n" % (style, run[0].replace(style, b""))

    mark = rb'<use [^>]*? style="%s"/>\n'
    return re.sub(mark % rb'([^"]*)' + rb"(?:" + mark % rb"\1" + rb")*", once, bare)


def verdicts(found: Sequence[Finding]) -> dict[str, list[dict[str, Any]]]:
    """Chapter -> what was predicted of its claims, by whom, what was measured and the verdict."""
    return {
        chapter: [
            {
                "key": f.claim,
                "headline": f.claim in places.HEADLINES,
                "claim": f.heading,
                "predicted": f"{f.prediction} ({f.source})",
                "measured": f.summary(),
                "unit": f.unit,
                "verdict": f.verdict,
            }
            for f in group
        ]
        for chapter, group in _by_chapter(found).items()
    }


def introduction(found: Sequence[Finding]) -> str:
    """The four numbers of the paper's introduction beside ours; of the average and its student it
    asks less than Theorems 2 and 3."""
    asked = {f.claim: f for f in found if f.claim in INTRODUCTION}
    asked |= {name: replace(asked[name], predicted=GOAL) for name in ("theorem-2", "theorem-3")}
    return "".join(
        f"- {places.link(name, who)}: {asked[name].prediction}, measured {asked[name].summary()}: "
        f"*{asked[name].verdict}*\n"
        for name, who in INTRODUCTION.items()
    )


def findings_page(found: Sequence[Finding]) -> str:
    """The first page's tables of findings, each with a link to its chapter: the headlines, then
    the others, folded, chapter by chapter."""
    first = [f for claim in places.HEADLINES for f in found if f.claim == claim]
    rest = _by_chapter([f for f in found if f not in first])
    folded = [
        f"::::{{dropdown}} {chapter_title(chapter)}: {tally(group)}\n{_table(group)}::::\n"
        for chapter, group in rest.items()
        if group
    ]
    return "\n".join([WRITTEN + _table(first), *folded])


def tally(found: Sequence[Finding]) -> str:
    """How many claims, and how they came out: "3 more (2 holds, 1 fails)"."""
    said = Counter(f.verdict for f in found)
    parts = [f"{said[word]} {word}" for word in get_args(Verdict) if said[word]]
    return f"{len(found)} more ({', '.join(parts)})"


def chapter_title(chapter: str) -> str:
    """Its number and the beginning of its title: "Chapter 6, Frozen networks"."""
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    title = "".join(notebook["cells"][0]["source"]).partition("\n")[0]
    return f"Chapter {int(chapter[:2])}, {title.removeprefix('# ').partition(':')[0]}"


def _by_chapter(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    return {
        chapter: [f for f in found if f.claim.startswith(claims)]
        for chapter, claims in places.CHAPTERS.items()
    }


def _table(found: Sequence[Finding]) -> str:
    rows = [
        f"| {_linked(f)} | {f.prediction}, {f.source} | {f.summary()}, {f.unit} | {f.verdict} |"
        for f in found
    ]
    return "\n".join([
        ":::{container} mv-findings",
        "| claim | predicted | measured [95% interval] | verdict |",
        "|---|---|---|---|",
        *rows,
        ":::\n",
    ])  # fmt: skip


def measured_page(found: Sequence[Finding]) -> str:
    """How each was measured: too much for the first page."""
    rows = [f"| {places.link(f.claim, f.heading)} | {f.n} | {f.caveat} |" for f in found]
    head = "| claim | n | how it was measured |\n|---|---|---|\n"
    return WRITTEN + head + "\n".join(rows) + f"\n\n{few_draws(found)}\n"


def _linked(finding: Finding) -> str:
    """The claim as a link to where it is measured, and one to the code that measures it."""
    return f"{places.link(finding.claim, finding.heading)} ({places.code(finding.claim)})"


def main() -> None:
    """Write the picture and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    try:
        found = trust_lists.stored_findings(options.results)
    except trust_lists.NotStored as error:
        print(f"answer: {error}; picture and table stay as they are.", file=sys.stderr)
        return
    for name, content in files(answer(Store(options.results)), found).items():
        (BOOK / name).write_bytes(content)


if __name__ == "__main__":
    main()
