"""The documentation names what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    name
    for file in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("page", ["docs/how_it_is_built.md", "docs/clusters.md"])
def test_every_test_that_the_tables_of_failures_name_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)(…?)`", text)
    assert len(named) > 20
    for start, cut in named:
        assert start in TESTS or (cut and any(name.startswith(start) for name in TESTS)), start
    for file in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / file).exists(), file
