"""How well structure foresees motion: scores against propensity, receiver operating curves, weights of predictors."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.predictors import LinearPredictor
from daskglass.plot.panel import DASHED, GREY, Series, alone, axes_of, axis, curve, points, series

CROWD = 8  # names of features that have room side by side


def score(
    scores: xr.Dataset, along: str = "lag", variable: str = "pearson", *, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw how strongly an indicator correlates with propensity, |ρ|, with error bars.

    Parameters
    ----------
    scores : xarray.Dataset
        Scores over (…, along), as `score` returns them, or the scoreboard of a store at one indicator; a line for every label
        of other dimensions.
    along : str, optional
        Dimension that is drawn along x, such as "lag", on a logarithmic axis, "generation" or "configuration".
    variable : str, optional
        Correlation that is drawn, such as "spearman", or "pearson_each" of single configurations.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `color` and `label`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, the dimension or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> scores = xr.Dataset({"pearson": ("lag", [-0.2, -0.5, -0.3])}, {"lag": [1.0, 10.0, 100.0]})
    >>> ax = dg.plot.score(scores, label="local energy")
    >>> print(ax.lines[0].get_ydata())
    [0.2 0.5 0.3]
    """
    found = series(arrays.table(scores, "scores", {variable: (along,)}), variable, along, "scores")
    ax = axes_of(ax)
    for one in found:
        points(ax, one._replace(y=np.abs(one.y)), kwargs, joined=True)
    _against(ax, scores, along)
    ax.set_ylabel(r"$|\rho|$, indicator and propensity")
    return ax


def noise_ceiling(scores: xr.Dataset, along: str = "lag", *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Shade what no indicator can reach: correlations above the noise ceiling of the propensity.

    Parameters
    ----------
    scores : xarray.Dataset
        Variable `ceiling` over (along,), or one number for all of it, as `score` returns it.
    along : str, optional
        Dimension that is drawn along x.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.fill_between`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If there is no ceiling, it has other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> scores = xr.Dataset({"ceiling": ("lag", [0.9, 0.95])}, {"lag": [1.0, 10.0]})
    >>> len(dg.plot.noise_ceiling(scores).collections)
    1
    """
    scores = arrays.table(scores, "scores", {"ceiling": ()})
    dims = tuple(dim for dim in (along,) if dim in scores["ceiling"].dims)
    highest = alone(scores, "ceiling", dims, "scores")
    given: dict[str, Any] = {"color": GREY, "alpha": 0.25, "linewidth": 0} | kwargs
    x = arrays.labels(scores, along, "scores") if dims else None
    ax = axes_of(ax)
    if x is None:
        ax.axhspan(float(highest), 1, **given)
    else:
        ax.fill_between(scores[along].values, highest, 1, **given)
        _against(ax, scores, along)
    return ax


def _against(ax: Axes, scores: xr.Dataset, along: str) -> None:
    if along == "lag":
        ax.set_xscale("log")
    ax.set_xlabel(axis(scores[along], "lag $t$", "tau") if along == "lag" else along)
    ax.set_ylim(0, 1)


def receiver_operating_curve(curves: xr.Dataset, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw receiver operating curves: what rearranges and is foreseen, against what does not rearrange and is.

    Parameters
    ----------
    curves : xarray.Dataset
        Variable `true_positive_rate` over (…, false_positive_rate), and `area` with its error where it is known, as
        `receiver_operating_curve` returns them; a line for each label of other dimensions.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into; a variable that says nothing is dashed.

    Raises
    ------
    DataError
        If the variable, its dimension or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> S = xr.DataArray([[1.0, 0.5, -0.2, -1.0]], dims=("time", "particle"))
    >>> hop = xr.DataArray([[0.7, 0.1, 0.4, 0.0]], dims=("time", "particle"))
    >>> ax = dg.plot.receiver_operating_curve(dg.receiver_operating_curve(S, hop), label="softness")
    >>> ax.lines[-1].get_label()
    'softness'
    """
    rate = "false_positive_rate"
    curves = arrays.table(curves, "curves", {"true_positive_rate": (rate,)})
    found = series(curves, "true_positive_rate", rate, "curves")
    ax = axes_of(ax)
    if not ax.has_data():
        ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8, zorder=0, linestyle=DASHED)
    for one in found:
        curve(ax, one, kwargs)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel(axis(curves[rate], "false positives"))
    ax.set_ylabel(axis(curves["true_positive_rate"], "true positives"))
    return ax


def weights(
    model: LinearPredictor | xr.Dataset, along: str | None = None, *, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw the weights of a linear predictor, with their standard errors.

    Parameters
    ----------
    model : LinearPredictor or xarray.Dataset
        Model; or its arrays, as `LinearPredictor.to_dataset` and the group `predictor` of a store have them: variables
        `weights` and `errors` over (feature,).
    along : str, optional
        Coordinate of the features that weights are drawn against, as a curve with a band, such as a radius `mu`; the names of
        the features by default, as points with error bars.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, or of `matplotlib.axes.Axes.errorbar`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If a variable, the dimension feature or its labels are missing, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> axes = ("configuration", "particle")
    >>> features = xr.Dataset(
    ...     {name: (axes, rng.normal(size=(6, 50))) for name in ("energy", "density")}
    ... )
    >>> model = dg.LinearPredictor.fit(features, 1.0 + 0.2 * features.energy)
    >>> ax = dg.plot.weights(model)
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['energy', 'density']
    """
    table = model.to_dataset() if isinstance(model, LinearPredictor) else model
    w, errors = (alone(table, name, ("feature",), "model") for name in ("weights", "errors"))
    place = along or "feature"
    if place not in table.coords or table[place].dims != ("feature",):
        raise DataError(f"model needs a coordinate {place} over (feature,); it has {sorted(map(str, table.coords))}")
    labels = table[place].values
    named = labels.dtype.kind not in "iuf"
    if along and named:
        raise DataError(f"model.{along} must hold numbers; got {labels.dtype}")
    ax = axes_of(ax)
    if not ax.has_data():
        ax.axhline(0, color="black", linewidth=0.4)
    one = Series(np.arange(float(labels.size)) if named else labels.astype(np.float64), w, errors, "")
    if along:
        curve(ax, one, kwargs)
    else:
        points(ax, one, kwargs)
    if named:
        turn = 90 if labels.size > CROWD else 0
        ax.set_xticks(np.arange(labels.size), [str(name) for name in labels], rotation=turn)
        ax.tick_params(axis="x", which="minor", bottom=False, top=False)
    ax.set_xlabel(axis(table[place]))
    ax.set_ylabel(axis(table["weights"], "weight"))
    return ax
