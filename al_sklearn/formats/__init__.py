"""The files people label with: read exactly, written exactly.

One file a format, around one :class:`Record`; each says the definition it follows.
:func:`read` takes whatever a tool wrote, :func:`write` makes what it reads, and says
what its format cannot hold.
"""

from al_sklearn.formats._formats import guess_format, names, read, write
from al_sklearn.formats._labelstudio import labelling_configuration
from al_sklearn.formats._masks import Mask
from al_sklearn.formats._record import Record, Records, Shape

__all__ = [
    "Mask",
    "Record",
    "Records",
    "Shape",
    "guess_format",
    "labelling_configuration",
    "names",
    "read",
    "write",
]
