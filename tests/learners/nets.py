"""Small plain skorch nets for the tests: what a user has who never heard of
ImageClassifier."""

import torch
from skorch import NeuralNetClassifier
from torch import nn


class Small(nn.Module):
    """One convolution over (n, 8, 8) images, logits out."""

    def __init__(self, dropout=0.25, norm=False):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, 10))

    def forward(self, X):
        return self.head(self.features(X.reshape(len(X), 1, 8, 8).float() / 16))


class TwoInputs(nn.Module):
    """Images as a dict of two halves."""

    def __init__(self):
        super().__init__()
        self.small = Small()

    def forward(self, top, bottom):
        return self.small(torch.cat([top, bottom], dim=1))


def plain_net(module=Small, **options):
    torch.manual_seed(0)
    defaults = {
        "criterion": nn.CrossEntropyLoss, "max_epochs": 8, "lr": 0.01,
        "optimizer": torch.optim.Adam, "train_split": None, "verbose": 0,
        "batch_size": 32,
    }  # fmt: skip
    return NeuralNetClassifier(module, **{**defaults, **options})
