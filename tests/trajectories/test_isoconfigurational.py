"""Files of published isoconfigurational ensembles: what they hold, and what is refused before it is read."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from daskglass.errors import TrajectoryError
from daskglass.trajectories.isoconfigurational import read, scan

N, M = 7, 3
RNG = np.random.default_rng(0)
GOOD = {
    "types": np.array([0, 0, 0, 0, 0, 1, 1]),
    "initial_positions": RNG.uniform(0, 4, (N, 3)),
    "positions": RNG.uniform(0, 4, (M, N, 3)),
}


@pytest.fixture
def write(tmp_path):
    """Write an archive of the good arrays, some of them changed, or left out where they are None."""

    def write(**changed):
        path = tmp_path / "ensemble.npz"
        np.savez(path, **{name: array for name, array in {**GOOD, **changed}.items() if array is not None})
        return path

    return write


def test_what_a_file_holds(write):
    contents = scan(write())

    assert contents.types.tolist() == GOOD["types"].tolist()
    assert contents.types.dtype == np.int8
    assert contents.trajectories == M
    assert set(contents.shapes) == set(GOOD)


def test_a_file_of_propensities_alone(write):
    contents = scan(write(positions=None, md_prop=np.ones(N), initial_positions_cage=np.zeros((N, 3))))

    assert contents.trajectories == 0
    assert contents.shapes["initial_positions_cage"] == (N, 3)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i4"])
def test_numbers_of_any_kind_are_read_as_they_are(write, dtype):
    positions = GOOD["positions"].round().astype(dtype)

    found = read(write(positions=positions), "positions")

    assert found.dtype == np.float64
    assert np.array_equal(found, positions.astype(np.float64))


RAN: list[int] = []


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return RAN.append, (1,)


@pytest.mark.parametrize("name", ["types", "initial_positions", "positions"])
def test_arrays_of_objects_are_refused_by_name_and_not_unpickled(write, name):
    path = write(**{name: np.array([Harmful(), Harmful()], object)})

    with pytest.raises(TrajectoryError, match=f"{name} is an array of Python objects, which is never unpickled"):
        scan(path)
    assert not RAN


def test_an_object_array_is_refused_where_it_is_read_without_a_scan(write):
    path = write(initial_positions_cage=np.array([None] * N, object))

    with pytest.raises(TrajectoryError, match="initial_positions_cage is an array of Python objects"):
        read(path, "initial_positions_cage")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"types": None}, "has no array types; it has initial_positions, positions"),
        ({"initial_positions": None}, "has no array initial_positions"),
        ({"positions": None}, "has neither positions nor md_prop; it has types, initial_positions"),
        ({"types": np.zeros((N, 1), int)}, "types has shape"),
        ({"types": np.zeros(0, int), "initial_positions": np.zeros((0, 3))}, "holds no particles"),
        ({"types": np.full(N, 0.5)}, "types must be codes of species"),
        ({"types": np.full(N, -1)}, "types must be codes of species"),
        ({"types": np.full(N, 300)}, "types must be codes of species"),
        (
            {"initial_positions": np.zeros((N, 2))},
            r"initial_positions has shape \(7, 2\); of 7 particles it is \(7, 3\)",
        ),
        ({"positions": np.zeros((M, N + 1, 3))}, r"positions has shape \(3, 8, 3\); of 7 particles it is \(m, 7, 3\)"),
        ({"positions": np.zeros((0, N, 3))}, r"positions has shape \(0, 7, 3\)"),
        ({"positions": None, "md_prop": np.zeros(N - 1)}, r"md_prop has shape \(6,\); of 7 particles it is \(7,\)"),
    ],
)
def test_arrays_that_are_missing_or_do_not_fit_are_named(write, changed, message):
    path = write(**changed)

    with pytest.raises(TrajectoryError, match=message) as caught:
        scan(path)
    assert caught.value.file == path


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_names_trajectory_and_particle(write, bad):
    positions = GOOD["positions"].copy()
    positions[2, 5, 1] = bad

    with pytest.raises(TrajectoryError, match="positions of trajectory 2 is not finite at particle 5"):
        read(write(positions=positions), "positions")


def test_an_array_of_texts_is_refused(write):
    path = write(initial_positions_cage=np.full((N, 3), "1.0"))

    with pytest.raises(TrajectoryError, match="initial_positions_cage holds <U3, not numbers"):
        read(path, "initial_positions_cage")


def test_a_file_cut_short_or_of_another_kind_is_refused(write, tmp_path):
    path = write()
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(TrajectoryError, match=r"cannot be read as an \.npz file"):
        scan(path)
    (tmp_path / "pickled.npz").write_bytes(pickle.dumps(GOOD))
    with pytest.raises(TrajectoryError, match=r"cannot be read as an \.npz file"):
        scan(tmp_path / "pickled.npz")
    with pytest.raises(TrajectoryError, match="no such file"):
        scan(tmp_path / "missing.npz")


def test_a_byte_that_rotted_is_found(write):
    path = write()
    whole = bytearray(path.read_bytes())
    at = whole.index(GOOD["positions"].tobytes()[:16])
    whole[at + 100] ^= 0xFF
    path.write_bytes(whole)

    with pytest.raises(TrajectoryError, match=r"cannot be read as an \.npz file: Bad CRC-32"):
        read(path, "positions")


def test_an_array_that_claims_to_be_longer_than_it_is_takes_no_memory(write):
    path = write()
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, N, 3)})
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != "positions.npy"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (kept | {"positions.npy": header.getvalue()}).items():
            archive.writestr(name, data)

    with pytest.raises(TrajectoryError, match="positions says that it has shape"):
        scan(path)


def test_compressed_data_that_rotted_are_found(tmp_path):
    path = tmp_path / "compressed.npz"
    np.savez_compressed(path, **GOOD)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("positions.npy").header_offset + 60
    whole[start : start + 40] = bytes(40)
    path.write_bytes(whole)

    with pytest.raises(TrajectoryError):
        read(path, "positions")
