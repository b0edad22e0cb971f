"""The picture of the first page is drawn from the store, and says what it shows."""

import dataclasses
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

import answer
import places
import trust_lists
from mvlib.figures.summary import Learner, who_knows_what
from mvlib.findings.finding import Finding
from mvlib.store.entries import Store

BOOK = Path(answer.__file__).parent
FILES = (
    *("_static/answer-light.svg", "_static/answer-dark.svg", "_answer.md", "_findings.md"),
    *("_introduction.md", "_claims.md", "_measured.md", "_verdicts.json"),
)


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    results = BOOK.parent / "results"
    return answer.files(answer.answer(Store(results)), trust_lists.stored_findings(results))


@pytest.mark.parametrize("name", FILES)
def test_picture_is_current(name: str, drawn: dict[str, bytes]) -> None:
    assert set(drawn) == set(FILES)
    same = drawn[name] == (BOOK / name).read_bytes()
    assert same, f"book/{name} is out of date: run `make pages`"


def test_without_results_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(answer, "BOOK", tmp_path)
    monkeypatch.setattr("sys.argv", ["answer.py", "--results", str(tmp_path / "none")])
    answer.main()
    assert "is not in" in capsys.readouterr().err and not any(tmp_path.glob("_*"))


def test_picture_says_who_knows_what() -> None:
    half, full = np.array([[True, False], [False, True]]), np.ones((2, 2), dtype=bool)
    shown = who_knows_what([
        Learner(name="network 1", kind="single", knows=half, error=0.4),
        Learner(name="network 2", kind="single", knows=~half, error=0.5),
        Learner(name="their average", kind="ensemble", knows=full, error=0.0),
    ])  # fmt: skip
    assert "Each of 2 networks knows 2 to 2 views" in shown.alt
    assert "Their average knows 4 and errs on 0.00 mu" in shown.alt


def test_every_finding_has_its_chapter() -> None:
    found = trust_lists.stored_findings(BOOK.parent / "results")
    told = [row["claim"] for rows in answer.verdicts(found).values() for row in rows]
    assert sorted(told) == sorted(f.heading for f in found), "each claim once"
    chapters = {path.stem for path in (BOOK.parent / "notebooks").glob("*.ipynb")}
    assert places.CHAPTERS.keys() <= chapters


def test_the_table_says_whose_prediction_and_what_came_of_it() -> None:
    found = Finding(claim="flips", statement="It helps.", predicted=0.5, source="ours",
                    direction="at most", turn=1.0, measured=0.6, low=0.55, high=0.65, n=7,
                    unit="share", caveat="Three draws.")  # fmt: skip
    page = answer.findings_page([found])
    links = "{ref}`It helps. <tab-flips>` ({py:obj}`code <mvlib.findings.robustness.flips>`)"
    measured = "| {ref}`It helps. <tab-flips>` | 7 | Three draws. |\n"
    row = f"| {links} | at most 0.5, ours | 0.600 [0.550, 0.650], share | right direction |\n"
    assert row in page and measured in answer.measured_page([found])
    lottery = dataclasses.replace(found, claim="lottery-winners")
    assert "| {ref}`It helps. <fig-margins>` (" in answer.findings_page([lottery])
    assert "::::{dropdown} Chapter 9, How far it holds: 1 more (1 right direction)\n" in page
    columns = {line.count("|") for line in page.splitlines() if "It helps." in line}
    assert columns == {page.splitlines()[3].count("|")} == {page.splitlines()[4].count("|")}


def test_the_introductions_numbers_stand_beside_ours() -> None:
    found = trust_lists.stored_findings(BOOK.parent / "results")
    lines = answer.introduction(found).splitlines()
    asked = ("0.49 to 0.51", "at most 0.01", "at most 0.01", "at most 0.26")
    claims = ("theorem-1", "theorem-2", "theorem-3", "self-distillation")
    for line, number, claim in zip(lines, asked, claims, strict=True):
        [ours] = [f for f in found if f.claim == claim]
        assert f": {number}, measured {ours.measured:.3f}"[:-1] in line
        assert line.startswith("- {ref}`") and line.endswith("*")


def test_headlines_come_first_and_every_claim_once() -> None:
    found = trust_lists.stored_findings(BOOK.parent / "results")
    page = answer.findings_page(found)
    first, *folded = page.split("::::{dropdown}")
    said = [f.claim for f in found if f"`{f.heading} <" in first]
    assert sorted(said) == sorted(places.HEADLINES)
    assert page.count(" <mvlib.findings.") == len(found)
    assert sum(int(title.partition(": ")[2].partition(" more")[0]) for title in folded) == len(
        found
    ) - len(places.HEADLINES)


def test_a_claim_leads_to_what_shows_it_and_to_what_measures_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The label is of that chapter, and the function runs while the finding is made."""
    ran: dict[str, set[str]] = {}
    made = Finding.__init__

    def watched(self: Finding, *args: object, **fields: object) -> None:
        frame, ran[str(fields["claim"])] = sys._getframe(1), (called := set())
        while frame is not None:
            called.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")
            frame = frame.f_back  # type: ignore[assignment]
        made(self, *args, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(Finding, "__init__", watched)
    found = trust_lists.stored_findings(BOOK.parent / "results")
    assert {f.claim for f in found} <= ran.keys()
    for claim, called in ran.items():
        chapter, at = places.place(claim)
        assert places.MV + at.code in called, claim
        notebook = nbformat.read(BOOK.parent / "notebooks" / f"{chapter}.ipynb", as_version=4)
        figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in notebook.cells]
        assert at.shown in [figure.get("name") for figure in figures], claim


def test_a_claim_without_a_place_is_refused() -> None:
    with pytest.raises(LookupError, match="no chapter shows bananas"):
        places.link("bananas", "Bananas")
