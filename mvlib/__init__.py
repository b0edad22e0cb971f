"""Multi-view data, networks that learn one view each, and what their ensemble knows.

What a reader's own notebook needs; everything else by its package: `mvlib.paper` (the paper,
object by object), `mvlib.deep`, `mvlib.studies`, `mvlib.experiments`, `mvlib.run`, `mvlib.store`,
`mvlib.findings`, `mvlib.figures`, `mvlib.reduced`.
"""

# ruff: noqa: E402

from mvlib.core.threads import wait_asleep

wait_asleep()  # before torch is imported

from mvlib.core.checks import BadInput as BadInput
from mvlib.core.randomness import stream as stream
from mvlib.experiments.settings import Experiment as Experiment
from mvlib.experiments.settings import base_study as base_study
from mvlib.paper.activation import Activation as Activation
from mvlib.paper.activation import SmoothedReLU as SmoothedReLU
from mvlib.paper.batches import Batch as Batch
from mvlib.paper.batches import Batches as Batches
from mvlib.paper.batches import MidpointMixup as MidpointMixup
from mvlib.paper.batches import MiniBatches as MiniBatches
from mvlib.paper.data_parameters import MultiViewParams as MultiViewParams
from mvlib.paper.ensemble import ensemble_outputs as ensemble_outputs
from mvlib.paper.evaluation import learned_views as learned_views
from mvlib.paper.evaluation import view_correlations as view_correlations
from mvlib.paper.gradient_descent import train as train
from mvlib.paper.lottery import lottery_winners as lottery_winners
from mvlib.paper.multi_view_data import Sample as Sample
from mvlib.paper.multi_view_data import feature_vectors as feature_vectors
from mvlib.paper.multi_view_data import sample as sample
from mvlib.paper.network import LearnerParams as LearnerParams
from mvlib.paper.network import init_weights as init_weights
from mvlib.paper.network import logits as logits
from mvlib.paper.objectives import CrossEntropy as CrossEntropy
from mvlib.paper.objectives import LabelSmoothing as LabelSmoothing
from mvlib.paper.objectives import Objective as Objective
from mvlib.paper.objectives import TruncatedDistillation as TruncatedDistillation
from mvlib.paper.step_rules import BoundedRelativeStep as BoundedRelativeStep
from mvlib.paper.step_rules import ConstantStep as ConstantStep
from mvlib.paper.step_rules import FixedSteps as FixedSteps
from mvlib.paper.step_rules import Optimiser as Optimiser
from mvlib.paper.step_rules import Schedule as Schedule
from mvlib.paper.step_rules import WhenFitted as WhenFitted
from mvlib.paper.tangent_kernel import kernel_ridge as kernel_ridge
from mvlib.paper.tangent_kernel import ntk as ntk
from mvlib.run.sweep import run_all as run_all
from mvlib.store.entries import Store as Store
from mvlib.store.kinds import Kind as Kind
from mvlib.store.kinds import register as register
from mvlib.studies.distillation import DistillationStudy as DistillationStudy
from mvlib.studies.distillation import run_distillation as run_distillation
from mvlib.studies.one_draw import as_arrays as as_arrays
from mvlib.studies.one_draw import train_networks as train_networks
from mvlib.studies.single_model import SingleModelStudy as SingleModelStudy
from mvlib.studies.single_model import run_single_model as run_single_model

__version__ = "0.1.0"
