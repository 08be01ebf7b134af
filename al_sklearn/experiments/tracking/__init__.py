"""Callbacks of an experiment, and those that send its rounds to trackers.

The trackers are TensorBoard, MLflow and Weights & Biases.
"""

from al_sklearn.experiments.tracking._callback import (
    Callback,
    Callbacks,
    ExperimentState,
    check_callbacks,
)
from al_sklearn.experiments.tracking._mlflow import MLflow
from al_sklearn.experiments.tracking._run_id import new_run_id, run_id_of
from al_sklearn.experiments.tracking._tensorboard import TensorBoard
from al_sklearn.experiments.tracking._tracker import Tracker
from al_sklearn.experiments.tracking._wandb import WandB

__all__ = [
    "Callback",
    "Callbacks",
    "ExperimentState",
    "MLflow",
    "TensorBoard",
    "Tracker",
    "WandB",
    "check_callbacks",
    "new_run_id",
    "run_id_of",
]
