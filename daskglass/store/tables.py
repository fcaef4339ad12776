"""What a study found, without what it was computed from: a small netCDF file for each system."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskglass.errors import StoreError, StudyError
from daskglass.store.blocks import check_is_store, open_group, read_table, readable, strings_of_any_length
from daskglass.store.export import whole

GROUPS = ("ensemble", "model")
LAST = "activation_energy"  # written at the end of the analysis
# counts of every candidate of the supercooled range, and curves of every bin at every temperature: most of the bytes
LEFT_OUT = ("candidate_samples", "candidate_events", "candidate_edges", "g_grouped", "g_grouped_thermal")
CURVES = "r"  # what is a curve over it is kept to single precision
AXES = ("variable", "temperature", "replica", "time")  # that every ensemble has
WORTH_PACKING = 4096  # bytes
MOST_BYTES = 50_000_000  # of one group, unpacked: a file of some kilobytes can declare any number


@dataclass(frozen=True)
class Tables:
    """What was found of one system.

    Attributes
    ----------
    attrs : mixture, study, versions, time step, engine and number of particles, as far as known
    ensemble, model : averages, from hot to cold, and the softness model; in memory
    """

    attrs: Mapping[str, Any]
    ensemble: xr.Dataset
    model: xr.Dataset


def read_tables(path: Path) -> dict[str, Tables]:
    """Read the tables of every system that a store has finished, or that a folder written by `write_tables` holds.

    Raises
    ------
    StoreError
        If it is neither, holds no system, or a file is damaged or no table.
    """
    if (path / "zarr.json").is_file():
        found = {system: _of_store(path, system) for system in sorted(_systems(path)) if not _lacks(path, system)}
    else:
        found = {file.stem: _of_file(file) for file in sorted(path.glob("*.nc"))}
    if not found:
        raise StoreError(
            "neither a store with a finished system nor a folder of tables",
            file=path,
            remedy="write tables with `daskglass tables STORE FOLDER`",
        )
    return found


def write_tables(store: Path, folder: Path) -> list[Path]:
    """Write the tables of every system of a store as `FOLDER/SYSTEM.nc`: all of them, or none.

    Parameters
    ----------
    store : path of a store whose study is finished
    folder : made if it is missing; files of other systems stay

    Returns
    -------
    The files, of the groups `ensemble` and `model`, with the attributes of the store.

    Raises
    ------
    StoreError
        If there is no store, a system is not finished, or h5netcdf is not installed.
    """
    check_is_store(store)
    systems = sorted(_systems(store))
    for system in systems:
        if not (store / system / "production").is_dir() and (store / system / "isoconfigurational").is_dir():
            raise StoreError(
                f"{system} has isoconfigurational ensembles and no production run: there are no averages or barriers to write",
                file=store,
                remedy=f"write its scoreboard with `daskglass query {store} --run scoreboard --variable pearson --out FILE.csv`",
            )
        if lacks := _lacks(store, system):
            raise StoreError(f"{system} lacks {lacks}", file=store, remedy="finish its study with `daskglass run`")
    if not systems:
        raise StoreError("the store has no systems", file=store, remedy="run its study with `daskglass run`")
    if (folder / "zarr.json").exists():
        raise StudyError("is a store; give a folder of its own for the tables", file=folder)
    _need_netcdf()
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{system}.nc" for system in systems]
    with ExitStack() as stack:
        for system, aside in zip(systems, [stack.enter_context(whole(file)) for file in files], strict=True):
            _write(_of_store(store, system), aside)
    return files


# --- stores --------------------------------------------------------------------------------------------------------


def _systems(store: Path) -> list[str]:
    return [entry.parent.name for entry in store.glob("*/zarr.json")]


def _lacks(store: Path, system: str) -> str:
    """What a system of a store lacks to be finished; empty if nothing."""
    there = {group: (store / system / group / "zarr.json").is_file() for group in GROUPS}
    if all(there.values()):
        return "" if (store / system / "ensemble" / LAST).is_dir() else "its barriers"
    return " and ".join(group for group in GROUPS if not there[group])


def _of_store(store: Path, system: str) -> Tables:
    with readable(store):
        production = open_group(store, f"{system}/production")
        ensemble, model = (read_table(store, f"{system}/{group}") for group in GROUPS)
    attrs = {name: value for name, value in production.attrs.items() if name != "sources" and value is not None}
    attrs["particles"] = production.sizes["particle"]
    return _checked(store / system, attrs, ensemble, model)


def _checked(where: Path, attrs: Mapping[str, Any], ensemble: xr.Dataset, model: xr.Dataset) -> Tables:
    lacks = [name for name in AXES if name not in ensemble.indexes]
    if lacks:
        raise StoreError(f"the ensemble lacks {' and '.join(lacks)}", file=where)
    T = ensemble["temperature"].values
    if T.dtype.kind not in "iuf" or not (T > 0).all() or np.unique(T).size < T.size:
        raise StoreError(f"temperatures must be positive numbers, each once; got {T}", file=where)
    for name, values in ensemble.data_vars.items():
        if values.dtype.kind not in "biuf":
            raise StoreError(f"{name} holds no numbers", file=where)
    for name in ("study", "versions", "mixture"):
        try:
            mapping = isinstance(json.loads(attrs.get(name, "{}")), dict)
        except (TypeError, ValueError):
            mapping = False
        if not mapping:
            raise StoreError(f"the attribute {name} is damaged", file=where)
    return Tables(attrs, ensemble.sortby("temperature", ascending=False), model)


# --- files ---------------------------------------------------------------------------------------------------------


def _need_netcdf() -> None:
    try:
        import_module("h5netcdf")
    except ImportError as error:
        raise StoreError(str(error), remedy='install it with pip install "daskglass[export]"') from error


def _write(tables: Tables, file: Path) -> None:
    xr.Dataset(attrs=dict(tables.attrs)).to_netcdf(file, mode="w", engine="h5netcdf")
    for group in GROUPS:
        table: xr.Dataset = getattr(tables, group)
        table = strings_of_any_length(table.drop_vars(LEFT_OUT, errors="ignore")).drop_encoding()
        encoding = {name: _encoding(variable) for name, variable in table.variables.items() if variable.dtype != object}
        table.to_netcdf(file, mode="a", group=group, engine="h5netcdf", encoding=encoding)


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    curve = CURVES in variable.dims and variable.ndim > 1
    # an array in chunks, which compression needs, costs HDF5 kilobytes
    packed = {"zlib": True, "complevel": 9, "shuffle": True} if variable.nbytes > WORTH_PACKING else {}
    return packed | {"dtype": "float32" if curve and variable.dtype.kind == "f" else variable.dtype}


@contextmanager
def _intact(file: Path) -> Iterator[None]:
    """Turn what a damaged file raises into an error that says so."""
    try:
        yield
    except StoreError:
        raise
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        # HDF5 raises any of them
        raise StoreError(
            f"cannot be read: damaged, cut short, or no table of daskglass ({error})",
            file=file,
            remedy="restore a copy, or write it again with `daskglass tables STORE FOLDER`",
        ) from error


def _of_file(file: Path) -> Tables:
    _need_netcdf()
    with _intact(file):
        _check_contents(file)
        attrs = {name: _plain(value) for name, value in _read(file, None).attrs.items()}
        return _checked(file, attrs, *(_read(file, group) for group in GROUPS))


def _check_contents(file: Path) -> None:
    """Refuse, before any of it is read, what no table has: other than numbers and texts, other files, gigabytes."""
    import h5py

    with h5py.File(file) as opened:
        for group in GROUPS:
            total = 0
            for name in opened[group]:
                own = isinstance(opened[group].get(name, getlink=True), h5py.HardLink)
                array = opened[group][name] if own else None
                if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
                    raise StoreError(f"{name} is no array of this file", file=file)
                if not (array.dtype.kind in "biuf" or h5py.check_string_dtype(array.dtype)):
                    raise StoreError(f"{name} holds neither numbers nor texts", file=file)
                total += array.nbytes
            if total > MOST_BYTES:
                raise StoreError(f"{group} declares {total:,} bytes, more than any table has", file=file)


def _read(file: Path, group: str | None) -> xr.Dataset:
    # dimensions without names are those of a file that was changed, and found out later
    with xr.open_dataset(file, engine="h5netcdf", group=group, decode_times=False, phony_dims="access") as opened:
        return opened.load()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
