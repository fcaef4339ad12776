"""Figures and page of a store: laid out once and drawn once for both files, against savefig as it comes."""

import tempfile
import time
from pathlib import Path

from benchmarks.timing import Function, Row, ratio
from daskglass.registry import FIGURES
from daskglass.report import draw
from daskglass.report.figures import drawn
from daskglass.report.page import write_page
from daskglass.report.results import open_results
from daskglass.report.style import styled
from tests.report.synthetic import build

RUNS = 3


def plain(store: Path, folder: Path) -> None:
    """Save every figure by `savefig`, which lays it out at each drawing, and draws twice for each file."""
    results = open_results(store)
    for number, name in enumerate(FIGURES, start=1):
        with styled():
            figure = drawn(name, results)
            for form in ("png", "svg"):
                figure.savefig(folder / f"figure_{number}.{form}")
    write_page(results, {}, folder, folder)


def seconds(function: Function) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    function()
    return time.process_time() - began


def rows() -> list[Row]:
    """Draw in turn, after one warm-up of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = build(folder / "study.zarr", particles=4096)
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(RUNS + 1):
            ours.append(seconds(lambda: draw(store)))
            theirs.append(seconds(lambda: plain(store, folder)))
    return [ratio("six figures and page, processor time", ours[1:], "savefig of each to PNG and SVG", theirs[1:], 4)]


if __name__ == "__main__":
    rows()
