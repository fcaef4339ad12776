"""Tables that fit the width of the screen, and cut no word and no number."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

# a number and its unit are one word
WORD = re.compile(r"\s*(?:[\d.,e+-]*\d (?=[a-zA-Z]{1,3}(?!\w)))?\S+\s*")
SLASH = re.compile(r"(?<=[^\d\s]/)(?=\S)|(?<=/)(?=[^\d\s/])")  # in a path; not in 8/8
GAP = 2  # between columns without lines


@dataclass(frozen=True)
class Fitted:
    """A table in the first layout that fits: cells folded at spaces if at all, at slashes of paths too, a line for each value.

    Attributes
    ----------
    head : names of the columns; none in a table without lines that needs no names
    rows : cells of each row; a text alone is a line of its own
    right : columns whose cells are right-aligned: numbers
    lines : whether lines are drawn around the cells
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str | Text] | Text]
    right: Collection[int] = ()
    lines: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        cells = [[_text(cell) for cell in row] for row in self.rows if not isinstance(row, Text)]
        columns = list(zip(*([[_text(name) for name in self.head]] if self.head else []), *cells, strict=True))
        between = 3 * len(columns) + 1 if self.lines else GAP * (len(columns) - 1)
        for slashes in (False, True):
            widths = widths_of(
                [[pieces(cell.plain, slashes) for cell in column] for column in columns], options.max_width - between
            )
            if widths is not None:
                yield from self._tables(widths, slashes)
                return
        yield from self._values(options.max_width)

    def _tables(self, widths: Sequence[int], slashes: bool) -> Iterator[RenderableType]:
        rows = self.rows if self.lines or not self.head else [self.head, *self.rows]
        table = self._empty(widths, slashes)
        for row in rows:
            if isinstance(row, Text):
                yield table
                yield row
                table = self._empty(widths, slashes)
            else:
                table.add_row(*_folded(row, widths, slashes))
        yield table

    def _empty(self, widths: Sequence[int], slashes: bool) -> Table:
        table = Table() if self.lines else Table.grid(padding=(0, GAP, 0, 0))
        names = _folded(self.head, widths, slashes) if self.lines else [Text()] * len(widths)
        for k, (name, width) in enumerate(zip(names, widths, strict=True)):
            table.add_column(name, justify="right" if k in self.right else "left", width=width)
        return table

    def _values(self, width: int) -> Iterator[RenderableType]:
        """A line for each value behind its name; below it where there is no room."""
        names = [_text(name) for name in self.head]
        longest = max((cell_len(name.plain) for name in names), default=0)
        for number, row in enumerate(self.rows):
            if isinstance(row, Text):
                yield row
                continue
            if number:
                yield Text()
            for name, cell in zip(names or [Text()] * len(row), map(_text, row), strict=True):
                label = Text(name.plain.ljust(longest + GAP), style="bold")
                if cell_len(label.plain) + max(map(cell_len, pieces(cell.plain)), default=0) > width:
                    yield from (Text(name.plain, style="bold"), *folded(cell, width, slashes=False))
                    continue
                for line in folded(cell, width - longest - GAP):
                    yield label + line
                    label = Text(" " * (longest + GAP))


def widths_of(columns: Iterable[Sequence[Sequence[str]]], room: int) -> list[int] | None:
    """Widths of columns that have room together, the widest narrowed first; None if their pieces do not fit.

    Parameters
    ----------
    columns : cells of each, in pieces that stay whole
    room : of all columns together
    """
    columns = list(columns)
    most = [max(cell_len("".join(cell).rstrip()) for cell in column) for column in columns]
    least = [max((cell_len(piece.rstrip()) for cell in column for piece in cell), default=0) for column in columns]

    def narrowed(bound: int) -> list[int]:
        return [max(low, min(bound, high)) for low, high in zip(least, most, strict=True)]

    fitting = [bound for bound in range(room + 1) if sum(narrowed(bound)) <= room]
    return narrowed(fitting[-1]) if fitting else None


def pieces(text: str, slashes: bool = False) -> list[str]:
    """Words of a text, each with the space around it; with `slashes`, paths in their parts."""
    words = WORD.findall(text)
    return [piece for word in words for piece in SLASH.split(word)] if slashes else words


def folded(text: Text, width: int, slashes: bool = False) -> list[Text]:
    """Lines of a text, as many pieces on each as fit: a piece that is too long has a line of its own."""
    breaks, start, at = [], 0, 0
    for piece in pieces(text.plain, slashes):
        if at > start and cell_len(text.plain[start:at] + piece.rstrip()) > width:
            breaks.append(at)
            start = at
        at += len(piece)
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
        line.no_wrap, line.overflow = True, "ignore"
    return lines


def _folded(row: Sequence[str | Text], widths: Sequence[int], slashes: bool) -> list[Text]:
    return [Text("\n").join(folded(_text(cell), width, slashes)) for cell, width in zip(row, widths, strict=True)]


def _text(cell: str | Text) -> Text:
    return Text(printable(cell)) if isinstance(cell, str) else cell


def printable(text: str) -> str:
    """Escape control and invisible characters, so that names of files cannot control the terminal."""
    return "".join(
        character if character == "\n" or character.isprintable() else ascii(character)[1:-1] for character in text
    )
