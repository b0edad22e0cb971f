r"""The study behind Theorems 1 and 2: train a few networks on one data draw, test each and their
average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import require, require_int, require_plain
from mvlib.paper.activation import takeoff
from mvlib.paper.batches import Batches, check_batches
from mvlib.paper.evaluation import view_correlations
from mvlib.paper.gradient_descent import Checkpoint, Progress
from mvlib.paper.multi_view_data import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.objectives import CrossEntropy, Objective
from mvlib.paper.step_rules import Schedule
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleModelStudy:
    """Everything that decides one data draw's numbers.

    Attributes:
        data, learner, schedule: the setting.
        n_train: N >= 1.
        n_networks: L >= 1; network r of draw D is the same whatever L.
        ensemble_size: the networks are also averaged in disjoint ensembles of so many, >= 2, as far
            as there are enough; 0: only all of them.
        draw: >= 0; features, training set, test sets and networks depend on it.
        n_test_single, n_test_multi: fresh test inputs of each kind, >= 1.
        record_every: record the trajectory every so many steps; 0: only at the end.
        n_watch: single-view inputs, of a third stream, on which errors are watched during
            training; 0: none.
        objective: what the networks are trained on.
        batches: what each step is trained on; None: the whole training set.
    """

    data: MultiViewParams
    learner: LearnerParams
    schedule: Schedule
    n_train: int
    n_networks: int
    draw: int
    n_test_single: int
    n_test_multi: int
    record_every: int = 0
    n_watch: int = 0
    objective: Objective = CrossEntropy()
    batches: Batches | None = None
    ensemble_size: int = 0

    def __post_init__(self) -> None:
        require_int("n_train", "N", self.n_train, 1, "train on at least one sample")
        one_draw.check_networks("n_networks", self.n_networks, 1, "train at least one network")
        require_int("draw", "seed", self.draw, 0, "number the draws from 0")
        require_int("n_test_single", "n", self.n_test_single, 1, "test on at least one input")
        require_int("n_test_multi", "n", self.n_test_multi, 1, "test on at least one input")
        require_int("record_every", "", self.record_every, 0, "0 records the end only")
        require_int("n_watch", "n", self.n_watch, 0, "0 watches no test error")
        takeoff(self.learner.nonlinearity)  # or no winner could be foretold
        least = 2 * self.data.n_classes
        require(self.n_train >= least, "n_train", "N", self.n_train, f"be >= 2k = {least}",
                "every class needs multi-view training data")  # fmt: skip
        require(isinstance(self.objective, Objective), "objective", "a", self.objective,
                "be an Objective", "inherit from that class")  # fmt: skip
        require_plain("objective", "a", self.objective)
        check_batches(self.batches, self.n_train)
        require_int("ensemble_size", "L", self.ensemble_size, 0, "0 averages all networks alone")
        require(self.ensemble_size != 1, "ensemble_size", "L", 1, "be 0 or >= 2", "average two")


def run_single_model(
    study: SingleModelStudy, progress: Progress | None = None, *, device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train, test and describe; progress, device, checkpoint as in `train_networks`.

    Returns:
        Networks on the first axis unless said:
        stop_step, fitted; single_error, multi_error (shares); correlations (seeds, k, V) at the
        end and predicted_winner, winner_margin (seeds, k) from the start; train_outputs
        (seeds, N, k); ensemble_single_error, ensemble_multi_error (scalars); ensemble_bootstrap
        (resamples,) single-view errors; size_curve (K, subsets) single-view errors;
        size_curve_multi likewise; where ensemble_size > 0, disjoint_single_error and
        disjoint_multi_error (ensembles,) and disjoint_by_knowledge, `inputs_by_knowledge` of them
        all; class_error (seeds, k, V): errors by class and by the
        view shown at full strength; ensemble_class_error (k, V); example_outputs (seeds, n, k) and
        example_labels of the first single-view test inputs; and, records first: steps, loss,
        train_error, view_correlations and, where watched, single_ and multi_residual of the
        training data, watched_single_error, watched_multi_error.
    """
    found = one_draw.train_networks(
        study, study.objective, study.schedule, networks=study.n_networks,
        record_every=study.record_every, n_watch=study.n_watch, batches=study.batches,
        progress=progress, device=device, checkpoint=checkpoint,
    )  # fmt: skip
    start = {"initial_correlations": view_correlations(found.W0, found.features)}
    return one_draw.as_arrays(found.lottery() | start | found.results())


register(Kind(
    name="networks", configuration=SingleModelStudy, run=run_single_model, version=2,
    work=lambda study: one_draw.training_flops(
        study, study.schedule, networks=study.n_networks, batches=study.batches
    ),
    steps=lambda study: one_draw.expected_steps(study.schedule.stop_rule),
))  # fmt: skip
