"""How figures look: one set of sizes, fonts and colours, and the pieces that every panel is made of.

Figures are drawn at the size they are printed at: two columns of a journal, no panel wider than one. Text has 7 or 8 pt.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from daskglass.plot.panel import GREY, number, strata_colours

WIDTH = 178 / 25.4  # inches: two columns of a journal
TEXT, SMALL = 8.0, 7.0  # points
SPACING = 1.2  # of lines
LETTER = 0.47  # mean width of a letter, of the size of its font
PIXELS_PER_INCH = 300
# Okabe and Ito's colours, which everyone can distinguish; their yellow is too pale for lines on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (4.5, 1.6)), (0, (1.1, 1.3)), (0, (5, 1.4, 1.1, 1.4)), (0, (8, 2)), (0, (2.5, 1.2)))
ABREAST = 5  # panels of like kind in a row, at most
NEIGHBORS = 3  # species around A that have room in one panel
FAR_ONSET = 2.0  # an onset temperature beyond this many times the hottest one is printed, not drawn

_RC: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.titlepad": 3.5,
    "axes.labelpad": 2.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.7,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.0,
    "legend.labelspacing": 0.3,
    "legend.borderaxespad": 0.4,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.0,
    "lines.markersize": 3.6,
    "errorbar.capsize": 1.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.7,
    "ytick.minor.size": 1.7,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
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
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    return Figure(figsize=(WIDTH, height), layout=layout)


def colour(index: int) -> str:
    """Colour of a system."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Marker of a system; it changes where colours start over."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def dark(index: int) -> tuple[float, float, float]:
    """Colour of a system for small type, which must be darker than a marker to be read."""
    red, green, blue = (0.7 * part for part in to_rgb(colour(index)))
    return red, green, blue


def in_rows(count: int) -> tuple[int, int]:
    """Rows and columns of panels of like kind: as few rows as hold them, evenly filled."""
    rows = -(-count // ABREAST)
    return rows, -(-count // rows)


def letter(ax: Axes, name: str, said: Sequence[str] = (), of: str = "", lines: int = 0) -> None:
    """Give a panel its letter, what it is of, and in small type what must be said about it.

    Notes are beside the letter, or below it where there is no room, or other panels of the row have `lines` there.
    """
    notes = _notes(ax, said)
    # a height that is given is not searched for at each drawing; nothing lies above a panel that a title must avoid
    if notes:
        ax.set_title("\n".join(notes), loc="right", y=1.0, fontsize=SMALL, color=GREY, linespacing=SPACING)
    text = rf"$\mathbf{{({name})}}$ {of}".strip() + "\n" * max(lines_below(ax, said, of), lines)
    ax.set_title(text, loc="left", y=1.0, linespacing=SPACING * SMALL / TEXT)


def lines_below(ax: Axes, said: Sequence[str], of: str = "") -> int:
    """Lines of notes below the letter of a panel; none where they have room beside it."""
    notes = _notes(ax, said)
    beside = not notes or shown(notes[-1]) + TEXT / SMALL * shown(f"(a) {of} ") <= _letters(ax)
    return 0 if beside else len(notes)


def _notes(ax: Axes, said: Sequence[str]) -> list[str]:
    return [line for text in said for line in wrapped(text, _letters(ax)).split("\n")]


def instead(ax: Axes, text: str) -> None:
    """Say in an empty panel why there is nothing to draw."""
    ax.text(
        0.5, 0.5, wrapped(text, int(0.8 * _letters(ax))), transform=ax.transAxes, ha="center", va="center",
        color=GREY, fontsize=SMALL, style="italic", linespacing=1.35,
    )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
    ax.minorticks_off()


def _letters(ax: Axes) -> int:
    """How many letters of small type a panel is wide, about."""
    return int(ax.get_window_extent().width / ax.figure.dpi * 72 / (LETTER * SMALL))


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most `width` characters; mathematics counts by what it shows and is never broken."""
    lines, line = [], ""
    for word in re.findall(r"(?:\$[^$]*\$|[^\s$])+", text):
        if line and shown(f"{line} {word}") > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def shown(text: str) -> int:
    """Number of letters of a text, mathematics included, as it is set."""
    return len(re.sub(r"\\[a-zA-Z]+", "x", re.sub(r"\\(mathrm|langle|rangle)|[{}$_^]", "", text)))


def strata_bar(
    figure: Figure, axes: Any, strata: Sequence[tuple[np.ndarray, np.ndarray]], text: str, rows: int = 1
) -> None:
    """Colour bar of strata; its ticks are their middles, or their places where systems differ in them.

    Parameters
    ----------
    figure, axes : that it is of
    strata : edges and middles in each system
    text : label
    rows : of panels that it stands beside
    """
    edges, middles = strata[0]
    alike = all(np.allclose(edges, other) for other, _ in strata)
    if not alike:
        middles = np.arange(1, middles.size + 1)
        # places have no unit
        edges, text = np.arange(middles.size + 1) + 0.5, f"{text.partition(' (')[0]}, low to high"
    count = len(edges) - 1
    bar = figure.colorbar(
        ScalarMappable(BoundaryNorm(edges, count), strata_colours(count)),
        ax=axes,
        pad=0.02,
        aspect=22 * rows,
        fraction=0.08,
    )
    every = -(-middles.size // 6)
    bar.set_ticks(list(middles[::every]), labels=[number(value, 2 if alike else 0) for value in middles[::every]])
    bar.ax.tick_params(length=0, which="both")
    bar.ax.minorticks_off()
    bar.set_label(text, fontsize=SMALL)
    bar.outline.set_linewidth(0.5)


def temperatures(values: Sequence[float]) -> str:
    """List of temperatures in words, abridged where long: 0.80, 0.70, 0.62."""
    shown = [f"{value:.4g}" if len(f"{value:g}") > 4 else f"{value:.2f}" for value in values]
    return ", ".join(shown) if len(shown) <= 5 else f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} temperatures)"


def letters_of_panels() -> Iterator[str]:
    """Letters of panels: a to z, then two of them."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return itertools.chain(alphabet, (a + b for a, b in itertools.product(alphabet, alphabet)))
