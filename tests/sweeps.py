"""`python -m mvlib` with a family of small experiments in the place of the book's, for tests that
need processes of their own: ``python tests/sweeps.py run --results FOLDER ...``"""

import sys
from dataclasses import replace

from toys import TEACHER, student

from mvlib import __main__ as command
from mvlib.experiments.settings import Experiment
from mvlib.paper.step_rules import ConstantStep, FixedSteps, Schedule


def family(name: str | None = None) -> list[Experiment]:
    """Two draws: networks, and two kinds of students of each; a second or less apiece."""
    made = []
    for draw in (2, 3):
        study = replace(TEACHER, draw=draw)
        networks = Experiment(name="networks", scale="smoke", label=f"draw {draw}", study=study)
        made.append(networks)
        made += [
            Experiment(
                name="students", scale="smoke", label=f"{target}, draw {draw}", teacher=networks,
                study=student(teacher=study, target=target, steps=60),
            )
            for target in ("average", "each")
        ]  # fmt: skip
    return [e for e in (*made, long()) if name in (None, e.name)]


def long(steps: int = 300) -> Experiment:
    """One that takes some seconds: there is time to kill who computes it."""
    schedule = replace(TEACHER.schedule, stop_rule=FixedSteps(steps=steps))
    study = replace(TEACHER, schedule=schedule, record_every=50)
    return Experiment(name="long", scale="smoke", label=f"{steps} steps", study=study)


def failing() -> Experiment:
    """One whose loss overflows within a few steps."""
    schedule = Schedule(step_rule=ConstantStep(1e38), stop_rule=FixedSteps(steps=20))
    study = replace(TEACHER, schedule=schedule)
    return Experiment(name="failing", scale="smoke", label="too large a step", study=study)


def experiments(scale: str, name: str | None = None) -> list[Experiment]:
    """In the place of `mvlib.experiments.experiments`."""
    assert scale == "smoke"
    return family(name)


if __name__ == "__main__":
    command.experiments = experiments  # type: ignore[assignment]
    command.end(command.main([*sys.argv[1:], "--scale", "smoke"]))
