"""What a report says beside what a store holds, kept in the run's folder.

It can be written again without the data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from al_sklearn._core.files import replacing
from al_sklearn._core.home import without_home
from al_sklearn._core.sealed import sealed, unsealed
from al_sklearn.exceptions import StoreError

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
    """

    title: str | None = None
    command: str | None = None
    class_names: list[str] | None = None

    def write(self, folder: Path) -> None:
        """Keep them in a run's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / FACTS) as file:
            file.write(sealed(without_home(asdict(self)), indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> ReportFacts:
        """Read those of a run; empty where it has none.

        That is so where neither an experiment file nor the command line made it.

        Raises
        ------
        StoreError
            When the file is damaged.
        """
        path = folder / FACTS
        if not path.is_file():
            return cls()
        try:
            return cls(**unsealed(path.read_text(encoding="utf-8"), nan=False))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged ({error}): it holds the report's title and the "
                "names of classes. Move it away, and the report is made without them."
            ) from error

    def report(self, results: Any, page: Path, metric: str = "accuracy") -> Path:
        """Write the HTML report."""
        return Path(
            results.report(
                page,
                metric=metric,
                class_names=self.class_names,
                title=self.title,
                command=self.command,
            )
        )
