"""How many of an epoch's training images were right when they were trained on."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from torch import Tensor

from al_sklearn.estimators._classes import encode


class TrainAccuracy(Callback):
    """Write ``train_acc`` to the history: the accuracy on the batches as they were.

    They were augmented, and the network changed from batch to batch, as in the loss
    beside it. It costs no forward pass.
    """

    name = "train_acc"
    lower_is_better = False
    on_train = True

    def initialize(self) -> TrainAccuracy:
        """Forget what came before."""
        self.best_ = -1.0
        return self

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin to count."""
        self.right_: Any = 0
        self.seen_ = 0

    def on_batch_end(
        self,
        net: Any,
        batch: Any = None,
        training: bool = False,
        y_pred: Any = None,
        **kwargs: Any,
    ) -> None:
        """Count what was right, where the outputs are one number a class."""
        # Networks of several outputs give those of the classes first.
        outputs = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        classes = net.classes_
        if not (
            training
            and isinstance(outputs, Tensor)
            and outputs.ndim == 2
            and outputs.shape[1] == len(classes)
        ):
            return
        _, labels = unpack_data(batch)
        codes = torch.from_numpy(encode(labels, classes)).to(outputs.device)
        # Added up where they are: a number read from a GPU would wait for it.
        self.right_ = self.right_ + (outputs.argmax(dim=1) == codes).sum()
        self.seen_ += len(codes)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the share, and whether it is the best so far, as skorch's scores do."""
        if not self.seen_:
            return
        share = float(self.right_) / self.seen_
        net.history.record(self.name, share)
        net.history.record(f"{self.name}_best", share > self.best_)
        self.best_ = max(self.best_, share)
        # No tensor of a device is left for a pickle.
        self.right_ = 0
