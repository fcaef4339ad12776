"""Positions that motion is computed from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import xarray as xr

from daskglass import physics
from daskglass.store.blocks import Block, read_block


def moved(path: Path, block: Block, position: xr.DataArray, box: xr.DataArray) -> xr.DataArray:
    """Positions that dynamics are computed from: in a box that varies, relative to it, as if it kept its first size."""
    if "time" not in box.dims:
        return position
    # of the row, not of the block: the same for all blocks, and for frames that join later
    first = read_block(path, replace(block, start=0, stop=1), [])["box"]
    return physics.affine.without_affine_motion(position, box, first.isel(time=0, drop=True))
