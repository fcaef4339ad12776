"""The figure of the weights of linear predictors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from daskglass.report.figures import drawn
from daskglass.report.results import read_results
from tests.report.ensembles import FEATURES, board


def test_each_weight_and_its_error_is_drawn_once() -> None:
    tree = board()
    weights = tree["ka_0.0/predictor"].dataset.isel(temperature=-1, lag=0)["weights"]

    functions, others, single = drawn("weights", read_results(tree)).axes

    assert [len(ax.lines) for ax in (functions, others)] == [6, 6]  # five generations, and zero
    of_A = [f"{name}, 2" for name in FEATURES if name.startswith("G_A")]
    second = next(line for line in functions.lines if line.get_label() == "2")
    np.testing.assert_allclose(second.get_xdata(), [0.4, 0.5, 0.6])
    np.testing.assert_allclose(second.get_ydata(), weights.sel(feature=of_A))
    assert len(functions.collections) == 5
    energies = [f"E{f', {n}' * bool(n)}" for n in range(5)]
    np.testing.assert_allclose(single.containers[0].lines[0].get_ydata(), weights.sel(feature=energies))


def test_without_a_predictor_the_figure_says_so() -> None:
    tree = board()
    tree["ka_0.0"] = tree["ka_0.0"].drop_nodes("predictor")
    first, *others = drawn("weights", read_results(tree)).axes

    assert "no predictor" in first.texts[0].get_text().replace("\n", " ")
    assert not any(ax.axison for ax in others)


def test_time_is_in_units_of_the_relaxation_time_where_that_is_known() -> None:
    tree = board()
    of_tau = drawn("scoreboard", read_results(tree)).axes[1].get_xlabel()
    results = read_results(tree)
    (one,) = results.boards
    known = one.scores["temperature"].rename("relaxation_time") * 0 + 20.0
    scaled = drawn("scoreboard", replace(results, boards=(replace(one, relaxation_time=known),))).axes[1]

    assert "lag" in of_tau
    assert scaled.get_xlabel() == r"$t/\tau_\alpha$"
    np.testing.assert_allclose(scaled.containers[0].lines[0].get_xdata(), np.array([1.0, 10.0, 100.0]) / 20)
