"""One drawing of a figure for two files: a picture and its vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Affine2D, TransformedBbox, TransformedPath
from PIL import Image

POINTS = 72  # of an inch: units of an SVG
COMPRESSION = 3  # of a PNG: beyond it, files shrink by some per cent and take several times as long
# a date or a library's version would make two drawings of the same store differ
METADATA = {"Date": None, "Creator": "daskglass"}


class BothCanvas(FigureCanvasBase):
    """A figure whose texts are measured as they are drawn in both files."""

    def __init__(self, figure: Figure, svg: TextIO) -> None:
        super().__init__(figure)
        self._both = Both(figure, svg)

    def get_renderer(self) -> RendererBase:
        """Renderer that texts are measured with."""
        return self._both

    def print_both(self, png: Path) -> None:
        """Draw, and write both files."""
        figure = self.figure
        # what is rasterised becomes an image in both
        mixed = MixedModeRenderer(figure, *figure.get_size_inches(), figure.dpi, self._both)  # type: ignore[call-arg]
        figure.draw(cast(RendererBase, mixed))
        self._both.save(png)


class Both(RendererBase):
    """Draws in pixels and in an SVG at once: what is dear, ticks, texts and their mathematics, is found out once for both.

    All comes in pixels; text is drawn as paths in both.

    Parameters
    ----------
    figure : with the resolution of the picture
    svg : file to write
    """

    def __init__(self, figure: Figure, svg: TextIO) -> None:
        super().__init__()
        width, height = figure.get_size_inches() * POINTS
        self._pixels = RendererAgg(*figure.bbox.size, figure.dpi)
        self._vectors = RendererSVG(width, height, svg, image_dpi=figure.dpi, metadata=METADATA)
        self._dpi = figure.dpi
        self._to_points = Affine2D().scale(POINTS / figure.dpi)
        self._pixels._text2path = self._vectors._text2path = self._text2path

    def save(self, png: Path) -> None:
        """Write the picture, and the end of the SVG."""
        self._vectors.finalize()
        picture = Image.fromarray(np.asarray(self._pixels.buffer_rgba())).convert("RGB")
        picture.save(png, dpi=(self._dpi, self._dpi), compress_level=COMPRESSION)

    def _in_points(self, gc: GraphicsContextBase) -> GraphicsContextBase:
        """Properties of what is drawn, whose clip is in pixels."""
        found = GraphicsContextBase()
        found.copy_properties(gc)
        if (rectangle := gc.get_clip_rectangle()) is not None:
            found.set_clip_rectangle(TransformedBbox(rectangle, self._to_points))  # type: ignore[arg-type]
        path, transform = gc.get_clip_path()
        if path is not None and transform is not None:
            found.set_clip_path(TransformedPath(path, transform + self._to_points))  # type: ignore[arg-type]
        return found

    # --- what Matplotlib asks a renderer for ---

    def points_to_pixels(self, points: Any) -> Any:
        """Convert lengths."""
        return points * self._dpi / POINTS

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Size of the picture in pixels."""
        return self._pixels.get_canvas_width_height()

    def option_image_nocomposite(self) -> bool:
        """Images are not joined: there is one a panel at most."""
        return True

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """Size of a text in pixels."""
        width, height, descent = self._text2path.get_text_width_height_descent(s, prop, ismath)
        return self.points_to_pixels(width), self.points_to_pixels(height), self.points_to_pixels(descent)

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Begin a group of the SVG."""
        self._vectors.open_group(s, gid)

    def close_group(self, s: str) -> None:
        """End it."""
        self._vectors.close_group(s)

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:
        """Draw a path."""
        self._pixels.draw_path(gc, path, transform, rgbFace)
        self._vectors.draw_path(self._in_points(gc), path, transform + self._to_points, rgbFace)

    def draw_markers(self, gc: Any, marker: Any, marker_trans: Any, path: Any, trans: Any, rgbFace: Any = None) -> None:
        """Draw a marker at each vertex of a path."""
        self._pixels.draw_markers(gc, marker, marker_trans, path, trans, rgbFace)
        self._vectors.draw_markers(
            self._in_points(gc), marker, marker_trans + self._to_points, path, trans + self._to_points, rgbFace
        )

    def draw_path_collection(
        self, gc: Any, master_transform: Any, paths: Any, all_transforms: Any, offsets: Any, offset_trans: Any, *rest: Any,
        **options: Any,
    ) -> None:  # fmt: skip
        """Draw many paths."""
        self._pixels.draw_path_collection(
            gc, master_transform, paths, all_transforms, offsets, offset_trans, *rest, **options
        )
        self._vectors.draw_path_collection(
            self._in_points(gc), master_transform + self._to_points, paths, all_transforms, offsets,
            offset_trans + self._to_points, *rest, **options,
        )  # fmt: skip

    def draw_quad_mesh(
        self, gc: Any, master_transform: Any, width: int, height: int, coordinates: Any, offsets: Any, offset_trans: Any,
        *rest: Any,
    ) -> None:  # fmt: skip
        """Draw a mesh of cells."""
        mesh = (width, height, coordinates, offsets)
        self._pixels.draw_quad_mesh(gc, master_transform, *mesh, offset_trans, *rest)
        self._vectors.draw_quad_mesh(
            self._in_points(gc), master_transform + self._to_points, *mesh, offset_trans + self._to_points, *rest
        )

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        """Draw an image, as many pixels as it has."""
        self._pixels.draw_image(gc, x, y, im)
        x, y = self._to_points.transform((x, y))
        self._vectors.draw_image(self._in_points(gc), x, y, im)

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        """Draw a text as paths."""
        RendererBase.draw_text(self._pixels, gc, x, y, s, prop, angle, ismath, mtext)
        x, y = self._to_points.transform((x, y))
        self._vectors.draw_text(self._in_points(gc), x, y, s, prop, angle, ismath, mtext)
