"""Where photographs and results lie: in a clone of this project its own folders, with an installed
library the user's data folder, and anywhere else on request."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from platformdirs import user_data_path

from mvlib.core.checks import require


def data_folder(chosen: str | Path | None = None) -> Path:
    """Of photographs: `chosen` (the command line's --data), else the environment variable
    MVLIB_DATA, else `data/` of this clone, else `data` in the user's data folder.

    Raises:
        BadInput: if what is there is no folder.
    """
    return _folder("data", chosen)


def choose_data_folder(chosen: str | Path) -> None:
    """Let this process, and those that it starts, find photographs there (by MVLIB_DATA)."""
    os.environ["MVLIB_DATA"] = str(data_folder(chosen))


def results_folder(chosen: str | Path | None = None) -> Path:
    """Of the store: `chosen` (--results), else MVLIB_RESULTS, else `results/` of this clone, else
    `results` in the user's data folder.

    Raises:
        BadInput: if what is there is no folder.
    """
    return _folder("results", chosen)


def _folder(kind: str, chosen: str | Path | None) -> Path:
    variable = f"MVLIB_{kind.upper()}"
    asked = chosen or os.environ.get(variable)
    folder = Path(asked).expanduser().absolute() if asked else _home() / kind
    fits = os.path.isdir(folder) or not os.path.lexists(folder)
    require(fits, f"--{kind}", variable, str(folder), "be a folder", "name another one, by either")
    return folder


def _home() -> Path:
    """The clone that the library runs from; the user's data folder if pip put it elsewhere."""
    clone = Path(str(files("mvlib"))).resolve().parent
    project = clone / "pyproject.toml"  # packages at fault leave theirs in site-packages
    if project.is_file() and 'name = "mvlib"' in project.read_text(encoding="utf-8"):
        return clone
    return user_data_path("mvlib", appauthor=False)
