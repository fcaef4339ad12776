"""Names beside curves and points, in place of a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox, Transform
from numpy.typing import ArrayLike, NDArray

from daskglass.report.results import Results
from daskglass.report.style import SMALL, colour, dark, marker

Points = NDArray[np.float64]  # (point, xy)

# from a point to the middle of its name, in halves of the name: right, left, below, above, and between these
WAYS = np.array([[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]], dtype=float)
AWAY = WAYS / np.linalg.norm(WAYS, axis=1, keepdims=True)
GAPS = np.array([4.0, 6.0])  # points of type from the middle of a marker to its name
CLEAR = 3.0  # from a name to the middle of any marker, at least
FAR = 7.0  # from what is not its own, beyond which all places are as good
PIECES = 200  # that a line of few vertices is cut into, to find what lies on it


@dataclass(frozen=True)
class Named:
    """A name, and the points that it may stand beside, the best one last; of a system, its place in the study."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    index: int | None = None


def systems(results: Results) -> list[Named]:
    """Names of all systems, for a legend."""
    return [Named(system.label, np.empty(0), np.empty(0), system.index) for system in results.systems]


def legend(ax: Axes, named: Sequence[Named], lines: bool = False) -> Legend:
    """Legend of systems, where nothing is drawn if there is room."""
    handles = [
        Line2D(
            [], [], color=colour(one.index), marker=marker(one.index), linestyle="-" if lines else "", label=one.name
        )
        for one in named
        if one.index is not None
    ]
    return ax.legend(handles=handles, loc="best", handletextpad=0.5 if lines else 0.1)


class Names(Artist):
    """Names that find their places when they are drawn, where sizes are known: beside their points, clear of all else.

    Where one of them finds no place, names are shortened: Δ = 0, 0.1, 0.2. Where this does not help, a legend is drawn
    in place of all.
    """

    def __init__(self, ax: Axes, named: Sequence[Named], instead: Legend) -> None:
        super().__init__()
        self.set_zorder(4)  # before the legend
        self.set_in_layout(False)
        instead.set_visible(False)
        self._ax, self._legend = ax, instead
        self._names = [one.name for one in named]
        self._points = [np.column_stack([one.x, one.y]) for one in named]
        colours = ["black" if one.index is None else dark(one.index) for one in named]
        self._texts = [
            Text(0, 0, one.name, color=shade, fontsize=SMALL, ha="center", va="center")
            for one, shade in zip(named, colours, strict=True)
        ]
        ax.add_artist(self)
        for text in self._texts:
            text.set_figure(ax.figure)

    def get_children(self) -> list[Artist]:
        """Texts, which a search for artists finds."""
        return list(self._texts)

    def draw(self, renderer: RendererBase) -> None:
        """Find places and draw."""
        self._legend.set_visible(not any(self._placed(names, renderer) for names in (self._names, _short(self._names))))
        for text in self._texts:
            text.set_visible(not self._legend.get_visible())
            text.draw(renderer)

    def _placed(self, names: Sequence[str], renderer: RendererBase) -> bool:
        """Move names to their places; returns whether all have found one."""
        ax = self._ax
        point = float(np.asarray(renderer.points_to_pixels(1.0)))
        drawn = _drawn(ax)
        taken = [text.get_window_extent(renderer) for text in ax.texts]
        if (other := ax.get_legend()) is not None and other is not self._legend:
            taken.append(other.get_window_extent(renderer))
        points = [_in_pixels(ax.transData, own) for own in self._points]
        for place, (text, name, own) in enumerate(zip(self._texts, names, points, strict=True)):
            text.set_visible(True)
            text.set_text(name)
            half = np.array(text.get_window_extent(renderer).size) / 2
            # of points on top of one another, none would know whose name it is
            rest = np.concatenate([np.empty((0, 2)), *points[:place], *points[place + 1 :]])
            alone = own[_distance(own, np.zeros(2), rest) > GAPS[0] * point][::-1]
            away = WAYS * half + AWAY * GAPS[:, None, None] * point
            middles = (alone[:, None, None] + away).reshape(-1, 2)
            room = np.minimum(_distance(middles, half, drawn[_distance(drawn, np.zeros(2), own) > point]), FAR * point)
            near = _distance(middles, half, own)
            free = (near > CLEAR * point) & (_distance(middles, half, rest) > near)
            for box in taken:
                free &= (np.maximum(middles - half - box.max, box.min - middles - half) > CLEAR * point).any(axis=1)
            frame = ax.get_window_extent().padded(-CLEAR * point)
            free &= ((middles - half >= frame.min) & (middles + half <= frame.max)).all(axis=1)
            room = np.where(free, room, 0.0)
            if room.max(initial=0.0) < CLEAR * point:
                return False
            middle = middles[room.argmax()]
            text.set_position((float(middle[0]), float(middle[1])))
            taken.append(Bbox([middle - half, middle + half]))
        return True


def _short(names: Sequence[str]) -> list[str]:
    """Names without the symbol that all begin with, except for the first."""
    symbols = {name.partition(" = ")[0] for name in names}
    return [*names[:1], *(name.partition(" = ")[2] if len(symbols) == 1 else name for name in names[1:])]


def _in_pixels(transform: Transform, points: ArrayLike) -> Points:
    return np.asarray(transform.transform(points), dtype=np.float64)


def _distance(middles: Points, half: NDArray[np.float64], points: Points) -> NDArray[np.float64]:
    """Distance from each of some boxes of one size to the nearest of some points."""
    apart = np.maximum(np.abs(middles[:, None] - points) - half, 0.0)
    return np.hypot(apart[..., 0], apart[..., 1]).min(axis=1, initial=np.inf)


def _cut(path: Points) -> Points:
    share = np.linspace(0, 1, -(-PIECES // len(path)), endpoint=False)[:, None, None]
    return ((1 - share) * path[:-1] + share * path[1:]).reshape(-1, 2)


def _drawn(ax: Axes) -> Points:
    """Points of all that is drawn in a panel, in pixels."""
    markers = [_in_pixels(line.get_transform(), line.get_xydata()) for line in ax.lines]
    lines = [path for line, path in zip(ax.lines, markers, strict=True) if line.get_linestyle() != "None"]
    lines += [
        _in_pixels(collection.get_transform(), segment)
        for collection in ax.collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
    ]
    pieces = [_cut(path) for path in lines if 1 < len(path) < PIECES]
    points = np.concatenate([np.empty((0, 2)), *markers, *pieces])
    return points[np.isfinite(points).all(axis=1)]
