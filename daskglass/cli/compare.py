"""Commands that hold one study against another: tables, compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daskglass.cli.fitted import Fitted
from daskglass.cli.options import Debug, Store, expanded
from daskglass.cli.tables import out, remark, say
from daskglass.errors import StoreError, StudyError, reason

if TYPE_CHECKING:
    from daskglass.report.compare import Comparison, Row

PICTURES = (".png", ".svg", ".pdf")
Reference = Annotated[
    Path,
    typer.Argument(help="folder of tables, such as docs/validation, or store", show_default=False, callback=expanded),
]


def tables(
    store: Store,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="folder to write", show_default=False, callback=expanded)
    ],
    debug: Debug = False,
) -> None:
    """Write what a study found as FOLDER/SYSTEM.nc: small netCDF files, to keep and to compare with."""
    from daskglass.cli.store_info import size_text
    from daskglass.store.tables import write_tables

    for file in write_tables(store, folder):
        say(f"{file}: {size_text(file.stat().st_size)}")


def compare(
    store: Store,
    reference: Reference,
    sigma: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=10,
            help="what a number alone may differ by, in standard errors; the more numbers, the wider the bound",
        ),
    ] = 3.0,
    output: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.csv", help="write every difference", callback=expanded)
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="draw the differences", callback=expanded)
    ] = None,
    debug: Debug = False,
) -> None:
    """Compare what a store holds with a reference, in units of the errors.

    Every number that both know with an error counts, by Student's t where the errors are over few replicas. The bound for all of
    them is Šidák's: chance takes any one beyond it as rarely as a single number beyond SIGMA, in 0.27 % of studies at 3.
    Exit status: 0 they agree, 1 they do not, 2 they cannot be compared.
    """
    from daskglass.report.compare import compare as hold_against
    from daskglass.store.export import check_folder
    from daskglass.store.tables import read_tables

    for option, path, endings in (("--out", output, (".csv",)), ("--figure", figure, PICTURES)):
        if path is not None and path.suffix not in endings:
            raise StudyError(f"{option} {path}: the name must end in {' or '.join(endings)}")
        if path is not None:
            check_folder(path)
    try:
        found = hold_against(read_tables(store), read_tables(reference), sigma)
        _print(found)
        if output is not None:
            _write(found, output)
        if figure is not None:
            from daskglass.report.differences import save

            save(found, figure)
    except (StoreError, OSError) as error:
        # 1 says that what was compared does not agree
        raise StudyError(reason(error) if isinstance(error, OSError) else str(error)) from error
    if not found.agrees:
        raise typer.Exit(1)


def _print(found: Comparison) -> None:
    say("differences from the reference, in units of their errors")
    rows = []
    for row in found.rows:
        where, largest = row.largest
        rows.append([
            row.system, row.quantity.replace("_", " "), f"{row.sigma.size:,}", _signed(row.sigma.mean()), _signed(largest), where,
            found.verdict(row),
        ])  # fmt: skip
    out.print(Fitted(["system", "quantity", "numbers", "mean", "largest", "at", "verdict"], rows, range(2, 5)))
    for line in _notes(found):
        remark(line)
    for row in found.rows:
        if found.verdict(row) == "beyond":
            where, largest = row.largest
            remark(
                f"beyond {found.bound:.1f} σ: {row.system} {row.quantity}{where and f', {where}'}: {_signed(largest)} σ"
            )
    say("agrees" if found.agrees else "does not agree")


def _notes(found: Comparison) -> Iterator[str]:
    squares, number, chance = found.chi_squared
    together = found.comparisons.size - number
    sums = f" and {together} sums over all T" * bool(together)
    yield (
        f"{number} numbers{sums} are judged: chance takes any of them beyond {found.bound:.2f} σ as rarely as one alone beyond "
        f"{found.sigma:g} σ"
    )
    yield f"χ² = {squares:.1f} of {number} numbers, as large by chance in {chance:.2%} of studies, were all of them independent"
    if any(row.own_model for row in found.rows):
        yield "not judged: what depends on a softness of its own in either study, whose training errors know in part at most"
    for text in found.differs:
        yield f"differs: {text}"
    for text in found.left_out:
        yield f"not compared: {text}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _write(found: Comparison, path: Path) -> None:
    import pandas as pd

    from daskglass.store.export import whole

    with whole(path) as aside:
        pd.DataFrame(line for row in found.rows for line in _lines(row)).to_csv(aside, index=False)


def _lines(row: Row) -> Iterator[dict[str, Any]]:
    for k, (where, sigma) in enumerate(row.differences.items()):
        one = k < row.sigma.size
        numbers = {
            "value": row.first, "error": row.first_err, "reference": row.second, "reference_error": row.second_err,
            "degrees_of_freedom": row.freedom,
        }  # fmt: skip
        yield {
            "system": row.system, "quantity": row.quantity, "at": where,
            **{name: values[k] if one else float("nan") for name, values in numbers.items()},
            "sigma": sigma, "judged": not row.own_model,
        }  # fmt: skip
