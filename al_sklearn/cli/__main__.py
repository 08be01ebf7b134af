"""``python -m al_sklearn.cli``."""

from al_sklearn.cli import main

main()
