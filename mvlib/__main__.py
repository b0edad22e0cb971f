"""Command line: ``python -m mvlib run|list|status|findings``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from mvlib.checks import BadInput
from mvlib.claims import findings, needed
from mvlib.experiments import experiments
from mvlib.results import CorruptEntry, Store
from mvlib.settings import SCALES, check_scale
from mvlib.sweep import is_stored, module_of, rebuild_command, run_all, work


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except BadInput as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nmvlib: interrupted; what was finished is stored, run again to go on.",
              file=sys.stderr)  # fmt: skip
        return 130
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
            sub.add_argument("--recompute", action="store_true", help="also what is stored")
        if name == "findings":
            sub.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _run(options: argparse.Namespace) -> int:
    chosen = experiments(check_scale(options.scale), options.name)
    store = Store(options.results)
    stored = sum(is_stored(e, store) for e in chosen)
    run_all(chosen, store, recompute=options.recompute)
    fresh = len(chosen) if options.recompute else len(chosen) - stored
    print(f"{len(chosen)} experiments in {options.results}: {fresh} computed now.")
    return 0


def _list(options: argparse.Namespace) -> int:
    for e in experiments(check_scale(options.scale), options.name):
        print(f"{e.name:28} {e.label:36} {work(e.study) / 1e12:10.2f} TFLOP")
    return 0


def _status(options: argparse.Namespace) -> int:
    store = Store(options.results)
    damaged = 0
    for e in experiments(check_scale(options.scale), options.name):
        try:
            entry = store.load(
                e.name, e.study, module_of(e.study), rebuild=rebuild_command(e, store)
            )
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


if __name__ == "__main__":
    sys.exit(main())
