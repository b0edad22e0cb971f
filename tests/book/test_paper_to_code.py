"""The paper-to-code page says what the docstrings say."""

from pathlib import Path

import pytest

import paper_to_code
from paper_to_code import Home, homes, page

SOURCE = '''
"""A room."""

class Thing:
    """What it is,
    over two lines.

    More.

    Paper: Definition 3.1.
    """

    def method(self) -> None:
        r"""$|w|$ of it.

        Paper: Remark 9.9.
        """

def untagged() -> None:
    """Mentions a tag.  Paper: Theorem 1. It is not on a line of its own."""
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "room.py").write_text(SOURCE)
    return folder


def test_homes_are_read_from_the_last_line(package: Path) -> None:
    assert homes(package) == [
        Home(item="Definition 3.1", name="lib.room.Thing", summary="What it is, over two lines."),
        Home(item="Remark 9.9", name="lib.room.Thing.method", summary="$|w|$ of it."),
    ]


def test_homes_are_found_in_packages(package: Path) -> None:
    (package / "inner").mkdir()
    (package / "inner" / "__init__.py").write_text('"""All.\n\nPaper: Theorem 9.\n"""\n')
    (package / "inner" / "room.py").write_text('"""One.\n\nPaper: Theorem 8.\n"""\n')
    (package / "._room.py").write_bytes(b"\0\5\x16\7\xff")
    assert [(home.item, home.name) for home in homes(package)[:2]] == [
        ("Theorem 9", "lib.inner"),
        ("Theorem 8", "lib.inner.room"),
    ]


def test_page_lists_missing_objects_and_escapes_bars(package: Path) -> None:
    text = page(package)
    where = "{py:obj}`Thing <lib.room.Thing>`<br>{prf:ref}`def-data`"
    assert f"| Definition 3.1<br>{where} | What it is, over two lines. |\n" in text
    assert "| Theorem 1<br>not built yet<br>{prf:ref}`thm-single` |  |\n" in text
    assert text.index("Remark 9.9") > text.index("Theorem 4 (self-distillation)")
    assert r"$\|w\|$" in text


def test_two_homes_are_refused(package: Path) -> None:
    (package / "other.py").write_text('"""Too.\n\nPaper: Definition 3.1.\n"""\n')
    with pytest.raises(ValueError, match="Definition 3.1 has two homes, lib.other and lib.room"):
        page(package)


def test_page_is_current() -> None:
    written = paper_to_code.PAGE.read_text(encoding="utf-8")
    assert written == page(paper_to_code.ROOT / "mvlib"), "run `python book/paper_to_code.py`"
