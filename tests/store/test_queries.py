"""Questions to a store: what is selected, how systems that differ are aligned, and what is refused."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import StoreError
from daskglass.store.queries import reduced


def make_run(temperatures, replicas=2, times=(0.0, 1.0, 2.0), species=(0, 0, 1), names=("A", "B"), box=7.0, seed=0):
    """Run of random hops, labels and positions, chunked as a store is."""
    rng = np.random.default_rng(seed)
    shape = (len(temperatures), replicas, len(times), len(species))
    chunks = (1, 1, 2, -1)
    frames = ("temperature", "replica", "time", "particle")
    label = rng.integers(-1, 2, shape).astype(np.int8)
    position = rng.normal(size=(*shape, 3)).astype(np.float32)
    return xr.Dataset(
        {
            "hop": (frames, da.from_array(rng.random(shape).astype(np.float32), chunks), {"units": "sigma**2"}),
            "label": (frames, da.from_array(label, chunks)),
            "position": ((*frames, "xyz"), da.from_array(position, (*chunks, -1))),
        },
        {
            "temperature": ("temperature", list(temperatures), {"units": "epsilon/k_B"}),
            "replica": np.arange(replicas),
            "time": list(times),
            "species": ("particle", np.array(species, np.int8), {"names": list(names)}),
            "box": ("xyz", np.full(3, box)),
        },
    )


def make_tree(**runs):
    return xr.DataTree.from_dict({f"{name}/production": run for name, run in runs.items()})


SMALL = make_run([0.9, 0.7, 0.5])
LARGE = make_run([1.3, 0.9], species=(0, 0, 0, 0, 1), box=8.0, seed=1)
TREE = make_tree(small=SMALL, large=LARGE)


def test_systems_are_aligned_by_label_with_nothing_where_one_lacks_it():
    found = dg.query(TREE, variables=["hop"])
    assert dict(found.sizes) == {"system": 2, "temperature": 4, "replica": 2, "time": 3, "particle": 5}
    for name, run in (("small", SMALL), ("large", LARGE)):
        back = found["hop"].sel(system=name, temperature=run["temperature"], particle=range(run.sizes["particle"]))
        np.testing.assert_array_equal(back, run["hop"])
    assert int(found["hop"].notnull().sum()) == SMALL["hop"].size + LARGE["hop"].size


@pytest.mark.parametrize("selection", [{}, {"temperature": 0.7}, {"temperature": slice(0.6, 2)}])
def test_units_survive_alignment(selection):
    found = dg.query(TREE, **selection)
    assert found["temperature"].attrs == {"units": "epsilon/k_B"}
    assert found["hop"].attrs == {"units": "sigma**2"}


def test_codes_stay_codes_where_systems_differ():
    found = dg.query(TREE, variables=["label", "species"])
    assert (found["label"].dtype, found["species"].dtype) == (np.int8, np.int8)
    assert (found["label"].sel(system="small", temperature=1.3) == -1).all()
    assert found["species"].sel(system="small").values.tolist() == [0, 0, 1, -1, -1]
    assert found["species"].attrs["names"] == ["A", "B"]


def test_a_species_has_one_code_in_all_systems():
    found = dg.query(make_tree(first=SMALL, other=make_run([0.9], names=("C", "B"))), variables="species")
    names = [*found["species"].attrs["names"], ""]
    assert [[names[code] for code in row] for row in found["species"].values] == [["A", "A", "B"], ["C", "C", "B"]]


def test_what_systems_share_is_not_repeated():
    found = dg.query(make_tree(first=SMALL, other=SMALL))
    assert found["species"].dims == ("particle",)
    assert found["box"].dims == ("xyz",)


def test_nothing_is_read_before_it_is_asked_for():
    found = dg.query(TREE, temperature=slice(0.4, 1.0), species="A")
    assert all(variable.chunks for variable in found.data_vars.values())


@pytest.mark.parametrize(
    ("selection", "temperatures"),
    [({"temperature": 0.71}, 0.7), ({"temperature": 100}, 0.9), ({"temperature": [0.5, 0.9]}, [0.5, 0.9]),
     ({"temperature": [0.7 * (1 + 1e-12)]}, [0.7]), ({"temperature": slice(0.6, 1.0)}, [0.9, 0.7]),
     ({"temperature": slice(1.0, 0.6)}, [0.9, 0.7]), ({"temperature": slice(None, 0.7)}, [0.7, 0.5]),
     ({"temperature": slice(0.7, None)}, [0.9, 0.7])],
)  # fmt: skip
def test_temperatures_are_selected_by_value(selection, temperatures):
    found = dg.query(TREE, "small", variables="hop", **selection)
    assert found["temperature"].values.tolist() == temperatures
    xr.testing.assert_equal(
        found["hop"].isel(system=0, drop=True).drop_vars("particle"), SMALL["hop"].sel(temperature=temperatures)
    )


def test_a_range_of_times_includes_its_ends_despite_rounding():
    times = np.arange(5) * 0.1
    found = dg.query(make_tree(only=make_run([0.9], times=times)), time=slice(0.1, 0.3))
    np.testing.assert_allclose(found["time"], [0.1, 0.2, 0.3])


def test_a_range_open_below_includes_zero_and_negative_numbers():
    tree = make_tree(only=make_run([0.9], times=[-1.0, 0.0, 1.0]))
    assert dg.query(tree, time=slice(0, 5))["time"].values.tolist() == [0.0, 1.0]
    assert dg.query(tree, time=slice(None, 0))["time"].values.tolist() == [-1.0, 0.0]


def test_the_nearest_temperature_is_given_per_system():
    found = dg.query(TREE, variables="hop", temperature=1.2)
    assert found["temperature"].dims == ("system",)
    assert found["temperature"].sel(system=["small", "large"]).values.tolist() == [0.9, 1.3]
    np.testing.assert_array_equal(
        found["hop"].sel(system="large", particle=range(5)), LARGE["hop"].sel(temperature=1.3)
    )


@given(st.permutations([0.3, 0.1, 0.2]), st.floats(-1e-11, 1e-11))
def test_labels_that_differ_by_rounding_are_the_same(times, error):
    runs = [make_run([0.9], times=sorted(times)), make_run([0.9], times=[time * (1 + error) for time in sorted(times)])]
    found = dg.query(make_tree(first=runs[0], other=runs[1]), variables="hop")
    assert found.sizes["time"] == 3
    assert bool(found["hop"].notnull().all())


def test_temperatures_fall_where_they_fall_in_every_system_and_times_rise():
    found = dg.query(make_tree(first=SMALL, other=make_run([1.3, 0.8], times=[0.5, 1.5])))
    assert found["temperature"].values.tolist() == [1.3, 0.9, 0.8, 0.7, 0.5]
    assert found["time"].values.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_a_species_keeps_its_particles_and_their_numbers():
    found = dg.query(TREE, "large", species="B", variables="position")
    assert found["particle"].values.tolist() == [4]
    np.testing.assert_array_equal(found["position"][0], LARGE["position"].isel(particle=[4]))


def test_a_system_without_anything_selected_is_there_and_empty():
    found = dg.query(TREE, variables=["hop", "label"], temperature=slice(0.4, 0.6))
    assert found["system"].values.tolist() == ["large", "small"]
    assert bool(found["hop"].sel(system="large").isnull().all())
    assert (found["label"].sel(system="large") == -1).all()
    assert found["label"].dtype == np.int8


def test_a_replica_that_one_system_lacks_is_missing_there_only():
    found = dg.query(make_tree(three=make_run([0.9], replicas=3), one=make_run([0.9], replicas=1)), replica=2)
    assert bool(found["hop"].sel(system="one").isnull().all())
    assert bool(found["hop"].sel(system="three").notnull().all())


def test_a_box_that_varies_is_given_by_name_beside_one_that_does_not():
    varying = make_run([0.9]).drop_vars("box")
    shape = [varying.sizes[dim] for dim in ("temperature", "replica", "time")]
    varying["box"] = (("temperature", "replica", "time", "xyz"), np.random.default_rng(0).random((*shape, 3)))
    tree = make_tree(fixed=SMALL, varying=varying)
    for variables in (["position", "box"], None):
        found = dg.query(tree, variables=variables, temperature=0.9, replica=1, time=slice(0, 1))
        np.testing.assert_array_equal(
            found["box"].sel(system="varying"), varying["box"].sel(temperature=0.9, replica=1, time=slice(0, 1))
        )
        assert (found["box"].sel(system="fixed") == 7.0).all()


def test_times_that_differ_by_row_are_selected_once_a_row_is():
    run = make_run([0.9, 0.7]).drop_vars("time")
    times = np.arange(12.0).reshape(2, 2, 3)
    run = run.assign_coords(time=(("temperature", "replica", "time"), times, {"units": "tau"}))
    tree = make_tree(only=run)
    assert dg.query(tree)["time"].shape == (2, 2, 3)
    found = dg.query(tree, variables="hop", time=slice(7, 8), replica=0, temperature=0.7)
    np.testing.assert_array_equal(found["hop"][0], run["hop"][1, 0, 1:])
    assert found["time"].attrs == {"units": "tau"}
    with pytest.raises(StoreError, match="select one temperature and replica first"):
        dg.query(tree, time=slice(7, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"system": "medium"}, r"no system 'medium'.*large, small"), ({"run": "warmup"}, "no run 'warmup'.*production"),
     ({"variables": ["spin"]}, "no variable 'spin'.*hop"), ({"colour": 1}, "no dimension 'colour'.*temperature"),
     ({"temperature": slice(5, 6)}, "no data at temperature=5:6 in production: large has 1.3, 0.9; small has 0.9, 0.7, 0.5"),
     ({"temperature": [0.9, 0.33]}, "no data at temperature=0.33"), ({"temperature": float("nan")}, "no data at temp"),
     ({"temperature": "cold"}, "'cold': not a number"), ({"temperature": slice(0, 1, 2)}, "two ends and no step"),
     ({"replica": 7}, "no data at replica=7 .* 0, 1"), ({"replica": []}, "an empty list selects nothing"),
     ({"species": "C"}, "no data at species='C' .* A, B")],
)  # fmt: skip
def test_a_query_for_what_does_not_exist_lists_what_does(arguments, message):
    with pytest.raises(StoreError, match=message):
        dg.query(TREE, **arguments)


def test_systems_come_by_name_unless_an_order_is_given():
    assert dg.query(TREE)["system"].values.tolist() == ["large", "small"]
    assert dg.query(TREE, ["small", "large"])["hop"]["system"].values.tolist() == ["small", "large"]


def test_a_query_of_a_path_is_a_query_of_the_store_there(tmp_path):
    TREE.to_zarr(tmp_path / "study.zarr", consolidated=False)
    xr.testing.assert_identical(dg.query(tmp_path / "study.zarr").load(), dg.query(TREE).load())


@pytest.mark.parametrize("how", ["mean", "std", "min", "max", "sum"])
def test_a_reduction_skips_what_is_missing(how):
    found = dg.query(TREE, variables=["hop", "label"])
    result = reduced(found, how, ["particle", "time"])
    function = getattr(np, how)
    run = LARGE.isel(temperature=0, replica=1)
    at = {"system": "large", "temperature": 1.3, "replica": 1}
    assert float(result["hop"].sel(at)) == pytest.approx(float(function(run["hop"].values.astype(float))), rel=1e-5)
    codes = run["label"].values
    assert float(result["label"].sel(at)) == pytest.approx(float(function(codes[codes >= 0])))
    assert bool(result["hop"].sel(system="small", temperature=1.3).isnull().all())
    assert result["hop"].attrs == {"units": "sigma**2", "cell_methods": f"particle: time: {how}"}


def test_a_count_is_of_what_is_there():
    result = reduced(dg.query(TREE, variables=["hop", "label"]), "count", ["particle"])
    assert result["hop"].sel(system="small", temperature=0.9).values.tolist() == [[3] * 3] * 2
    assert (result["hop"].sel(system="small", temperature=1.3) == 0).all()
    np.testing.assert_array_equal(
        result["label"].sel(system="large", temperature=0.9), (LARGE["label"][1] >= 0).sum("particle")
    )


def test_a_reduction_over_an_unknown_dimension_lists_the_dimensions():
    with pytest.raises(StoreError, match=r"cannot take the mean over 'bird'.*particle"):
        reduced(dg.query(TREE), "mean", ["bird"])
