"""xarray without all of dask.array, as long as nobody imports that: it takes longer than `daskglass status`."""

from __future__ import annotations

import sys
from typing import Any

from xarray.namedarray import pycompat


class _DaskArrays:
    """What xarray knows of Dask's arrays: none is one where the module was never imported."""

    available = True

    @property
    def type(self) -> tuple[Any, ...]:
        """Classes of such arrays."""
        array = getattr(sys.modules.get("dask.array"), "Array", None)
        return () if array is None else (array,)


def spare_dask_arrays() -> None:
    """Have xarray answer whether an array is Dask's without importing dask.array, of which it asks that for every array."""
    known = getattr(pycompat, "_cached_duck_array_modules", None)
    if isinstance(known, dict):
        known.setdefault("dask", _DaskArrays())
