"""What every function asks of positions, species, boxes and times; checked in one place."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels.displacement import center_of_mass


def species_names(species: xr.DataArray) -> list[str]:
    """Names of the species, in the order of their codes, from `species.attrs["names"]`.

    Raises
    ------
    DataError
        If the names are missing.
    """
    names = species.attrs.get("names")
    if names is None:
        raise DataError('species carries no names: set species.attrs["names"], such as ["A", "B"]')
    return [str(name) for name in names]


def is_species(species: xr.DataArray, name: str | None = None) -> xr.DataArray:
    """Whether each particle is of a species; of the first one (A) by default."""
    names = species_names(species)
    if name is not None and name not in names:
        raise DataError(f"no species {name!r}: there are {names}")
    return species == (0 if name is None else names.index(name))


def check_codes(species: xr.DataArray) -> None:
    """Refuse codes of species that have no name: compiled loops index by them.

    Raises
    ------
    DataError
        Naming the particle and its code.
    """
    names, codes = species_names(species), np.asarray(species)
    unknown = np.flatnonzero((codes < 0) | (codes >= len(names)))
    if unknown.size:
        raise DataError(f"particle {unknown[0]}: species code {codes[unknown[0]]} has no name among {names}")


def box_over_frames(box: xr.DataArray) -> xr.DataArray:
    """Return the edge lengths of the box after checking that there are three, over `xyz`."""
    if "xyz" not in box.dims or box.sizes["xyz"] != 3:
        raise DataError(f"box must hold three edge lengths over dimension xyz; got dimensions {dict(box.sizes)}")
    return box


def check_frames(positions: NDArray[np.floating], boxes: NDArray[np.floating], reach: float) -> None:
    """Refuse positions that are not finite, and boxes too small for minimum images within `reach`.

    Raises
    ------
    DataError
        Naming the frame (counted within the block of frames at hand) and the particle, or the box.
    """
    finite = np.isfinite(positions).all(axis=-1)
    if not finite.all():
        *frame, particle = np.argwhere(~finite)[0]
        where = f"frame {tuple(map(int, frame))}, " if frame else ""
        raise DataError(f"{where}particle {particle}: position is not finite")
    if boxes.size == 0:
        return
    shortest = float(np.min(boxes))
    if not (shortest > 0 and np.isfinite(boxes).all()):
        raise DataError(f"box edges must be positive and finite; got {boxes.reshape(-1, 3)[0]}")
    # boxes are often stored in single precision
    if reach > shortest / 2 * (1 + 1e-6):
        raise DataError(
            f"box edge {shortest:.4f} σ is too short for distances up to {reach:.4f} σ: half the edge must exceed them"
        )


def frame_interval(position: xr.DataArray) -> float:
    """Time between successive frames of a uniform series, in τ_A.

    Raises
    ------
    DataError
        If there is no time coordinate, or it is not uniform.
    """
    times = frame_times(position)
    if times.size < 2:
        raise DataError(f"a time series needs at least two frames; got {times.size}")
    steps = np.diff(times)
    if not (steps > 0).all() or not np.allclose(steps, steps[0], rtol=1e-3):
        bad = int(np.argmax(~np.isclose(steps, np.median(steps), rtol=1e-3)))
        raise DataError(f"frames must be equally spaced in time; frames {bad} and {bad + 1} are {steps[bad]:g} τ apart")
    return float((times[-1] - times[0]) / (times.size - 1))


def frame_times(position: xr.DataArray) -> NDArray[np.float64]:
    """Time of each frame in τ_A, from the one-dimensional coordinate `time`."""
    if "time" not in position.coords or position["time"].ndim != 1:
        raise DataError("positions need a one-dimensional time coordinate; select one temperature and replica first")
    return np.asarray(position["time"].values, dtype=np.float64)


def drift(positions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Position (…, time, 3) of the centre of mass of (…, time, particle, 3), all masses equal; NaN for missing frames.

    Raises
    ------
    DataError
        If some positions of a frame are not finite, which would spoil all of it; naming the frame (counted within the block
        of frames at hand) and the particle. Whole frames may be missing.
    """
    mean = np.empty((*positions.shape[:-2], 3))
    for run in np.ndindex(positions.shape[:-3]):
        center_of_mass(positions[run], mean[run])
    for frame in np.argwhere(~np.isfinite(mean).all(axis=-1)):
        missing = ~np.isfinite(positions[tuple(frame)]).all(axis=-1)
        if not missing.all():
            where = tuple(map(int, frame))
            raise DataError(f"frame {where}, particle {np.argmax(missing)}: position is not finite")
    return mean
