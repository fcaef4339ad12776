"""What the explorer shows, against xarray by hand."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from bokeh.document import Document

import daskglass as dg
from daskglass.errors import StoreError
from daskglass.explorer import brush, live
from daskglass.explorer.brush import Brush, Slab, chosen, in_slab, query_code
from daskglass.explorer.frames import Choice, Quantity, axis_label, quantities_of, read_frame, runs_of, times_of
from daskglass.explorer.page import fill
from daskglass.explorer.views import FAINT, colour_limits, view
from daskglass.store.blocks import open_tree

SLAB = Slab(7.5, 2.0, ("A",))
CHOICE = Choice("ka_0.0", "production", 0.5, 1, 2, 0, "inherent", Quantity("softness"), Quantity("hop"))
PROPENSITY = Choice(
    "ka_0.0", "isoconfigurational", 0.6, 0, 1, 2, "position", Quantity("propensity"), Quantity("averaged", (("generation", 1),))
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(small):
    return runs_of(open_tree(small))["ka_0.0"]


def by_hand(small, choice=CHOICE):
    run = dg.open_store(small)[f"ka_0.0/{choice.run}"].to_dataset()
    return run.sel(temperature=choice.temperature, replica=choice.replica).load()


def test_runs_without_particles_or_their_variables_are_not_offered(runs):
    assert list(runs) == ["production", "isoconfigurational"]


def test_a_store_without_particles_is_refused(tmp_path):
    xr.DataTree.from_dict({"a/ensemble": xr.Dataset({"s2": 1.0})}).to_zarr(tmp_path / "s.zarr", consolidated=False)
    with pytest.raises(StoreError, match="no run of the store has particles"):
        runs_of(open_tree(tmp_path / "s.zarr"))


def test_every_place_along_other_dimensions_is_a_quantity(runs):
    labels = list(quantities_of(runs["isoconfigurational"]))
    assert labels == ["averaged, generation 0", "averaged, generation 1", "propensity"]
    assert list(quantities_of(runs["production"])) == ["softness", "hop"]


def test_a_frame_is_what_xarray_selects(small, runs):
    frame = read_frame(runs["production"], CHOICE)
    run = by_hand(small).sel(time=5.0)
    np.testing.assert_array_equal(frame.first, run.softness)
    np.testing.assert_array_equal(frame.second, run.hop)
    assert ((frame.position >= 0) & (frame.position < frame.box)).all()
    images = (run.inherent.astype(float) - frame.position) / run.box
    np.testing.assert_allclose(images, images.round(), atol=1e-6)


def test_a_configuration_is_what_xarray_selects(small, runs):
    frame = read_frame(runs["isoconfigurational"], PROPENSITY)
    run = by_hand(small, PROPENSITY).sel(configuration=9)
    np.testing.assert_array_equal(frame.first, run.propensity.sel(lag=100.0))
    np.testing.assert_array_equal(frame.second, run.averaged.isel(generation=1))
    assert list(times_of(runs["isoconfigurational"], PROPENSITY)) == [4, 9]


def test_a_frame_that_is_not_computed_is_an_error(runs):
    with pytest.raises(StoreError, match="not computed yet"):
        read_frame(runs["production"], replace(CHOICE, temperature=0.8, replica=0, frame=1))


def test_a_slab_goes_on_through_the_boundary(small, runs):
    frame = read_frame(runs["production"], CHOICE)
    z = frame.position[:, 2]
    # 7.5 ± 1 in a box of 8
    expected = ((z >= 6.5) | (z <= 0.5)) & (frame.species == 0)
    np.testing.assert_array_equal(in_slab(frame, SLAB), expected)


def test_a_brush_chooses_what_every_range_holds(runs):
    frame = read_frame(runs["production"], CHOICE)
    x, y, z = frame.position.T
    expected = (frame.species == 0) & (frame.first >= -0.2) & (frame.first <= 0.4) & (frame.second <= 0.1)
    some = Brush((-0.2, 0.4), (0.0, 0.1))
    np.testing.assert_array_equal(chosen(frame, SLAB, some), expected)
    region = expected & ((z >= 6.5) | (z <= 0.5)) & (x >= 1) & (x <= 5) & (y >= 2) & (y <= 7)
    np.testing.assert_array_equal(chosen(frame, SLAB, replace(some, region=((1, 5), (2, 7)))), region)
    assert 0 < region.sum() < expected.sum()


def test_histograms_count_all_particles_though_few_are_drawn(runs, monkeypatch):
    monkeypatch.setattr(brush, "MOST_DRAWN", 7)
    frame = read_frame(runs["production"], CHOICE)
    found = view(frame, SLAB, Brush((0.0, 3.0)), ((-3.0, 3.0), (0.0, 3.0)))
    positive = (frame.first >= 0) & (frame.species == 0)
    assert found.counts.sum() == found.joint.sum() == found.shown == 400
    assert found.counts_chosen.sum() == found.joint_chosen.sum() == found.chosen == positive.sum()
    assert found.counts_chosen[:25].sum() == 0
    # rows are of the second variable
    np.testing.assert_array_equal(found.joint.sum(0), np.histogram(frame.first[:400], 60, (-3, 3))[0])
    assert found.mean_first == pytest.approx(frame.first[positive].mean())
    who = found.points["particle"]
    assert who.size == 7 < found.in_slab == in_slab(frame, SLAB).sum()
    assert set(who) <= set(np.flatnonzero(in_slab(frame, SLAB)))
    np.testing.assert_array_equal(found.points["alpha"] > FAINT, positive[who])


def test_ends_of_a_brush_are_rounded_to_a_thousandth_of_its_width():
    assert brush.neat(0.49566297, -0.30381205) == (-0.3038, 0.4957)
    assert brush.neat(1234.5678, 2234.5) == (1234.6, 2234.5)
    assert brush.neat(0.5, 0.5) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("choice", "brushed"),
    [
        (CHOICE, Brush()),
        (CHOICE, Brush((-0.2, 0.4), (0.0, 0.1))),
        (CHOICE, Brush((-0.2, 0.4), None, ((1.0, 5.0), (2.0, 7.0)))),
        (PROPENSITY, Brush((0.2, 0.4), (0.0, 0.5), ((1.0, 5.0), (2.0, 7.0)))),
    ],
)
def test_the_code_finds_the_same_particles(small, runs, choice, brushed):
    names = {}
    exec(query_code(small, runs[choice.run], choice, SLAB, brushed), names)
    assert {"box", "species", "xyz"} <= set(names["chosen"].coords)
    first = names["chosen"][choice.first.name].isel(dict(choice.first.at)).load()
    frame = read_frame(runs[choice.run], choice)
    expected = chosen(frame, SLAB, brushed)
    assert expected.any()
    np.testing.assert_array_equal(first["particle"][first.notnull()], np.flatnonzero(expected))


def test_rates_of_a_range_are_counted_by_hand(small, runs):
    run = runs["production"]
    found = live.rates(live.read_samples(run, CHOICE.first), run["species"], ("A",), (-0.2, 0.4))
    whole = dg.open_store(small)["ka_0.0/production"].to_dataset().load()
    there = (whole.softness >= -0.2) & (whole.softness <= 0.4) & whole.hop.notnull()
    events = (there & (whole.hop > 0.2)).sum(["replica", "time", "particle"])
    samples = there.sum(["replica", "time", "particle"])
    np.testing.assert_array_equal(found.events, events)
    np.testing.assert_array_equal(found.samples, samples)
    np.testing.assert_allclose(found.probability, events / samples)
    everywhere, dims = whole.hop.where(whole.softness.notnull()), ["replica", "time", "particle"]
    np.testing.assert_allclose(found.everywhere, (everywhere > 0.2).sum(dims) / everywhere.count(dims))


def test_rates_are_counted_at_as_many_times_as_can_be_held(runs, monkeypatch):
    run = runs["production"]
    monkeypatch.setattr(live, "MOST_VALUES", 2 * 3 * 2 * 500)
    samples = live.read_samples(run, CHOICE.first)
    assert (samples.frames, samples.total, samples.hop.sizes["time"]) == (2, 5, 2)
    assert list(live.sampled_times(5, 10**9)) == [2]
    assert list(live.sampled_times(5, 1)) == [0, 1, 2, 3, 4]


def test_g_is_that_around_the_chosen_particles(runs):
    frame = read_frame(runs["production"], CHOICE)
    picked = chosen(frame, SLAB, Brush((-0.2, 0.4)))
    g, count = live.radial(frame, picked)
    assert count == picked.sum()
    away = frame.position[picked][:, None] - frame.position[frame.species == 1]
    r = np.sqrt(((away - frame.box * np.round(away / frame.box)) ** 2).sum(-1))
    # within 1.4 to 1.5 σ: n = ρ_B v g
    some = g.sel(neighbor="B", r=slice(1.4, 1.5))
    edges = np.append(some.r.values - 0.01, some.r.values[-1] + 0.01)
    volume = 4 / 3 * np.pi * np.diff(edges**3)
    expected = ((r >= edges[0]) & (r < edges[-1])).sum() / count
    assert float((some * volume).sum()) * 100 / frame.box.prod() == pytest.approx(expected)
    assert live.radial(frame, np.zeros_like(picked)) is None


def test_colours_part_at_zero_where_a_sign_means_something():
    values = np.array([-1.0, 0.0, 3.0, np.nan])
    low, high = colour_limits(values, True)
    assert low == -high
    assert colour_limits(values, False)[0] > -1.0
    assert colour_limits(np.full(3, np.nan), False) == (0.0, 1.0)


def test_axes_name_variable_place_and_unit(runs):
    assert axis_label(runs["production"], CHOICE.second) == "hop indicator p_hop  (σ²)"
    assert axis_label(runs["isoconfigurational"], PROPENSITY.second) == "averaged, generation 1"


def test_names_that_others_chose_are_text_on_the_page(small, tmp_path):
    name = "<img src=x onerror=alert(1)>.zarr"
    (tmp_path / name).symlink_to(small)
    document = Document()
    fill(tmp_path / name, document)
    texts = [model.text for model in document.models if hasattr(model, "text")]
    assert any("&lt;img" in str(text) for text in texts)
    assert not any("<img" in str(text) for text in texts)
