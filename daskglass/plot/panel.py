"""What panels are made of: axes, labels with units, curves with bands, points with error bars, shades."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays

GREY = "#5a5a5a"
BAND: dict[str, Any] = {"alpha": 0.3, "linewidth": 0}  # of standard errors around a curve
DASHED: Any = (0, (4, 2))
DIVERGING = "RdBu_r"  # safe for every kind of colour vision
LABELS = 3  # on a logarithmic axis, at least
INVERSE_T = r"$1/T$ ($k_\mathrm{B}/\varepsilon$)"
S2 = r"$s^{(2)}$ ($k_\mathrm{B}$)"
SYMBOLS = {"sigma": r"\sigma", "epsilon": r"\varepsilon", "tau": r"\tau", "k_B": r"k_\mathrm{B}"}  # of reduced units

Table = xr.DataArray | xr.Dataset


def axes_of(ax: Axes | None) -> Axes:
    """Axes that are given, or the current ones.

    Raises
    ------
    DataError
        If it is anything else, such as an array of axes.
    """
    if ax is None:
        # who brings axes needs no pyplot, which holds on to every figure
        import matplotlib.pyplot as plt

        return plt.gca()
    if not isinstance(ax, Axes):
        raise DataError(f"ax must be one matplotlib.axes.Axes; got {type(ax).__name__}")
    return ax


# --- tables --------------------------------------------------------------------------------------------------------


class Series(NamedTuple):
    """A variable along one dimension: labels, values, their standard errors where they are known, and a name."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error: NDArray[np.float64] | None
    label: str


def series(table: Table, variable: str, along: str, what: str) -> list[Series]:
    """Variable of a table along a dimension, with its `…_err`; one for every label of the others it has.

    Parameters
    ----------
    table : the variable itself, or a Dataset that has it
    variable : name in the Dataset
    along : dimension whose labels are numbers
    what : the table is called in errors

    Raises
    ------
    DataError
        If the variable, the dimension or its labels are missing.
    """
    if isinstance(table, xr.Dataset):
        table = arrays.table(table, what, {variable: (along,)})
        error = table.get(f"{variable}_err")
        values = table[variable]
    else:
        values, error = arrays.array(table, what, (along,)), None
    values = arrays.in_order(values, along, what).compute()
    others = [dim for dim in values.dims if dim != along]
    if error is not None:
        error = error.broadcast_like(values).sel({along: values[along]}).transpose(*values.dims).compute()
    found = []
    for place in itertools.product(*(range(values.sizes[dim]) for dim in others)):
        at = dict(zip(others, place, strict=True))
        one = values.isel(at)
        found.append(
            Series(
                one[along].values.astype(np.float64),
                one.values.astype(np.float64),
                None if error is None else error.isel(at).values.astype(np.float64),
                ", ".join(f"{dim} = {_text(one, dim, k)}" for dim, k in at.items()),
            )
        )
    return found


def _text(one: xr.DataArray, dim: Any, place: int) -> str:
    label = one[dim].item() if dim in one.coords else place
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def alone(table: xr.Dataset, variable: str, dims: Sequence[str], what: str) -> NDArray[np.float64]:
    """Values of a variable over `dims`, in their order.

    Raises
    ------
    DataError
        If it or one of them is missing, or it has others.
    """
    values = arrays.table(table, what, {variable: dims})[variable]
    if more := [str(dim) for dim in values.dims if dim not in dims]:
        raise DataError(f"{what}.{variable} is also over {' and '.join(more)}: select one, such as .isel({more[0]}=0)")
    return values.transpose(*dims).values.astype(np.float64)


