"""Docstrings of the public names: whole by numpydoc's validation, with examples that run."""

import doctest
import importlib
import inspect
import re
from types import FunctionType

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from numpydoc.validate import validate

import daskglass as dg

LEFT_OUT = {
    "ES01": "a summary that says it all needs no second paragraph",
    "SA01": "docs/what_it_computes.md shows which functions belong together",
}
RAISES_NOTHING = {
    "Softness",
    "Softness.norm",
    "Softness.to_dataset",
    "Mixture.longest_cutoff",
    "LinearPredictor",
    "LinearPredictor.to_dataset",
}


def public():
    """Public functions, classes, and what classes define, by their names."""
    for name in dg.plot.__all__:
        yield f"plot.{name}", getattr(dg.plot, name)
    for name in dg.__all__[1:]:
        yield name, getattr(dg, name)
        if inspect.isclass(getattr(dg, name)):
            for own, value in vars(getattr(dg, name)).items():
                if not own.startswith("_") and isinstance(value, property | classmethod | staticmethod | FunctionType):
                    yield f"{name}.{own}", value


NAMES = dict(public())


def test_all_public_names_are_validated():
    assert {"Softness.fit", "Softness.norm", "Mixture.counts", *dg.__all__} - {"__version__"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_docstring_passes_the_validation_of_numpydoc(name):
    errors = validate(f"daskglass.{name}")["errors"]

    assert [(code, text) for code, text in errors if code not in LEFT_OUT] == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - RAISES_NOTHING))
def test_every_public_docstring_says_what_is_raised(name):
    assert "\nRaises\n------\n" in inspect.getdoc(NAMES[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_is_cited(name):
    text = inspect.getdoc(NAMES[name])

    assert set(re.findall(r"\.\. (\[\d\]) ", text)) == set(re.findall(r"(\[\d\])_", text))


@pytest.mark.parametrize("module", [*dg._HOME, *dg.plot._HOME])
def test_every_example_runs(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = importlib.import_module(f"daskglass.{module}")
    runner = doctest.DocTestRunner()

    with np.printoptions(precision=8, suppress=False, linewidth=75, threshold=1000):
        for example in doctest.DocTestFinder().find(home, globs={"dg": dg, "np": np, "xr": xr}):
            plt.close("all")
            # what was printed instead is shown as captured output
            assert runner.run(example).failed == 0, example.name

    assert runner.tries
