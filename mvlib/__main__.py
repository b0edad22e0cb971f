"""Command line: ``python -m mvlib run|list|status|findings|verify|stamp|probe|migrate``."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mvlib.core.arithmetic import describe
from mvlib.core.checks import BadInput, require_number
from mvlib.core.folders import choose_data_folder, results_folder
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import SCALES, Experiment, check_scale, precision_of
from mvlib.findings.claims import findings, needed
from mvlib.run import verify
from mvlib.run.computing import work
from mvlib.run.dispatch import ExperimentFailed
from mvlib.run.hours import core_seconds, foretold_seconds, rates
from mvlib.run.sweep import fill, stored
from mvlib.store import stamps
from mvlib.store.entries import Store
from mvlib.store.kinds import Kind, own_kinds
from mvlib.store.migration import migrate
from mvlib.studies.probes import run_probes

INTERRUPTED = 130  # the exit code of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 if an experiment failed or an entry differs, 2
    for bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        if getattr(options, "data", None):
            choose_data_folder(options.data)
        return options.command(options)
    except (BadInput, ExperimentFailed) as error:
        print(f"mvlib: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 1
    except KeyboardInterrupt:
        said = "interrupted; what was finished is stored, run again to go on."
        print(f"\nmvlib: {said}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing is left to say, and no traceback either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mvlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], summary: str, *options: str
    ) -> argparse.ArgumentParser:
        """A command with some of the `shared` options."""
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        for option in options:
            sub.add_argument(option, **shared[option])
        return sub

    shared: dict[str, dict[str, Any]] = {
        "--results": {"metavar": "DIR", "help": "folder of the store"},
        "--data": {"metavar": "DIR", "help": "folder of photographs"},
        "--scale": {"default": "book", "help": f"one of {', '.join(SCALES)} (default book)"},
        "--name": {"help": "only experiments of this name"},
        "--kind": {"action": "append", "help": "only this kind of study; may be repeated"},
    }
    chosen = ("--results", "--scale", "--name")
    sub = add("run", _run, "compute what the store does not hold", *chosen, "--data")
    option = sub.add_argument
    option("--recompute", action="store_true", help="also what is stored")
    where = sub.add_mutually_exclusive_group().add_argument
    where("--jobs", default="1", metavar="N",
          help="processes that share the cores; 0 or all: one a core (default 1)")  # fmt: skip
    where("--scheduler", metavar="tcp://HOST:PORT", help="compute on a Dask cluster's workers")
    option("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    option("--checkpoint-every", default="60", metavar="SECONDS",
           help="how often to keep the state of a training (default 60)")  # fmt: skip
    add("list", _list, "every experiment of a scale, and how long it takes", *chosen)
    add("status", _status, "what the store holds, and what made it", *chosen)
    sub = add("findings", _findings, "every finding, with its interval",
              "--results", "--scale", "--data")  # fmt: skip
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub = add("verify", _verify, "compute one stored entry again and compare", *chosen, "--data")
    sub.add_argument("--within", default="20", metavar="SECONDS",
                     help="only one that took no longer (default 20)")  # fmt: skip
    sub = add("stamp", _stamp, "keep what is stored after a change that moves no number", "--kind")
    sub.add_argument("--against", default="HEAD", metavar="REV|FILE",
                     help="what to compare with; a file: of `probe` (default HEAD)")  # fmt: skip
    sub = add("probe", _probe, "run the small studies that a stamp compares", "--kind")
    sub.add_argument("--save", required=True, metavar="FILE", help="where to keep them")
    add("migrate", _migrate, "convert a store of the first form", "--results")
    return parser


def _store(options: argparse.Namespace) -> Store:
    return Store(results_folder(options.results))


def _chosen(options: argparse.Namespace) -> list[Experiment]:
    return experiments(check_scale(options.scale), options.name)


def _number(word: str, kind: type[int] | type[float]) -> Any:
    """A number, or the word itself, which whoever is given it refuses by name."""
    try:
        return kind(word)
    except ValueError:
        return word


def _run(options: argparse.Namespace) -> int:
    chosen, store = _chosen(options), _store(options)
    computed = fill(
        chosen,
        store,
        recompute=options.recompute,
        jobs=0 if options.jobs == "all" else _number(options.jobs, int),
        scheduler=options.scheduler,
        device=options.device,
        checkpoint_every=_number(options.checkpoint_every, float),
    )
    fresh = sum(e in computed for e in chosen)
    teachers = len(computed) - fresh
    more = f" and {teachers} more that teach them" if teachers else ""
    what = "experiment" if len(chosen) == 1 else "experiments"
    print(f"{len(chosen)} {what} in {store.root}: {fresh} computed now{more}.")
    for precision in sorted({precision_of(e.study) or "float32" for e in computed} - {"float32"}):
        print(describe(precision, options.device))
    return 0


def _list(options: argparse.Namespace) -> int:
    chosen, store = _chosen(options), _store(options)
    by_kind, found, total = rates(store), Counter[str](), 0.0
    for e in chosen:
        seconds, how = core_seconds(e, store), "measured"
        if seconds is None:
            seconds = foretold_seconds(e, by_kind)
            how = "unknown" if seconds is None else "foretold"
        total += (seconds or 0) / 3600
        found[how] += 1
        hours = " " * 16 if seconds is None else f"{seconds / 3600:12,.4f} h "
        print(f"{e.name:28} {e.label:36} {work(e.study) / 1e12:12,.2f} TFLOP {hours} {how}")
    kinds = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in by_kind.items())
    print(f"{total:,.2f} hours of one core: {found['measured']} experiments measured when "
          f"{store.root} was computed, {found['foretold']} foretold from the rate of its entries "
          f"of the same kind (GFLOP/s a core: {kinds or 'none'}), {found['unknown']} unknown and "
          "left out.")  # fmt: skip
    return 0


def _status(options: argparse.Namespace) -> int:
    store = _store(options)
    states, others = Counter[str](), 0
    for e in _chosen(options):
        state, why = store.state(e.name, e.study)
        states[state] += 1
        others += state == "needs computing" and "other code" in why
        print(f"{e.name:28} {e.label:36} {state}{f': {why}' if why else ''}")
    if others:
        print("After an edit that moves no number: python -m mvlib stamp --against REVISION.")
    print(", ".join(f"{n} {state}" for state, n in states.items()))
    return 2 if states["damaged"] else 0


def _findings(options: argparse.Namespace) -> int:
    scale = check_scale(options.scale)
    chosen = needed(scale)
    arrays = dict(zip(chosen, stored(chosen, _store(options)), strict=True))
    found = findings(scale, arrays.__getitem__)
    if options.json:
        print(json.dumps([f.as_dict() for f in found], indent=1))
    else:
        print(*(f.report() for f in found), sep="\n")
    return 0


def _verify(options: argparse.Namespace) -> int:
    store = _store(options)
    within = _number(options.within, float)
    require_number("within", "--within", within, 0, math.inf, "try 20")
    candidates = verify.repeatable(_chosen(options), store, within)
    e = verify.choose(candidates, store)
    print(f"{e.name} ({e.label}), chosen at random among {len(candidates)} stored entries that "
          f"took {within:g} s or less:")  # fmt: skip
    differing = verify.verify(e, store)
    for c in differing:
        print(f"  {c.name}: {'' if c.agrees else 'DIFFERS '}{c.difference}")
    if all(c.agrees for c in differing):
        print(f"agrees: {'as far as machines do' if differing else 'to the last bit'}.")
        return 0
    print(f"differs; allowed: {verify.ALLOWED}.")
    return 1


def _stamp(options: argparse.Namespace) -> int:
    waiting = _kinds(options.kind, stamps.unstamped())
    if not waiting:
        print("every kind of study is stamped; there is nothing to do.")
        return 0
    names = ", ".join(kind.name for kind in waiting)
    print(f"running the probes of the source that runs and of {options.against}: {names}")
    file = Path(options.against)
    old = stamps.load_probes(file) if file.is_file() else stamps.probes_of(options.against, waiting)
    why_not = stamps.refused(old, run_probes(waiting).arrays, waiting)
    accepted = [kind for kind in waiting if kind.name not in why_not]
    stamps.write_stamps(accepted)
    for kind in accepted:
        print(f"{kind.name}: stamped, {kind.source[:8]}")
    for name, why in why_not.items():
        print(f"{name}: REFUSED, {why}; mend the code, or raise the kind's version and compute its "
              "studies again.")  # fmt: skip
    return 1 if why_not else 0


def _probe(options: argparse.Namespace) -> int:
    # A kind that this revision does not know yet has nothing to be compared with.
    stamps.save_probes(Path(options.save), run_probes(_kinds(options.kind, own_kinds())))
    return 0


def _kinds(names: list[str] | None, kinds: list[Kind]) -> list[Kind]:
    return [kind for kind in kinds if names is None or kind.name in names]


def _migrate(options: argparse.Namespace) -> int:
    store = _store(options)
    print(f"{migrate(store)} entries of {store.root} converted.")
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