def with_error(
    table: xr.Dataset, variable: str, dims: Sequence[str], what: str
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Values of a variable over `dims`, and their standard errors `…_err`; None where the table has none. See `alone`."""
    values, error = alone(table, variable, dims, what), f"{variable}_err"
    return values, alone(table, error, dims, what) if error in table else None


# --- drawing -------------------------------------------------------------------------------------------------------


def curve(ax: Axes, one: Series, given: dict[str, Any]) -> None:
    """Draw a line, and its standard errors as a band."""
    (line,) = ax.plot(one.x, one.y, **labelled(one.label, given))
    if one.error is not None and np.isfinite(one.error).any():
        ax.fill_between(one.x, one.y - one.error, one.y + one.error, color=line.get_color(), **BAND)


def points(
    ax: Axes,
    one: Series,
    given: dict[str, Any],
    x_error: NDArray[np.float64] | None = None,
    joined: bool = False,
) -> None:
    """Draw the points that are known, with error bars."""
    given = labelled(one.label, given)
    if "fmt" not in given:
        given = {"marker": "o", "linestyle": "-" if joined else "none"} | given
    known = np.isfinite(one.x) & np.isfinite(one.y)
    y_bars, x_bars = (None if error is None else error_bars(error[known]) for error in (one.error, x_error))
    ax.errorbar(one.x[known], one.y[known], y_bars, x_bars, **given)


def labelled(label: str, given: dict[str, Any]) -> dict[str, Any]:
    """Keywords of a line, with a label that adds to the one given."""
    given = normalize_kwargs(given, Line2D)
    text = ", ".join(filter(None, (given.pop("label", ""), label)))
    return given | ({"label": text} if text else {})


def error_bars(error: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Error bars; None where no error is known."""
    return np.nan_to_num(error) if np.isfinite(error).any() else None


def strata_colours(count: int) -> Colormap:
    """One colour per stratum, of a perceptually uniform map."""
    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, count)))


def shades(values: NDArray[np.float64], given: dict[str, Any]) -> ScalarMappable:
    """Colours of values, from the keywords `cmap`, `norm`, `vmin` and `vmax` that are taken from those given.

    By default from the 2nd to the 98th percentile; of values of both signs, symmetric about zero.
    """
    cmap, norm = given.pop("cmap", None), given.pop("norm", None)
    vmin, vmax = given.pop("vmin", None), given.pop("vmax", None)
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if known.size else (0.0, 1.0)
    both = low < 0 < high
    if both:
        high = float(np.percentile(np.abs(known), 98))
        low = -high
    norm = norm or Normalize(low if vmin is None else vmin, high if vmax is None else vmax)
    return ScalarMappable(norm, cmap or (DIVERGING if both else "viridis"))


def colour_bar(ax: Axes, mappable: ScalarMappable, text: str, **given: Any) -> None:
    """Colour bar beside a panel."""
    bar = ax.figure.colorbar(mappable, ax=ax, fraction=0.045, pad=0.02, aspect=24, **given)
    bar.set_label(text)
    bar.outline.set_linewidth(0.5)
    if not isinstance(mappable.norm, LogNorm):
        bar.ax.minorticks_off()


def log_y(ax: Axes) -> None:
    """Logarithmic axis with a labelled tick per decade, and between decades where there are few of them."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_locator(LogLocator(subs=tuple(np.arange(2, 10)), numticks=12))
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for between in ((), (2, 5), (2, 3, 5), tuple(range(2, 10))):
        ticks = np.outer(powers, (1, *between))
        if ((ticks >= low) & (ticks <= high)).sum() >= LABELS:
            break
    ax.yaxis.set_minor_formatter(FuncFormatter(partial(_power, between)))


def _power(between: tuple[int, ...], value: float, _: int | None = None) -> str:
    exponent = int(np.floor(np.log10(value) + 1e-9))
    mantissa = value / 10.0**exponent
    whole = abs(mantissa - round(mantissa)) < 1e-6
    # on less than a decade Matplotlib sets ticks evenly, and few
    return rf"${mantissa:.4g}\times 10^{{{exponent}}}$" if round(mantissa) in between or not whole else ""


# --- words ---------------------------------------------------------------------------------------------------------


def axis(values: xr.DataArray, symbol: str = "", units: str = "1") -> str:
    """Label of an axis: symbol, or name, and the units that the array says it has, or those given."""
    name = symbol or str(values.attrs.get("long_name", str(values.name or "").replace("_", " ")))
    unit = str(values.attrs.get("units", units))
    return name if unit == "1" else f"{name} (${in_symbols(unit)}$)"


def in_symbols(unit: str) -> str:
    """Units as mathematics: sigma**2/tau as σ²/τ."""
    text = re.sub(r"[A-Za-z_]+", lambda word: SYMBOLS.get(word[0], rf"\mathrm{{{word[0]}}}"), unit)
    return re.sub(r"\*\*(-?\d+)", r"^{\1}", text).replace("*", r"\,")


def number(value: float, digits: int = 2) -> str:
    """Decimal number with a proper minus sign."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def small() -> Any:
    """Size of small type, that of ticks."""
    return matplotlib.rcParams["xtick.labelsize"]
