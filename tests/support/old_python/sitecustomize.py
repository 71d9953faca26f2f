"""What Python 3.10 took out of `collections`, for loaders that were written before it."""

import collections
import collections.abc

for name in ("Mapping", "MutableMapping"):
    setattr(collections, name, getattr(collections.abc, name))
