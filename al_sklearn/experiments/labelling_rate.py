"""How many labels to buy next: see :mod:`al_sklearn.loop.labelling_rate`."""

from al_sklearn.loop.labelling_rate import *  # noqa: F403
from al_sklearn.loop.labelling_rate import __all__ as __all__
