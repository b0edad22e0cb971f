"""Command line: ``python -m mvlib run|list|status|findings|stamp|probe|migrate``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvlib.core.checks import BadInput
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import SCALES, check_scale
from mvlib.findings.claims import findings, needed
from mvlib.run.computing import work
from mvlib.run.dispatch import ExperimentFailed
from mvlib.run.sweep import fill, run_all
from mvlib.store.entries import Store
from mvlib.store.kinds import Kind, own_kinds
from mvlib.store.migration import migrate
from mvlib.store.stamps import (
    load_probes,
    probes_of,
    refused,
    save_probes,
    unstamped,
    write_stamps,
)
from mvlib.studies.probes import run_probes

INTERRUPTED = 130  # the exit code of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 if an experiment failed, 2 for bad input, 130
    when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except BadInput as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return 2
    except ExperimentFailed as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmvlib: interrupted; what was finished is stored, run again to go on.",
              file=sys.stderr)  # fmt: skip
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing is left to say, and no traceback either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mvlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="run|list|status|findings")
    for name, command, summary in (
        ("run", _run, "compute what the store does not hold"),
        ("list", _list, "every experiment of a scale"),
        ("status", _status, "what the store holds, and what made it"),
        ("findings", _findings, "every finding, with its interval"),
        ("stamp", _stamp, "let what is stored stay good after a change that moves no number"),
        ("probe", _probe, "run the small studies that a stamp compares"),
        ("migrate", _migrate, "convert a store of the first form"),
    ):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        if name in ("stamp", "probe"):
            sub.add_argument("--kind", action="append", help="only this kind; may be repeated")
        if name == "stamp":
            sub.add_argument(
                "--against",
                default="HEAD",
                metavar="REV|FILE",
                help="what to compare with; a file: of `probe` (default HEAD)",
            )
            continue
        if name == "probe":
            sub.add_argument("--save", required=True, metavar="FILE", help="where to keep them")
            continue
        sub.add_argument("--results", default="results", help="folder of the store")
        if name == "migrate":
            continue
        sub.add_argument("--scale", default="book", help=f"one of {', '.join(SCALES)}")
        if name != "findings":
            sub.add_argument("--name", help="only experiments of this name")
        if name == "run":
            _add_run_options(sub)
        if name == "findings":
            sub.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_run_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--recompute", action="store_true", help="also what is stored")
    where = sub.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs", default="1", metavar="N",
        help="processes that share this machine's cores; 0 or all: one a core (default 1)",
    )  # fmt: skip
    where.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="compute on the workers of a Dask cluster"
    )
    sub.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    sub.add_argument(
        "--checkpoint-every", default="60", metavar="SECONDS",
        help="how often to keep the state of a training (default 60)",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    chosen = experiments(check_scale(options.scale), options.name)
    computed = fill(
        chosen,
        Store(options.results),
        recompute=options.recompute,
        jobs=0 if options.jobs == "all" else _number(options.jobs, int),
        scheduler=options.scheduler,
        device=options.device,
        checkpoint_every=_number(options.checkpoint_every, float),
    )
    fresh = sum(e in computed for e in chosen)
    teachers = len(computed) - fresh
    more = f" and {teachers} more that teach them" if teachers else ""
    print(f"{len(chosen)} experiments in {options.results}: {fresh} computed now{more}.")
    return 0


def _number(word: str, kind: type[int] | type[float]) -> Any:
    """A number, or the word itself, which whoever is given it refuses by name."""
    try:
        return kind(word)
    except ValueError:
        return word


def _list(options: argparse.Namespace) -> int:
    for e in experiments(check_scale(options.scale), options.name):
        print(f"{e.name:28} {e.label:36} {work(e.study) / 1e12:10.2f} TFLOP")
    return 0


def _status(options: argparse.Namespace) -> int:
    store = Store(options.results)
    states = Counter[str]()
    for e in experiments(check_scale(options.scale), options.name):
        state, why = store.state(e.name, e.study)
        states[state] += 1
        print(f"{e.name:28} {e.label:36} {state}{f': {why}' if why else ''}")
    print(", ".join(f"{n} {state}" for state, n in states.items()))
    return 2 if states["damaged"] else 0


def _stamp(options: argparse.Namespace) -> int:
    waiting = _kinds(options.kind, unstamped())
    if not waiting:
        print("every kind of study is stamped; there is nothing to do.")
        return 0
    names = ", ".join(kind.name for kind in waiting)
    print(f"running the probes of the source that runs and of {options.against}: {names}")
    file = Path(options.against)
    old = load_probes(file) if file.is_file() else probes_of(options.against, waiting)
    why_not = refused(old, run_probes(waiting).arrays, waiting)
    stamped = [kind for kind in waiting if kind.name not in why_not]
    write_stamps(stamped)
    for kind in stamped:
        print(f"{kind.name}: stamped, {kind.source[:8]}")
    for name, why in why_not.items():
        print(f"{name}: REFUSED, {why}; mend the code, or raise the kind's version and compute "
              "its studies again.")  # fmt: skip
    return 1 if why_not else 0


def _probe(options: argparse.Namespace) -> int:
    # A kind that this revision does not know yet has nothing to be compared with.
    save_probes(Path(options.save), run_probes(_kinds(options.kind, own_kinds())))
    return 0


def _kinds(names: list[str] | None, kinds: list[Kind]) -> list[Kind]:
    return [kind for kind in kinds if names is None or kind.name in names]


def _migrate(options: argparse.Namespace) -> int:
    print(f"{migrate(Store(options.results))} entries of {options.results} converted.")
    return 0


def _findings(options: argparse.Namespace) -> int:
    scale = check_scale(options.scale)
    store = Store(options.results)
    chosen = needed(scale)
    arrays = dict(zip(chosen, run_all(chosen, store), strict=True))
    found = findings(scale, arrays.__getitem__)
    if options.json:
        print(json.dumps([f.as_dict() for f in found], indent=1))
        return 0
    for f in found:
        print(f.report())
    return 0


def end(code: int) -> None:
    """Leave the process with this exit code.  After Ctrl-C at once: a thread of a library that was
    cut off in the middle of something could hold up an orderly end for ever."""
    if code != INTERRUPTED:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
