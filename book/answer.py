"""Draw the book in one picture for its first page and the README:

    python book/answer.py [--results DIR]

It writes `_static/answer-light.svg` and `_static/answer-dark.svg`, and `_answer.md`, which shows
them with their alternative text, from the first data draw of the store.  A test fails when they are
not what the store gives.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib import sweep, theorems  # noqa: E402
from mvlib.figures import Picture  # noqa: E402
from mvlib.measurement import learned_views  # noqa: E402
from mvlib.results import Store  # noqa: E402
from mvlib.settings import base_study  # noqa: E402
from mvlib.summary_figures import Learner, who_knows_what  # noqa: E402

BOOK = ROOT / "book"


def answer(store: Store) -> Picture:
    """All networks of the first draw, their ensemble, and its first student."""
    study = base_study("book")
    [single, distilled] = [
        sweep.load_family("book", name, store)[0][1] for name in ("single-model", "distilled")
    ]
    knows = learned_views(torch.as_tensor(single["correlations"])).numpy()
    errors = theorems.network_errors(study, [single])[0]
    rows = [
        Learner(name=f"network {i + 1}", kind="single", knows=views, error=float(error))
        for i, (views, error) in enumerate(zip(knows, errors, strict=True))
    ]
    together = float(theorems.ensemble_errors(study, [single])[0])
    rows.append(
        Learner(name="their average", kind="ensemble", knows=knows.any(axis=0), error=together)
    )
    student = learned_views(torch.as_tensor(distilled["correlations"]))[0].numpy()
    error = float(np.asarray(theorems.network_errors(study, [distilled])[0])[0])
    rows.append(Learner(name="one student", kind="student", knows=student, error=error))
    return who_knows_what(rows)


def files(picture: Picture) -> dict[str, bytes]:
    """What is written, by its path in `book/`."""
    shown = "".join(
        f"```{{image}} _static/answer-{theme}.svg\n:class: only-{theme}\n:alt: {picture.alt}\n"
        "```\n\n"
        for theme in ("light", "dark")
    )
    head = "% Written by `python book/answer.py`; a test fails when it is out of date.\n\n"
    return {
        "_static/answer-light.svg": picture.light,
        "_static/answer-dark.svg": picture.dark,
        "_answer.md": (head + shown).encode(),
    }


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    for name, content in files(answer(Store(options.results))).items():
        (BOOK / name).write_bytes(content)


if __name__ == "__main__":
    main()
