"""What every function asks of positions, species, boxes and times; checked in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays

ABSENT = -1  # code of a particle that a smaller system does not have
FARTHEST = 2.0**40  # box edges from the origin: beyond, a position in double precision says nothing about distances

Who = slice | NDArray[np.intp]


# --- species -------------------------------------------------------------------------------------------------------


def species_names(species: xr.DataArray) -> list[str]:
    """Names of the species, in the order of their codes, from `species.attrs["names"]`.

    Raises
    ------
    DataError
        If the names are missing, or two are the same.
    """
    names = species.attrs.get("names")
    if names is None:
        raise DataError('species carries no names: set species.attrs["names"], such as ["A", "B"]')
    if not isinstance(names, str | list | tuple | np.ndarray):
        raise DataError(f'species.attrs["names"] must be a list such as ["A", "B"]; got {names!r}')
    # files hold a list of one text as a text
    names = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(set(names)) < len(names) or not 0 < len(names) <= np.iinfo(np.int8).max:
        raise DataError(f"species names must be 1 to {np.iinfo(np.int8).max} different ones; got {names}")
    return names


def species_codes(species: Any) -> xr.DataArray:
    """Codes (…, particle) int8, in memory, each with a name; -1 (or NaN) where there is no particle, as `query` has it.

    Raises
    ------
    DataError
        If it is no array over `particle`, or a code is not whole or has no name, naming the particle and its code.
    """
    if isinstance(species, xr.DataArray) and species.dtype.kind == "f":
        whole = species.astype(np.float64).compute().fillna(ABSENT)
        uneven = whole.values != np.floor(whole.values)
        if uneven.any():
            raise DataError(f"species codes must be whole numbers; got {whole.values[uneven][0]}")
        species = whole.clip(-1e9, 1e9).astype(np.int64).assign_attrs(species.attrs)
    codes = arrays.array(species, "species", ["particle"], "species")
    codes = codes if codes.chunks is None else codes.compute()
    _check_named(codes, ABSENT)
    return arrays.cast(codes, np.int8)


def check_codes(species: xr.DataArray) -> None:
    """Refuse codes of species that have no name: what writes them has none for -1 either.

    Raises
    ------
    DataError
        Naming the particle and its code.
    """
    _check_named(species, 0)


def _check_named(species: xr.DataArray, least: int) -> None:
    names, codes = species_names(species), species.values
    unknown = (codes < least) | (codes >= len(names))
    if unknown.any():
        where = tuple(np.argwhere(unknown)[0])
        particle = where[species.get_axis_num("particle")]
        raise DataError(f"particle {particle}: species code {codes[where]} has no name among {names}")


def is_species(species: xr.DataArray, name: str | None = None) -> xr.DataArray:
    """Whether each particle is of a species; of the first one (A) by default."""
    names, codes = species_names(species), species_codes(species)
    if name is not None and name not in names:
        raise DataError(f"no species {name!r}: there are {names}")
    return codes == (0 if name is None else names.index(name))


def centers_of(centers: str | xr.DataArray | None, species: xr.DataArray) -> xr.DataArray:
    """Whether each particle is a centre: booleans as given, or those of a species; of the first one (A) by default."""
    if centers is None or isinstance(centers, str):
        return is_species(species, centers)
    if isinstance(centers, xr.DataArray) and (centers.dtype != np.bool_ or "particle" not in centers.dims):
        raise DataError("centers must be the name of a species or a boolean array over particle")
    return arrays.array(centers, "centers", ["particle"], "bool")


# --- boxes and frames ----------------------------------------------------------------------------------------------


def box_over_frames(box: Any, name: str = "box") -> xr.DataArray:
    """Return the edge lengths of the box after checking that there are three, over `xyz`."""
    if isinstance(box, xr.DataArray) and ("xyz" not in box.dims or box.sizes["xyz"] != 3):
        raise DataError(f"{name} must hold three edge lengths over dimension xyz; got dimensions {dict(box.sizes)}")
    # one type for kernels
    return arrays.cast(arrays.array(box, name, ["xyz"]), np.float64)


def frames(
    positions: NDArray[np.floating], codes: NDArray[np.int8], boxes: NDArray[np.float64], reach: float
) -> Iterator[tuple[tuple[int, ...], Who]]:
    """Index of every frame that is there, with the particles it holds, after checking all of it.

    Parameters
    ----------
    positions : numpy.ndarray
        Positions (…, particle, 3).
    codes : numpy.ndarray
        Species codes (…, particle), -1 where there is no particle, whose position is NaN.
    boxes : numpy.ndarray
        Edge lengths (…, 3).
    reach : float
        Largest distance at which minimum images are wanted.

    Yields
    ------
    frame : tuple of int
        Index of the frame.
    who : slice or numpy.ndarray
        Particles of the frame.

    Raises
    ------
    DataError
        If a part of a frame is not finite, a box is too small or not positive; naming the frame (counted within the
        block at hand) and the particle, or the box. Whole frames may be missing.
    """
    for frame in np.ndindex(positions.shape[:-2]):
        x, box, who = positions[frame], boxes[frame], everyone(positions[frame], codes[frame], frame)
        x = x[who]
        if x.size == 0:
            continue
        # NaN stays NaN in a maximum
        farthest = np.abs(x).max()
        if not np.isfinite(farthest):
            if np.isnan(x).all():
                continue
            raise _not_finite(x, who, frame)
        _check_box(box, frame, reach)
        if farthest > FARTHEST * box.min():
            raise DataError(f"{_where(frame)}a position lies {farthest:g} σ from the origin, in a box of {box}")
        yield frame, who


def everyone(positions: NDArray[np.floating], codes: NDArray[np.int8], where: tuple[int, ...] = ()) -> Who:
    """Particles of a frame or series (…, particle, 3) that are there by their codes (particle,).

    Raises
    ------
    DataError
        If a particle has a position but no species.
    """
    if codes.size == 0 or codes.min() >= 0:
        return slice(None)
    absent = np.flatnonzero(codes < 0)
    stray = ~np.isnan(positions[..., absent, :]).all(axis=-1).reshape(-1, absent.size).all(axis=0)
    if stray.any():
        raise DataError(
            f"{_where(where)}particle {absent[stray][0]}: species code {ABSENT} has no name, but a position: "
            "it marks particles that are not there, whose positions are NaN"
        )
    return np.flatnonzero(codes >= 0)


def series(positions: NDArray[np.floating], who: Who) -> NDArray[np.floating]:
    """Positions (time, particle, 3) of those who are there, as kernels know them."""
    x = np.ascontiguousarray(positions[:, who])
    # of one kind, whether they are a part or all
    x = x.view()
    x.flags.writeable = False
    return x


def held(values: NDArray[Any], who: Who) -> NDArray[Any]:
    """Values (particle, …) of those who are there; read-only, as blocks are, so that kernels are compiled for one kind only."""
    part = values[who]
    part.flags.writeable = False
    return part


def _check_box(box: NDArray[np.float64], frame: tuple[int, ...], reach: float) -> None:
    if not ((box > 0).all() and np.isfinite(box).all()):
        raise DataError(f"{_where(frame)}box edges must be positive and finite; got {box}")
    # boxes are often stored in single precision
    if reach > box.min() / 2 * (1 + 1e-6):
        raise DataError(
            f"{_where(frame)}box edge {box.min():.4f} σ is too short for distances up to {reach:.4f} σ: "
            "half the edge must exceed them"
        )


def _where(frame: tuple[int, ...]) -> str:
    return f"frame {tuple(map(int, frame))}, " if frame else ""


def _not_finite(x: NDArray[np.floating], who: Who, frame: tuple[int, ...]) -> DataError:
    k = int(np.argmin(np.isfinite(x).all(axis=-1)))
    particle = k if isinstance(who, slice) else int(who[k])
    return DataError(f"{_where(frame)}particle {particle}: position is not finite")


# --- time ----------------------------------------------------------------------------------------------------------


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
    if not np.allclose(steps, steps[0], rtol=1e-3, atol=0):
        bad = int(np.argmax(~np.isclose(steps, np.median(steps), rtol=1e-3)))
        raise DataError(f"frames must be equally spaced in time; frames {bad} and {bad + 1} are {steps[bad]:g} τ apart")
    return float((times[-1] - times[0]) / (times.size - 1))


def frame_times(position: xr.DataArray) -> NDArray[np.float64]:
    """Time of each frame in τ_A, from the one-dimensional coordinate `time`; frames are in its order.

    Raises
    ------
    DataError
        If there is none, or it does not rise from frame to frame.
    """
    if "time" not in position.coords or position["time"].ndim != 1:
        raise DataError("positions need a one-dimensional time coordinate; select one temperature and replica first")
    arrays.check_units(position["time"], "time")
    times = position["time"].values
    if times.dtype.kind not in "iuf":
        raise DataError(f"time must be numbers, in τ; got {times.dtype}")
    times = times.astype(np.float64)
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise DataError('times of frames must rise strictly: put them in order by sortby("time")')
    return times


def drift(positions: NDArray[np.floating], who: Who, run: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """Centre of mass of each frame, all masses equal; NaN for missing frames.

    Parameters
    ----------
    positions : numpy.ndarray
        Positions (time, particle, 3).
    who : slice or numpy.ndarray
        Which particles of the system these are, for errors.
    run : tuple of int, optional
        Which series this is, for errors.

    Returns
    -------
    numpy.ndarray
        Positions (time, 3).

    Raises
    ------
    DataError
        If some positions of a frame are not finite, which would spoil all of it; naming the frame (counted within the
        block of frames at hand) and the particle. Whole frames may be missing.
    """
    # names of species are asked for where nothing is computed
    from daskglass.kernels.displacement import center_of_mass

    mean = np.empty((len(positions), 3))
    center_of_mass(positions, mean)
    for frame in np.flatnonzero(~np.isfinite(mean).all(axis=-1)):
        if not np.isnan(positions[frame]).all():
            raise _not_finite(positions[frame], who, (*run, int(frame)))
    return mean
