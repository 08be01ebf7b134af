"""Train one network in several processes, one for each GPU, or for a few CPU cores
each.

    torchrun --nproc-per-node 2 many_processes.py

Each process holds its own share of the images. torch's DistributedDataParallel averages
the gradients at every step, so that the processes stay one network; after training each
of them has the whole classifier.
"""

import os

import torch
import torch.distributed as dist
from skorch.callbacks import Callback, EarlyStopping
from torch.nn.parallel import DistributedDataParallel

from al_sklearn import ImageClassifier, load_dataset


class DistributedTraining(Callback):
    """Wrap the network in DistributedDataParallel for as long as it trains."""

    def on_train_begin(self, net, **kwargs):
        """Wrap it."""
        if net.schedule == "plateau" or any(
            isinstance(callback, EarlyStopping) for _, callback in net.callbacks_
        ):
            # One process would stop, or slow down, by what its own share tells; the
            # others would wait for ever.
            raise ValueError(
                "Several processes train for a fixed number of epochs: no early "
                "stopping, no 'plateau'."
            )
        on_gpu = next(net.module_.parameters()).is_cuda
        # Weights and buffers become those of the first process.
        wrapped = DistributedDataParallel(
            net.module_, device_ids=[net.device] if on_gpu else None
        )
        # The mean and standard deviation that normalise images are looked for in the
        # network itself.
        for name, buffer in net.module_.named_buffers(recurse=False):
            wrapped.register_buffer(name, buffer)
        net.module_ = wrapped

    def on_train_end(self, net, **kwargs):
        """Leave the network itself, to be scored, pickled and saved as ever."""
        net.module_ = net.module_.module


def share(X, y):
    """Return the images and labels of this process: every n-th of them, as many as
    every other process has.
    """
    n = dist.get_world_size()
    rows = slice(dist.get_rank(), len(X) // n * n, n)
    return X[rows], y[rows]


def main():
    on_gpu = torch.cuda.is_available()
    device = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else "cpu"
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        data = load_dataset("digits")
        classifier = ImageClassifier(
            "resnet20",
            max_epochs=3,
            # in each process: a step is over 32 images times the number of processes
            batch_size=32,
            classes=range(10),  # a share might miss one
            callbacks=[DistributedTraining()],
            device=device,
            # other dropout and augmentation in each; the weights are the first one's
            random_state=dist.get_rank(),
        )
        classifier.fit(*share(data.X_train, data.y_train))
        if dist.get_rank() == 0:
            print(
                f"{dist.get_world_size()} processes: "
                f"{classifier.score(data.X_test, data.y_test):.3f}"
            )
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
