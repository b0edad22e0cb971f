"""Multi-view data, networks that learn one view each, and what their ensemble knows.

The catalogue, in the paper's order.
"""
# ruff: noqa: E402

from mvlib.threads import wait_asleep

wait_asleep()  # before torch is imported

from mvlib.activation import Activation as Activation
from mvlib.activation import SmoothedReLU as SmoothedReLU
from mvlib.batches import Batch as Batch
from mvlib.batches import Batches as Batches
from mvlib.batches import MiniBatches as MiniBatches
from mvlib.checks import BadInput as BadInput
from mvlib.claims import findings as findings
from mvlib.contradictions import ntk_contradictions as ntk_contradictions
from mvlib.contrast import ContrastStudy as ContrastStudy
from mvlib.contrast import run_contrast as run_contrast
from mvlib.distillation import DistillationStudy as DistillationStudy
from mvlib.distillation import run_distillation as run_distillation
from mvlib.distribution import MultiViewParams as MultiViewParams
from mvlib.distribution import Sample as Sample
from mvlib.distribution import chunked_sample as chunked_sample
from mvlib.distribution import feature_vectors as feature_vectors
from mvlib.distribution import sample as sample
from mvlib.ensemble import ensemble_outputs as ensemble_outputs
from mvlib.ensemble import size_curve as size_curve
from mvlib.experiments import experiments as experiments
from mvlib.finding import Finding as Finding
from mvlib.gaussian import GaussianData as GaussianData
from mvlib.gaussian import GaussianStudy as GaussianStudy
from mvlib.gaussian import run_gaussian as run_gaussian
from mvlib.image_findings import image_claims as image_claims
from mvlib.image_kernels import ImageKernelStudy as ImageKernelStudy
from mvlib.image_kernels import run_image_kernels as run_image_kernels
from mvlib.image_networks import ResidualNet as ResidualNet
from mvlib.image_sets import ImageData as ImageData
from mvlib.image_training import ImageStudy as ImageStudy
from mvlib.image_training import run_image_study as run_image_study
from mvlib.joint_training import JointStudy as JointStudy
from mvlib.joint_training import run_joint as run_joint
from mvlib.learner import LearnerParams as LearnerParams
from mvlib.learner import init_weights as init_weights
from mvlib.learner import logits as logits
from mvlib.measurement import error_in_units_of_mu as error_in_units_of_mu
from mvlib.measurement import law_of_the_sampler as law_of_the_sampler
from mvlib.measurement import learned_views as learned_views
from mvlib.measurement import lottery_winners as lottery_winners
from mvlib.measurement import strengths_by_role as strengths_by_role
from mvlib.measurement import view_correlations as view_correlations
from mvlib.networks import Architecture as Architecture
from mvlib.networks import init_many as init_many
from mvlib.networks import outputs_many as outputs_many
from mvlib.networks import train_many as train_many
from mvlib.objectives import CrossEntropy as CrossEntropy
from mvlib.objectives import Objective as Objective
from mvlib.objectives import TemperatureDistillation as TemperatureDistillation
from mvlib.objectives import TruncatedDistillation as TruncatedDistillation
from mvlib.objectives import truncated_logit as truncated_logit
from mvlib.randomness import stream as stream
from mvlib.results import Store as Store
from mvlib.settings import Experiment as Experiment
from mvlib.settings import base_study as base_study
from mvlib.single_model import SingleModelStudy as SingleModelStudy
from mvlib.single_model import run_single_model as run_single_model
from mvlib.students import self_distillation_claim as self_distillation_claim
from mvlib.students import theorem_3 as theorem_3
from mvlib.tangent import kernel_ridge as kernel_ridge
from mvlib.tangent import linearize as linearize
from mvlib.tangent import ntk as ntk
from mvlib.theorems import theorem_1 as theorem_1
from mvlib.theorems import theorem_2 as theorem_2
from mvlib.training import BoundedRelativeStep as BoundedRelativeStep
from mvlib.training import ConstantStep as ConstantStep
from mvlib.training import FixedSteps as FixedSteps
from mvlib.training import Optimiser as Optimiser
from mvlib.training import Schedule as Schedule
from mvlib.training import Trajectory as Trajectory
from mvlib.training import UpdateRule as UpdateRule
from mvlib.training import WhenFitted as WhenFitted
from mvlib.training import train as train

__version__ = "0.1.0"
