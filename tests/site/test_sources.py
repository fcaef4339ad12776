"""The sources of the site: the Markdown of the repository, and the reference that is made from the code."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

import daskglass as dg
from daskglass.cli import app
from daskglass.study.settings import Study
from daskglass.variables import VARIABLES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))

import pages  # noqa: E402
import reference  # noqa: E402
from symbols import with_scripts  # noqa: E402

PAGES = pages.pages()
MARKDOWN = [file for _, file in pages.markdown()]


@pytest.mark.parametrize("name", [*dg.__all__[1:], *(f"plot.{name}" for name in dg.plot.__all__)])
def test_every_public_name_has_a_page_and_a_line_among_the_functions(name):
    module, _, own = f"daskglass.{name}".rpartition(".")
    page = PAGES[f"reference/api/{name}.rst"]
    assert f"\n.. currentmodule:: {module}\n" in page
    assert re.search(rf"^\.\. auto(function|class):: {own}$", page, re.MULTILINE)
    listed = PAGES["reference/api.md"]
    assert f"[`{name}`](api/{name}.rst)" in listed
    assert f"\napi/{name}\n" in listed


@pytest.mark.parametrize("name", ["Softness", "Mixture", "LinearPredictor"])
def test_the_page_of_a_class_has_all_that_the_class_defines(name):
    own = {key for key in vars(getattr(dg, name)) if re.match("[a-z]", key) and not key.startswith("model_")}
    found = re.search(":members: (.*)", PAGES[f"reference/api/{name}.rst"])[1].split(", ")

    assert set(found) <= own
    assert {key for key in own if callable(getattr(getattr(dg, name), key))} <= set(found)


def test_a_module_of_functions_without_a_topic_is_an_error(monkeypatch):
    monkeypatch.setitem(dg._HOME, "physics.new", ("new",))

    with pytest.raises(ValueError, match=r"physics\.new"):
        reference.functions()


@pytest.mark.parametrize("file", MARKDOWN, ids=lambda file: file.name)
def test_links_of_a_page_lead_somewhere_in_the_repository_and_on_the_site(file):
    folder = os.path.relpath(file.parent, ROOT)
    for link in pages.links(file.read_text(encoding="utf-8")):
        # what is made from the code is on the site alone
        assert (file.parent / link).exists() or link.startswith("reference/"), link
        place = pages.place_of(os.path.normpath(os.path.join(folder, link))).partition("#")[0]
        assert place in PAGES or place in pages.files(), link


def test_the_readme_is_the_first_page_and_its_links_are_those_of_the_site():
    for link in ("](clusters.md)", "](reference/cluster_yaml.md)", "](images/figure_3.png)", "](contributing.md)"):
        assert link in PAGES["index.md"]
    assert "docs/" not in re.sub("```.*?```", "", PAGES["index.md"], flags=re.DOTALL)


def test_links_are_rewritten_outside_code_alone():
    text = "[a](../pipelines/x.yaml) [b](c.md#d) [e](https://f.org/g.md) [h](#i)\n```\n[j](../k.md)\n```\n"

    assert pages.on_the_site(text, "docs", "x.md") == (
        "[a](reference/study_files.md#x) [b](c.md#d) [e](https://f.org/g.md) [h](#i)\n```\n[j](../k.md)\n```\n"
    )


def test_links_of_a_page_in_a_folder_are_seen_from_there():
    text = "[a](../asking.md#b) [c](2_your_files.md) [d](../../pipelines/x.yaml)"

    assert pages.on_the_site(text, "docs/tutorials", "tutorials/1_softness.md") == (
        "[a](../asking.md#b) [c](2_your_files.md) [d](../reference/study_files.md#x)"
    )


def test_tutorials_begin_in_an_empty_folder(tmp_path):
    (tmp_path / "tutorials/first.zarr/ka_0.0").mkdir(parents=True)
    (tmp_path / "tutorials/mine.yaml").touch()

    pages.write(tmp_path)

    written = {path.name for path in (tmp_path / "tutorials").iterdir()}
    assert written == {path.name for path in (ROOT / "docs/tutorials").iterdir()}


def test_names_of_functions_lead_to_their_reference():
    assert pages.with_functions("`score` and `hops`") == "[`score`](reference/api/score.rst) and `hops`"


def test_sources_are_written_once_and_what_is_of_no_page_goes(tmp_path):
    pages.write(tmp_path)
    (tmp_path / "asking.md").write_text("other")
    (tmp_path / "reference/old.md").write_text("old")
    before = (tmp_path / "watching.md").stat().st_mtime_ns

    pages.write(tmp_path)

    assert (tmp_path / "asking.md").read_text(encoding="utf-8") == PAGES["asking.md"]
    assert not (tmp_path / "reference/old.md").exists()
    assert (tmp_path / "watching.md").stat().st_mtime_ns == before
    assert (tmp_path / "images/figure_3.png").read_bytes() == (ROOT / "docs/images/figure_3.png").read_bytes()


def test_the_command_line_has_every_command_and_option():
    text = PAGES["reference/command_line.md"]
    assert "| `--version` | print the version |" in text
    for name, command in get_command(app).commands.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            assert parameter.help in section.replace(r"\|", "|")
            if parameter.param_type_name == "option":
                assert all(option in section for option in parameter.opts)


def leaves(model: type[BaseModel]):
    return {
        name
        for _, section in reference.models(model)
        if "physics" not in section.__module__
        for name in section.model_fields
    }


def test_the_table_of_the_study_file_names_every_key():
    table = (ROOT / "docs/study_file.md").read_text(encoding="utf-8").partition("| section |")[2]
    named = set(re.findall(r"\w+", " ".join(re.findall("`([^`]*)`", table)))) | set(re.findall(r"\{(\w+): ", table))

    # the whole file's keys are in the example above it
    assert leaves(Study) - named - {"study", "store", "systems", "source", "mixture"} == set()


def rows_of_the_study_file():
    """Section, keys and defaults of each row of the table; a section is named in its first row."""
    section = ""
    for line in (ROOT / "docs/study_file.md").read_text(encoding="utf-8").splitlines():
        cells = re.match(r"\| (.*) ?\| (`.*`) \| (.*?) ?\| .*\|$", line)
        if cells:
            section = cells[1].strip("` ") or section
            given = yaml.safe_load(f"[{cells[3].replace('`', '').replace('1e-5', '1.0e-5')}]")
            yield section, re.findall(r"`(\w+)`", cells[2]), given


def test_defaults_in_the_table_of_the_study_file_are_those_of_the_models():
    sections = {".".join(keys): model for keys, model in reference.models(Study)}
    compared = 0
    for section, keys, given in rows_of_the_study_file():
        for key, value in zip(keys, given, strict=False):
            default = sections[section].model_fields[key].default
            if isinstance(default, BaseModel):
                default = default.model_dump(exclude_none=True, mode="json")
            if default not in (None, (), {}):
                assert value == (list(default) if isinstance(default, tuple) else default), (section, key)
                compared += 1
    assert compared > 30


def test_limits_are_those_of_the_models():
    text = PAGES["study_file.md"]

    assert "| `bins` | whole number, ≥ 2, ≤ 1,000 | `5` |" in text
    assert "| `weights` | `scatter`, `counts`, `equal` | `scatter` |" in text
    assert "| `timestep` | number, > 0 or `auto` | `0.001` |" in text
    assert "| `path` | text | required |" in text


def test_every_variable_is_listed_with_the_stages_that_write_it():
    lines = PAGES["reference/variables.md"].splitlines()

    assert [re.match(r"\| `(\w+)`", line)[1] for line in lines if line.startswith("| `")] == list(VARIABLES)
    assert (
        "| `hop` | hop indicator p_hop | `sigma**2` | temperature, replica, time, particle | float32 | hops |" in lines
    )


def test_every_error_is_listed_with_the_functions_that_raise_it():
    text = PAGES["reference/errors.md"]

    assert "Exit status 2. Raised by" in text.partition("daskglass.errors.StudyError")[2].partition("autoexception")[0]
    assert (
        "[`propensity`](api/propensity.rst)"
        in text.partition("daskglass.errors.DataError")[2].partition("autoexception")[0]
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("2^{1/6} σ_ij", "2<sup>1/6</sup> σ<sub>ij</sub>"),
        ("e^{−r_ij/r_c}", "e<sup>−r<sub>ij</sub>/r<sub>c</sub></sup>"),
        ("⟨|x − ⟨x⟩_B|²⟩_A", "⟨|x − ⟨x⟩<sub>B</sub>|²⟩<sub>A</sub>"),
        ("−dV_ij/dr", "−dV<sub>ij</sub>/dr"),
        ("b T^0.6", "b T<sup>0.6</sup>"),
        ("x86_64, python_version, s2_i", "x86_64, python_version, s2_i"),
    ],
)
def test_equations_have_scripts_and_names_stay(text, html):
    assert with_scripts(text) == html
