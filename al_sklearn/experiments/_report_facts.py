"""What a report says beside what a store holds, kept in the run's folder: it can be written again without the data."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._files import replacing
from al_sklearn.datasets import ImageData
from al_sklearn.experiments._comparison import StrategyComparison
from al_sklearn.experiments._protocol import make_problem
from al_sklearn.experiments._store import RunStore
from al_sklearn.experiments._streams import Streams
from al_sklearn.experiments.report import ReportData

# Hidden, so that a store may be begun beside it.
FACTS: Final = ".report.json"


@dataclass(frozen=True)
class ReportFacts:
    """What a report is told.

    Attributes
    ----------
    title : str, optional
        Heading of the page.
    command : str, optional
        What the run was made with.
    class_names : list of str, optional
        In the order of the classes.
    pool : list of int, optional
        Images of each class that could be bought, of all seeds together.
    """

    title: str | None = None
    command: str | None = None
    class_names: list[str] | None = None
    pool: list[int] | None = None

    def write(self, folder: Path) -> None:
        """Keep them in a run's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / FACTS) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> ReportFacts:
        """Read those of a run; empty where it was not made by an experiment file or the command line."""
        path = folder / FACTS
        return cls(**json.loads(path.read_text())) if path.is_file() else cls()

    def report(self, results: Any, page: Path, metric: str = "accuracy") -> Path:
        """Write the HTML report."""
        return Path(
            results.report(
                page,
                metric=metric,
                class_names=self.class_names,
                title=self.title,
                data=ReportData(pool=self.pool),
                command=self.command,
            )
        )


def pool_counts(comparison: StrategyComparison, data: ImageData, folder: Path) -> list[int]:
    """Count the images of each class that a finished comparison's strategies could buy, over all seeds.

    Hard pools are drawn again, as they were; labels are those that buying reveals.
    """
    entropy = RunStore(folder).config()["configuration"]["random_state"]
    settings = copy.copy(comparison)
    # The pool does not depend on how the first images were chosen, which may have taken long.
    settings.initial = "random"
    counts = np.zeros(len(comparison.classes_), dtype=np.int64)
    for seed in range(comparison.n_seeds):
        problem = make_problem(
            settings,
            data.X_train,
            np.asarray(data.y_train),
            comparison.classes_,
            data.X_test,
            data.y_test,
            Streams(entropy, seed),
        )
        counts += np.asarray(problem.sizes(problem.train))
    return counts.tolist()
