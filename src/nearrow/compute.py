"""Compute: pyarrow's functions over arrays, which take a quarter of the time of `import nearrow` if they are loaded by it.

A function, or `Expression`, is taken from pyarrow.compute when it is first used, and is then one of this module's own.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pyarrow.compute

    value = globals()[name] = getattr(pyarrow.compute, name)
    return value
