"""How daskglass is cited, which version it is, and what a shell completes."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from daskglass.cli.cite import CITATION
from daskglass.registry import TEMPLATES
from daskglass.stages import registry
from tests.studies import command, command_here

ROOT = Path(__file__).parents[2]
SOFTWARE = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
PAPER = SOFTWARE["references"][0]


def test_the_citation_is_that_of_the_repository_and_of_this_version():
    assert CITATION.resolve() == ROOT / "CITATION.cff"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (SOFTWARE["version"], SOFTWARE["license"]) == (project["version"], project["license"])


def test_cite_names_the_software_and_the_paper(tmp_path):
    message, software, paper = command_here("cite", folder=tmp_path).stdout.strip().split("\n\n")
    assert message == SOFTWARE["message"]
    assert software == f'The daskglass developers, "{SOFTWARE["title"]}", version {SOFTWARE["version"]}'
    assert paper == (
        f'Ian R. Graham, Paulo E. Arratia and Robert A. Riggleman, "{PAPER["title"]}", arXiv:2302.00866 (2023), '
        "https://doi.org/10.48550/arXiv.2302.00866"
    )


def test_bibtex_has_an_entry_of_each(tmp_path):
    software, paper = command_here("cite", "--bibtex", folder=tmp_path).stdout.strip().split("\n\n")
    assert software.splitlines()[0] == "@misc{daskglass,"
    assert paper.splitlines() == [
        "@article{graham2023,",
        "  author = {Graham, Ian R. and Arratia, Paulo E. and Riggleman, Robert A.},",
        f"  title = {{{{{PAPER['title']}}}}},",
        "  journal = {arXiv:2302.00866},",
        "  year = {2023},",
        "  doi = {10.48550/arXiv.2302.00866},",
        "}",
    ]
    for entry in (software, paper):
        assert entry.count("{") == entry.count("}")


@pytest.mark.parametrize("by", [command, command_here])
def test_the_version_is_that_of_the_installed_package(by, tmp_path):
    assert by("--version", folder=tmp_path).stdout == f"daskglass {importlib.metadata.version('daskglass')}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("daskglass ne", ["new"]),
        ("daskglass new mine --from ", list(TEMPLATES)),
        ("daskglass new mine --cluster s", ["slurm", "sge"]),
        ("daskglass run mine.yaml --stage s", [name for name in registry.names() if name.startswith("s")]),
        ("daskglass convert --format g", ["gsd"]),
    ],
)
def test_a_shell_completes_commands_and_values(typed, offered, tmp_path):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    env = {**os.environ, "_DASKGLASS_COMPLETE": "complete_bash", **words}
    # by the name that the command has when it is installed
    code = "import sys\nsys.argv = ['daskglass']\nfrom daskglass.__main__ import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == offered
