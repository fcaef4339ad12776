"""Fits of lines to points with errors, and tests of what a line may leave out: a bend, a line for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import brentq
from scipy.special import fdtrc, fdtri, ncfdtrinc

from daskglass.report.statistics import LEVEL, POWER, Tested, departure, root_mean_square

HALVINGS = 50  # of the distance to the line that fits its own errors


@dataclass(frozen=True, eq=False)
class Fit:
    """Least squares: coefficients, their covariance, the fitted values, the weighted sum of squares and its freedom."""

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    fitted: NDArray[np.float64]
    squares: float
    freedom: int

    @property
    def excess(self) -> float:
        """Squares for each degree of freedom where errors explain less than that, otherwise 1."""
        return max(1.0, self.squares / self.freedom)


def least_squares(design: NDArray[np.float64], y: NDArray[np.float64], covariance: NDArray[np.float64]) -> Fit:
    """Generalised least squares of y = design @ coefficients, with the covariance of y."""
    root = np.linalg.cholesky(covariance)
    A, b = np.linalg.solve(root, design), np.linalg.solve(root, y)
    Q, R = np.linalg.qr(A)
    inverse = np.linalg.inv(R)
    values = inverse @ (Q.T @ b)
    return Fit(values, inverse @ inverse.T, design @ values, float(((b - A @ values) ** 2).sum()), len(y) - len(R))


def scatter(design: NDArray[np.float64], y: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    """Variance common to all points, beside their own, that makes the squares of a fit equal their degrees of freedom.

    Zero where they are below them already; R. C. Paule and J. Mandel, Journal of Research of the National Bureau of
    Standards 87, 377 (1982).
    """

    def surplus(common: float) -> float:
        fit = least_squares(design, y, np.diag(variance + common))
        return fit.squares - fit.freedom

    equal = least_squares(design, y, np.eye(y.size))
    if not equal.freedom or surplus(0.0) <= 0:
        return 0.0
    return float(brentq(surplus, 0.0, equal.squares / equal.freedom, rtol=1e-6))


@dataclass(frozen=True)
class Bend:
    """Largest departure of a parabola from its line, relative to the rise of the line, tested; scatter beside errors."""

    tested: Tested
    scattered: bool


def bend(x: NDArray[np.float64], y: NDArray[np.float64], variance: NDArray[np.float64], margin: float) -> Bend:
    """Test the bend of y(x) by a parabola, over the range of x.

    The parabola is a line and a bow orthogonal to it under the weights, so that the line is the one that is fitted
    without a bow. Weights are 1/(variance + s²), s² the scatter about the parabola: that about the line would hold the
    bend itself.
    """
    u = 2 * (x - x.min()) / np.ptp(x) - 1
    line = np.stack([np.ones_like(u), u], axis=1)
    common = scatter(np.column_stack([line, u**2]), y, variance)
    covariance = np.diag(variance + common)
    intercept, slope = least_squares(line, u**2, covariance).values
    fit = least_squares(np.column_stack([line, u**2 - intercept - slope * u]), y, covariance)
    where = np.array([-1.0, 1.0, np.clip(slope / 2, -1, 1)])
    largest = np.abs(where**2 - intercept - slope * where).max()
    rise, (_, rise_err, bow_err) = 2 * abs(fit.values[1]), np.sqrt(fit.covariance.diagonal())
    # the error of |bow| − margin × rise, as Fieller's theorem has it for a ratio
    error = np.hypot(largest * bow_err, margin * 2 * rise_err)
    tested = departure(float(fit.values[2] * largest / rise), float(error / rise), margin, freedom=fit.freedom)
    return Bend(tested, bool(common > variance.mean()))


@dataclass(frozen=True, eq=False)
class OneLine:
    """Points of several groups, tested against one line.

    Attributes
    ----------
    line : the likeliest line if all points lie on one, intercept and slope, with errors widened where they do not explain
        its squares
    through : the line through the points as measured, all of which count alike
    p : p-value of the F test of one line against one for each group
    apart : root mean square distance of the lines of the groups from the one line, at the points, relative to the
        range of y that the lines of the groups cover
    differ : the same, but beyond the margin where the F test finds that lines differ at all, unless they are surely within it
    bent : distance of a parabola from the one line
    deviation : root mean square distance of the points from the line through them, in units of y
    """

    line: Fit
    through: NDArray[np.float64]
    p: float
    apart: Tested
    differ: Tested
    bent: Tested
    deviation: float


@dataclass(frozen=True, eq=False)
class Group:
    """Points of one group: x and its standard errors; y, and what its errors are made of.

    All y of a group are numbers over one scale: y = a/b. `covariance` is that of the a and, last, of b, both over the
    measured b.
    """

    x: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y: NDArray[np.float64]
    covariance: NDArray[np.float64]


def one_line(groups: Sequence[Group], margin: float) -> OneLine:
    """Test whether groups of points lie on one line, with errors in x and y.

    Errors of x count as those of y times the slope of the one line (effective variance); those of different groups are
    independent. The scale of each group is a parameter of the fit, b, and its measured value one point more: y as measured
    has the error of b in its size and in its weight, which would draw the line to zero; Peelle's puzzle, as in
    G. D'Agostini, Nuclear Instruments and Methods in Physics Research A 346, 306 (1994).
    """
    x, x_err, y = (np.concatenate([getattr(group, name) for group in groups]) for name in ("x", "x_err", "y"))
    of = np.repeat(np.arange(len(groups)), [group.x.size for group in groups])
    mine = (of[:, None] == np.arange(len(groups))).astype(np.float64)
    away = x - x.mean()
    design = np.column_stack([np.ones_like(x), away])
    through = np.polyfit(x, y, 1)[::-1]
    values = np.array([through @ [1, x.mean()], through[1]])
    for _ in range(HALVINGS):
        seen, covariance = _over_likeliest_scales(groups, design @ values, (values[1] * x_err) ** 2)
        one = least_squares(design, seen, covariance)
        # half a step: whole ones may go to and fro
        values = (values + one.values) / 2
    each = least_squares(np.column_stack([mine, mine * away[:, None]]), seen, covariance)
    parabola = least_squares(np.column_stack([design, away**2]), seen, covariance)
    spread = np.ptp(each.fitted)

    def against(fit: Fit, columns: NDArray[np.float64]) -> Tested:
        # of nested fits, the covariance of the difference is the difference of the covariances
        noise = columns @ fit.covariance @ columns.T - design @ one.covariance @ design.T
        return root_mean_square(
            (fit.fitted - one.fitted) / spread, fit.excess * noise / spread**2, margin, freedom=fit.freedom
        )

    more = one.freedom - each.freedom
    F = (one.squares - each.squares) / more / each.excess
    p = float(fdtrc(more, each.freedom, max(F, 0.0)))
    apart = against(each, np.column_stack([mine, mine * away[:, None]]))
    return OneLine(
        line=_at_zero(one, x.mean()),
        through=through,
        p=p,
        apart=apart,
        differ=_found_by_F(
            apart,
            p,
            seen=F * more,
            of_shift=_seen_of_shifts(mine, design, covariance).min() * spread**2 / each.excess,
            freedoms=(more, each.freedom),
        ),
        bent=against(parabola, np.column_stack([design, away**2])),
        deviation=float(np.sqrt(((y - through[0] - through[1] * x) ** 2).mean())),
    )


def _found_by_F(apart: Tested, p: float, seen: float, of_shift: float, freedoms: tuple[int, int]) -> Tested:
    """A distance whose being there at all an F test finds, unless it is surely within the margin.

    `seen` is the noncentrality with that of noise, `of_shift` that of one group whose line is shifted by the range of y, which
    is what is said to be found.
    """
    more, _ = freedoms

    def needed(level: float) -> float:
        """Noncentrality that is found with the usual power."""
        return float(ncfdtrinc(*freedoms, 1 - POWER, fdtri(*freedoms, 1 - level)))

    def times(level: float) -> float:
        return min(apart.times(level), needed(level) / (seen - more) if seen > more else np.inf)

    return replace(
        apart,
        beyond=p if apart.within > LEVEL else 1.0,
        found=lambda level: float(np.sqrt(needed(level) / of_shift)),
        times=times,
    )


def _seen_of_shifts(
    mine: NDArray[np.float64], design: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted squares (group,) that a shift of one group by 1 leaves beside the one line."""
    left = np.column_stack([shift - least_squares(design, shift, covariance).fitted for shift in mine.T])
    return np.einsum("pg,pg->g", left, np.linalg.solve(covariance, left))


def _over_likeliest_scales(
    groups: Sequence[Group], line: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Y of all groups, each over the scale that is likeliest if it lies on the line, and the covariance of that.

    `variance` is what y has beside the errors of its group.
    """
    seen, covariances, first = [], [], 0
    for group in groups:
        here = slice(first, first := first + group.y.size)
        f, C = line[here], group.covariance
        # a − f b, over the measured b
        rows = np.column_stack([np.eye(f.size), -f])
        V, rest = rows @ C @ rows.T + np.diag(variance[here]), group.y - f
        scale = 1 - C[-1] @ rows.T @ np.linalg.solve(V, rest)
        seen.append(f + rest / scale)
        covariances.append(V / scale**2)
    return np.concatenate(seen), block_diag(*covariances)


def _at_zero(line: Fit, origin: float) -> Fit:
    """Line whose intercept is at x = 0, not at the origin, with its errors widened."""
    shift = np.array([[1.0, -origin], [0.0, 1.0]])
    return Fit(
        shift @ line.values, line.excess * shift @ line.covariance @ shift.T, line.fitted, line.squares, line.freedom
    )
