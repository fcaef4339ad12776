"""How figures look: one set of sizes, fonts and colours, and the pieces that every panel is made of."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator

WIDTH = 7.0  # inches: two columns of a journal
PIXELS_PER_INCH = 300
# Okabe and Ito's colours, which everyone can distinguish; their yellow is too pale for lines on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (4.5, 1.6)), (0, (1.1, 1.3)), (0, (5, 1.4, 1.1, 1.4)), (0, (8, 2)), (0, (2.5, 1.2)))
GREY = "#5a5a5a"
LABELS = 3  # on a logarithmic axis, at least
NEIGHBORS = 3  # species around A that have room in one panel
S2 = r"$s^{(2)}$ ($k_\mathrm{B}$)"
FAR_ONSET = 2.0  # an onset temperature beyond this many times the hottest one is printed, not drawn
SOFTNESS_MAP = "RdBu_r"  # diverging, and safe for every kind of colour vision

_RC: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.0,
    "legend.title_fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 1.7,
    "legend.labelspacing": 0.3,
    "legend.borderaxespad": 0.4,
    "axes.linewidth": 0.7,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.2,
    "lines.markersize": 4.2,
    "errorbar.capsize": 1.8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "savefig.dpi": PIXELS_PER_INCH,
    "svg.fonttype": "path",  # the page must look the same where the fonts are missing
    "svg.hashsalt": "daskglass",
}
# parameters of Matplotlib are global: figures drawn by several threads take turns
_turn = threading.RLock()


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of the report, then leave Matplotlib's parameters as they were."""
    with _turn, matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in _RC.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        yield


def new_figure(height: float) -> Figure:
    """Return an empty figure, as wide as a page."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, wspace=0.04, hspace=0.04)
    return Figure(figsize=(WIDTH, height), layout=layout)


def colour(index: int) -> str:
    """Colour of a system."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Marker of a system; it changes where colours start over."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def letter(ax: Axes, name: str, said: Sequence[str] = (), width: int = 44) -> None:
    """Give a panel its letter, and above it in small type what must be said about it."""
    notes = "\n".join(wrapped(text, width) for text in said)
    if notes:
        ax.set_title(notes, loc="right", y=1.0, fontsize=7.4, color=GREY, linespacing=1.15)
    # a height that is given is not searched for at each drawing; nothing lies above a panel that a title must avoid
    ax.set_title(f"({name})", loc="left", y=1.0, fontweight="bold")


def instead(ax: Axes, text: str, width: int = 38) -> None:
    """Say in an empty panel why there is nothing to draw."""
    ax.text(
        0.5, 0.5, wrapped(text, width), transform=ax.transAxes, ha="center", va="center",
        color=GREY, fontsize=8.5, style="italic", linespacing=1.35,
    )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
    ax.minorticks_off()


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most `width` characters; mathematics counts by what it shows and is never broken."""
    lines, line = [], ""
    for word in re.findall(r"(?:\$[^$]*\$|[^\s$])+", text):
        if line and _shown(f"{line} {word}") > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def _shown(text: str) -> int:
    return len(re.sub(r"\\[a-zA-Z]+", "x", re.sub(r"\\(mathrm|langle|rangle)|[{}$_^]", "", text)))


def log_y(ax: Axes) -> None:
    """Logarithmic axis with a labelled tick per decade, and between decades where there are few of them."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_locator(LogLocator(subs=tuple(np.arange(2, 10)), numticks=12))
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for labelled in ((), (2, 5), (2, 3, 5), tuple(range(2, 10))):
        ticks = np.outer(powers, (1, *labelled))
        if ((ticks >= low) & (ticks <= high)).sum() >= LABELS:
            break
    ax.yaxis.set_minor_formatter(FuncFormatter(partial(_power, labelled)))


def _power(labelled: tuple[int, ...], value: float, _: int | None = None) -> str:
    exponent = int(np.floor(np.log10(value) + 1e-9))
    mantissa = value / 10.0**exponent
    whole = abs(mantissa - round(mantissa)) < 1e-6
    # on less than a decade Matplotlib sets ticks evenly, and few
    return rf"${mantissa:.4g}\times 10^{{{exponent}}}$" if round(mantissa) in labelled or not whole else ""


def strata_colours(edges: np.ndarray) -> tuple[Colormap, BoundaryNorm]:
    """One colour per stratum, of a perceptually uniform map, and the norm of its colour bar."""
    count = len(edges) - 1
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, count))
    return ListedColormap(shades), BoundaryNorm(edges, count)


def strata_bar(figure: Figure, axes: Any, edges: np.ndarray, middles: np.ndarray, text: str) -> None:
    """Colour bar of strata, with their middles as ticks."""
    colours, norm = strata_colours(edges)
    mappable = matplotlib.cm.ScalarMappable(norm, colours)
    bar = figure.colorbar(mappable, ax=axes, pad=0.02, aspect=22, fraction=0.08)
    shown = middles if len(middles) <= 6 else middles[:: int(np.ceil(len(middles) / 5))]
    bar.set_ticks(list(shown), labels=[number(value) for value in shown])
    bar.ax.tick_params(length=0, labelsize=7.5, which="both")
    bar.ax.minorticks_off()
    bar.set_label(text, fontsize=8.5, labelpad=3)
    bar.outline.set_linewidth(0.5)


def number(value: float, digits: int = 2) -> str:
    """Decimal number with a proper minus sign."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def temperatures(values: Sequence[float]) -> str:
    """List of temperatures in words, abridged where long: 0.80, 0.70, 0.62."""
    shown = [f"{value:.4g}" if len(f"{value:g}") > 4 else f"{value:.2f}" for value in values]
    return ", ".join(shown) if len(shown) <= 5 else f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} temperatures)"


def letters_of_panels() -> Iterator[str]:
    """Letters of panels: a to z, then two of them."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return itertools.chain(alphabet, (a + b for a, b in itertools.product(alphabet, alphabet)))


def error_bars(error: np.ndarray) -> np.ndarray | None:
    """Error bars; None where no error is known."""
    return np.nan_to_num(error) if np.isfinite(error).any() else None
