"""Tables fit the width of the screen, and no word or number of them is cut."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from daskglass.cli.fitted import Fitted
from daskglass.cli.tables import SafeConsole

BOX = re.compile("[─━┃│┏┓┗┛┡┩┠┨├┤┬┴┼┳┻╇┘└┐┌]+")
WORDS = st.text("abcdefXYZ0123456789._-+τσ²", min_size=1, max_size=40)
CELLS = st.lists(WORDS, max_size=5).map(" ".join)
TABLES = st.integers(1, 9).flatmap(
    lambda columns: st.tuples(
        st.lists(CELLS, min_size=columns, max_size=columns),
        st.lists(st.lists(CELLS, min_size=columns, max_size=columns), max_size=4),
    )
)


def printed(table, width):
    console = SafeConsole(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def words(text):
    return BOX.sub(" ", text).split()


@given(TABLES, st.integers(50, 130), st.booleans())
def test_no_line_is_wider_than_the_screen_and_every_word_is_whole(cells, width, lines):
    head, rows = cells
    shown = printed(Fitted(head, rows, right=(1,), lines=lines), width)
    assert max(map(len, shown.splitlines()), default=0) <= width
    found = words(shown)
    for word in words(" ".join(cell for row in rows for cell in row)):
        assert word in found


def test_a_table_that_fits_is_not_folded():
    shown = printed(Fitted(["system", "done"], [["ka_0.0", "1 of 4  1 running"]]), 40)
    assert "│ ka_0.0 │ 1 of 4  1 running │" in shown


def test_the_widest_cells_are_folded_first_and_at_spaces():
    table = Fitted(["stage", "why"], [["softness", "what it was made from has changed since"]])
    assert [line.strip("│ ") for line in printed(table, 40).splitlines()[3:5]] == [
        "softness │ what it was made from has", "changed since"
    ]  # fmt: skip


def test_a_number_stays_with_its_unit():
    table = Fitted(["stage", "cost"], [["simulate", "120  532 h"], ["memory", "1.03 GB *"]])
    cells = [line.split("│")[2].strip() for line in printed(table, 22).splitlines() if line.startswith("│")]
    assert cells == ["120", "532 h", "1.03 GB", "*"]


def test_paths_are_folded_at_slashes_where_they_must_and_counts_never():
    path = "/scratch/me/data/ka_0.0/T0.47/r1/trajectory.gsd"
    table = Fitted(["chunks", "file"], [["8/8", path]])
    assert path in printed(table, 80)
    shown = printed(table, 40)
    assert next(line for line in shown.splitlines() if line.startswith("│")).split()[1] == "8/8"
    assert "".join(words(shown)[3:]) == path


def test_a_table_of_too_many_columns_has_a_line_for_each_value():
    head = [f"quantity_{k}_err" for k in range(9)]
    rows = [[f"{k}.123456" for k in range(9)], [f"-{k}.5e-10" for k in range(9)]]
    lines = printed(Fitted(head, rows), 80).splitlines()
    assert lines[0] == "quantity_0_err  0.123456"
    assert lines[9] == ""
    assert lines[18] == "quantity_8_err  -8.5e-10"


def test_a_word_longer_than_a_line_is_printed_in_full():
    path = "/" + "x" * 100
    assert path in printed(Fitted(["system", "file"], [["ka_0.0", path]]), 80).splitlines()


def test_columns_keep_their_width_across_a_line_of_text():
    rows = [["a", "1"], Text("of frames"), ["longer", "20"]]
    shown = printed(Fitted(["name", "size"], rows, right=(1,), lines=False), 40)
    assert [line.rstrip() for line in shown.splitlines()] == [
        "name    size", "a          1", "of frames", "longer    20"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [40, 80])
def test_control_characters_are_escaped_before_widths_are_measured(width):
    shown = printed(Fitted(["file", "frames"], [["\x1b[31mred", "12"]]), width)
    assert "\\x1b[31mred │ 12" in shown
