"""How far a sweep has come, and what it waits for, for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from tqdm import tqdm

from mvlib.experiments.settings import Experiment
from mvlib.run.computing import work
from mvlib.store.kinds import kind_of

SAY_AFTER = 60.0  # seconds; on a busy machine a process may need as many to start


class ProgressBar:
    """A bar over several experiments, measured in expected floating-point work, so that its time
    estimate is right although experiments differ a thousandfold."""

    def __init__(self, chosen: Iterable[Experiment], *, show: bool = True) -> None:
        total = sum(work(e.study) for e in chosen)
        # disable=None: no bar where stderr is not a terminal.
        self._bar = tqdm(
            total=total / 1e12, disable=None if show else True, unit="TFLOP", bar_format=_FORMAT
        )
        self._base = 0.0
        self._under_way: list[Experiment] = []
        self._awaited: str | None = None
        self._since = 0.0
        self._said = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._bar.close()

    def started(self, experiment: Experiment) -> None:
        """To be called when an experiment is given to whoever computes."""
        self._under_way.append(experiment)
        self._describe()

    def within(self, experiment: Experiment, step: int, share_training: float) -> None:
        """Called after each training step of the only experiment under way."""
        part = min(1.0, step / kind_of(experiment.study).steps(experiment.study))
        self._bar.set_postfix_str(f"step {step}, {share_training:.0%} still training", False)
        self._move(self._base + part * work(experiment.study))

    def ended(self, experiment: Experiment) -> None:
        """Called when an experiment is in the store, or will not be."""
        if experiment in self._under_way:
            self._under_way.remove(experiment)
        self._base += work(experiment.study)
        self._describe()
        self._move(self._base)

    def waits_for(self, what: str | None, hours: float) -> float:
        """Called from time to time while nothing comes back, with what must happen first (None if
        all is being computed); returns for how many seconds that has been so, and says it once if
        these are many, with the `hours` that it may take."""
        self._bar.refresh()  # the time that has gone by
        if what != self._awaited:
            self._awaited, self._since, self._said = what, time.monotonic(), False
        waited = time.monotonic() - self._since if what else 0.0
        if not self._said and waited >= SAY_AFTER:
            self._said = True
            tqdm.write(f"mvlib: waiting for {what}, {hours:g} h at most", file=sys.stderr)
        return waited

    def _describe(self) -> None:
        named = [f"{e.name} {e.label}" for e in self._under_way[:1]]
        more = [f"{len(self._under_way) - 1} more"] if len(self._under_way) > 1 else []
        self._bar.set_description(" and ".join(named + more))

    def _move(self, flops: float) -> None:
        self._bar.update(flops / 1e12 - self._bar.n)


_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed} gone, {remaining} to go{postfix}"
