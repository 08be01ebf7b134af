"""When to stop buying labels: see :mod:`al_sklearn.loop.stopping`."""

from al_sklearn.loop.stopping import *  # noqa: F403
from al_sklearn.loop.stopping import __all__ as __all__
