"""Commands that read the results of a store: info, query, export, figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daskglass.cli.options import RANGE, Debug, Replica, Run, Store, expanded
from daskglass.cli.tables import note, out, print_rows, say
from daskglass.errors import StudyError
from daskglass.registry import listed

if TYPE_CHECKING:
    import xarray as xr

SKIPPED = "may be repeated; skips NaN, and -1 in codes"


def info(store: Store, debug: Debug = False) -> None:
    """Show the contents of a store: coordinates, variables, sizes, chunks written, and source files."""
    from daskglass.cli.store_info import describe_store, files_below, size_text

    groups = list(describe_store(store))
    out.print(f"{store}: {size_text(files_below(store)[1])} on disk", highlight=False, soft_wrap=True)
    for group in groups:
        out.print(group, highlight=False)


def query(
    store: Store,
    variable: Annotated[
        list[str] | None, typer.Option(help="variable name; may be repeated; without it, names of all are printed")
    ] = None,
    system: Annotated[list[str] | None, typer.Option(help="system name; may be repeated")] = None,
    run: Run = "production",
    temperature: Annotated[str | None, typer.Option(help=f"nearest value, {RANGE}")] = None,
    time: Annotated[str | None, typer.Option(help=f"nearest value in τ, {RANGE}")] = None,
    lag: Annotated[str | None, typer.Option(help=f"nearest value in τ, of ensembles and their scores, {RANGE}")] = None,
    replica: Replica = None,
    species: Annotated[list[str] | None, typer.Option(help="particles of this species; may be repeated")] = None,
    mean: Annotated[list[str] | None, typer.Option(metavar="DIM", help=f"mean over this dimension; {SKIPPED}")] = None,
    std: Annotated[list[str] | None, typer.Option(metavar="DIM", help="standard deviation over this dimension")] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--min", metavar="DIM", help="minimum over this dimension")
    ] = None,
    maximum: Annotated[
        list[str] | None, typer.Option("--max", metavar="DIM", help="maximum over this dimension")
    ] = None,
    total: Annotated[list[str] | None, typer.Option("--sum", metavar="DIM", help="sum over this dimension")] = None,
    count: Annotated[
        list[str] | None, typer.Option(metavar="DIM", help="number of values along this dimension")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", help="file to write: .nc, .csv or .parquet", callback=expanded)
    ] = None,
    debug: Debug = False,
) -> None:
    """Select and reduce variables of a store; print a table, or write a file.

    A table has a row for each combination of labels, also for missing values.
    """
    from daskglass.store.export import number_of_rows, save
    from daskglass.store.queries import query_in_memory, reduced, variables_of

    if not variable:
        raise StudyError(f"choose by --variable from {listed(variables_of(store, system, run), 'and')}")

    reductions = {"mean": mean, "std": std, "min": minimum, "max": maximum, "sum": total, "count": count}
    asked = {how: dims for how, dims in reductions.items() if dims}
    if len(asked) > 1:
        raise StudyError(f"give only one of {' and '.join(f'--{how}' for how in asked)}")
    selection = {
        "temperature": _labels("temperature", temperature), "time": _labels("time", time),
        "lag": _labels("lag", lag), "replica": replica,
        "species": species or None,
    }  # fmt: skip
    selection = {dim: value for dim, value in selection.items() if value is not None}
    found = query_in_memory(store, system, run, variable, **selection)
    _say_nearest(found, selection)
    for how, dims in asked.items():
        found = reduced(found, how, dims)
    if output is None:
        print_rows(found)
    else:
        save(found, output)
        sizes = ", ".join(f"{dim} {size}" for dim, size in found.sizes.items())
        say(f"{output}: {number_of_rows(found):,} rows" if output.suffix != ".nc" else f"{output}: {sizes}")


def _say_nearest(found: xr.Dataset, selection: Mapping[str, object]) -> None:
    """Say which labels were taken where those asked for are not there."""
    from daskglass.physics.labels import distinct, same

    for dim, value in selection.items():
        if not isinstance(value, float) or dim not in found.coords:
            continue
        there = distinct(found[dim].values.ravel().tolist())
        if not all(same(there, value)):
            note(f"{dim} {value:g} is not there; the nearest is taken: {', '.join(f'{label:g}' for label in there)}")


def export(
    store: Store,
    output: Annotated[
        Path, typer.Argument(metavar="OUT.gsd", help="file to write", show_default=False, callback=expanded)
    ],
    system: Annotated[str | None, typer.Option(help="system name")] = None,
    run: Run = "production",
    temperature: Annotated[float | None, typer.Option(help="nearest value")] = None,
    replica: Replica = None,
    positions: Annotated[str, typer.Option(help="position, or inherent for inherent structures")] = "position",
    variable: Annotated[
        list[str] | None, typer.Option(help="per-particle variable to colour by; may be repeated")
    ] = None,
    time: Annotated[str | None, typer.Option(help=f"value in τ, {RANGE}")] = None,
    debug: Debug = False,
) -> None:
    """Write the trajectory of one temperature and replica as GSD, for OVITO and HOOMD-blue.

    System, temperature and replica are optional if there is only one.
    """
    from daskglass.store.export import write_gsd
    from daskglass.store.queries import in_short
    from daskglass.store.queries import query as ask

    if output.suffix != ".gsd":
        raise StudyError(f"{output}: the name must end in .gsd")
    selection = {"temperature": temperature, "replica": replica, "time": _labels("time", time)}
    selection = {dim: value for dim, value in selection.items() if value is not None}
    scalars = variable or []
    row = ask(store, system, run, [positions, *scalars, "species", "box"], **selection)
    for dim in ("system", "temperature", "replica"):
        if row.sizes.get(dim, 1) > 1:
            raise StudyError(f"choose one {dim} with --{dim}: {in_short(row[dim].values, 30)}")
    _say_nearest(row, selection)
    row = row.squeeze([dim for dim in ("system", "temperature", "replica") if dim in row.dims])
    if "time" not in row.dims:
        row = row.assign({name: row[name].expand_dims("time") for name in (positions, *scalars)})
    write_gsd(output, row, positions, scalars)
    say(f"{output}: {row.sizes['time']:,} frames of {row.sizes['particle']:,} particles")


def _labels(name: str, text: str | None) -> float | slice | None:
    """Read `0.47` as a number and `0.4:0.6`, `0.4:` or `:0.6` as a range."""
    if text is None:
        return None
    try:
        if "_" in text or not text.isascii():
            # Python would read 1_0 as 10
            raise ValueError(text)
        ends = [float(end) if end.strip() else None for end in text.split(":")]
        if len(ends) == 1 and ends[0] is not None:
            return ends[0]
        if len(ends) == 2 and ends != [None, None]:
            return slice(*ends)
    except ValueError as error:
        raise StudyError(f"--{name} {text}: give a number, or a range such as 0.4:0.6, 0.4: or :0.6") from error
    raise StudyError(f"--{name} {text}: give a number, or a range such as 0.4:0.6, 0.4: or :0.6")


def figures(store: Store, debug: Debug = False) -> None:
    """Draw the figures and the page of a store."""
    from daskglass.report import draw

    say(str(draw(store)))
