"""Layers: folders of the package, each importing only from itself and from those below it."""

import ast
import re
from pathlib import Path

import pytest

import daskglass

PACKAGE = Path(daskglass.__file__).parent
TABLE = Path(__file__).parents[1] / "docs/how_it_is_built.md"
FILES = sorted(PACKAGE.rglob("*.py"))


def layers() -> list[str]:
    """Layers by the table of the documentation, from top to bottom."""
    section = TABLE.read_text(encoding="utf-8").partition("## Layers")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)(?:/|\.py)` \|", section, re.MULTILINE)


def imported(file: Path) -> set[str]:
    """Modules of the package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return {name for name in found if name.startswith("daskglass.")}


def test_the_table_names_every_folder_and_file():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert set(layers()) == there - {"__init__", "__main__"}
    assert len(set(layers())) == len(layers())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_import_runs_upward(file):
    layer = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer in ("__init__", "__main__"):
        # the public names, and the command
        return
    order = layers()

    upward = {name for name in imported(file) if order.index(name.split(".")[1]) < order.index(layer)}

    assert not upward
