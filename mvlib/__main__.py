"""Command line: ``python -m mvlib run|list|status|findings``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from mvlib.checks import BadInput
from mvlib.claims import findings, needed
from mvlib.computing import work
from mvlib.dispatch import ExperimentFailed, entry_of
from mvlib.experiments import experiments
from mvlib.results import CorruptEntry, Store
from mvlib.settings import SCALES, check_scale
from mvlib.sweep import fill, run_all

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
    ):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        sub.add_argument("--scale", default="book", help=f"one of {', '.join(SCALES)}")
        sub.add_argument("--results", default="results", help="folder of the store")
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
    damaged = 0
    for e in experiments(check_scale(options.scale), options.name):
        try:
            entry = entry_of(e, store)
            state = "missing" if entry is None else f"stored  {entry.provenance['seconds']:8.1f} s"
        except CorruptEntry as error:
            state, damaged = f"damaged: {error}", damaged + 1
        print(f"{e.name:28} {e.label:36} {state}")
    return 2 if damaged else 0


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
        print(f"{f.claim}: {f.statement}\n  predicted {f.predicted:g}, measured {f.summary()} "
              f"({f.unit}, n = {f.n})\n  {f.caveat}")  # fmt: skip
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
