"""Isoconfigurational ensembles from ordinary trajectory files, one for each trajectory: what they give, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

import daskglass as dg
from tests.pipeline.ensembles import LAGS, TRAJECTORIES, TYPES, L, N, configuration, run
from tests.studies import command_here
from tests.trajectories.files import COLUMNS, Run, write_dump, write_gsd

pytestmark = pytest.mark.xdist_group("ensembles")

STEP = 0.005
EVERY = {"gsd": write_gsd, "lammps": write_dump}
STUDY = """
study: ensembles
store: ensembles.zarr
systems: [{system: ka_0.0}]
source:
  trajectories:
    format: FORMAT
    path: "T{temperature}/c{configuration}/{trajectory}.FORMAT"
    timestep: 0.005
inherent: {engine: native}
predictor: {generations: 1}
"""


def trajectory(number, m, lags=LAGS, first_step=7000):
    """Trajectory m from a configuration: it starts there, and has a frame at each lag; wrapped, with images."""
    initial, ends = configuration(number)
    box = np.full(3, np.float32(L)).astype(np.float64)
    x = np.stack([initial, *(ends[lag][m] for lag in lags)]) - L / 2
    image = np.rint(x / box).astype(np.int32)
    steps = first_step + np.array([0, *(round(lag / STEP) for lag in lags)])
    return Run(steps, box, -box / 2, (x - image * box).astype(np.float32), image, TYPES, ("A", "B"))


def put(folder, form, number, trajectories=TRAJECTORIES, change=lambda m, run: run, **options):
    """Write the trajectories of a configuration, a file each."""
    place = folder / f"T0.5/c{number}"
    place.mkdir(parents=True, exist_ok=True)
    for m in range(trajectories):
        EVERY[form](place / f"{m}.{form}", change(m, trajectory(number, m)), **options)


def put_ends(folder, number):
    """Write `.npz` files of the same positions."""
    runs = [trajectory(number, m).unwrapped for m in range(TRAJECTORIES)]
    for k, lag in enumerate(LAGS, 1):
        ends = np.stack([x[k] for x in runs])
        np.savez(folder / f"{number}_{lag:g}.npz", types=TYPES, initial_positions=runs[0][0], positions=ends)


def study(form, more=""):
    return STUDY.replace("FORMAT", form).replace("inherent:", f"    {more}\ninherent:")


def converted(folder, form, more=""):
    """What a study brings into its store."""
    done = run(folder, study(form, more), "--stage", "convert")
    assert done.returncode == 0, done.stderr
    return dg.open_store(folder / "ensembles.zarr")["ka_0.0/isoconfigurational"].to_dataset().load()


def refused(folder, form="gsd", more=""):
    """What a study that cannot be run says."""
    done = run(folder, study(form, more), "--stage", "convert")
    assert done.returncode in (1, 2), done.stdout
    return re.sub(r"\s+", " ", done.stderr + done.stdout)


@pytest.fixture(scope="module")
def of_ends(tmp_path_factory):
    """Store of the same ensembles from `.npz` files."""
    folder = tmp_path_factory.mktemp("ends")
    for number in (1, 2):
        put_ends(folder, number)
    text = study("isoconfigurational").replace("    timestep: 0.005\n", "")
    text = re.sub(r'path: ".*"', 'path: "{configuration}_{lag}.npz"\n    constants: {temperature: 0.5}', text)
    done = run(folder, text, "--stage", "convert")
    assert done.returncode == 0, done.stderr
    return dg.open_store(folder / "ensembles.zarr")["ka_0.0/isoconfigurational"].to_dataset().load()


@pytest.mark.parametrize(
    ("form", "options"),
    [("gsd", {}), ("lammps", {}), ("lammps", {"columns": COLUMNS["unwrapped"]}), ("gsd", {"images": False})],
)
def test_trajectories_give_what_ends_give_to_the_bit(tmp_path, of_ends, form, options):
    for number in (1, 2):
        put(tmp_path, form, number, **options)

    found = converted(tmp_path, form)

    assert found["lag"].values.tolist() == list(LAGS)
    assert found["configuration"].values.tolist() == [1, 2]
    if options != {"images": False}:
        assert np.array_equal(found["position"], of_ends["position"])
    for name in ("propensity", "propensity_half", "trajectories"):
        assert found[name].dims == of_ends[name].dims
        if form == "gsd" and not options:
            assert np.array_equal(found[name], of_ends[name]), name
        else:
            assert np.allclose(found[name], of_ends[name], rtol=1e-5), name


def test_a_study_of_trajectories_ends_in_a_scoreboard(tmp_path):
    for number in (1, 2, 3):
        put(tmp_path, "gsd", number)

    done = run(tmp_path, study("gsd"))

    assert done.returncode == 0, done.stderr
    board = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/scoreboard"].to_dataset()
    assert board["lag"].values.tolist() == list(LAGS)
    assert board["ceiling"].notnull().all()
    assert "linear predictor" in (tmp_path / "ensembles.figures/index.html").read_text(encoding="utf-8")
    again = run(tmp_path, study("gsd"))
    assert "0 tasks done" in again.stdout


def test_particles_may_come_in_another_order_in_every_file(tmp_path, of_ends):
    def shuffled(m, whole):
        # within a species the order is the same
        mixed = np.random.default_rng(m).permutation(N)
        kept = np.empty(N, int)
        for code in (0, 1):
            kept[TYPES[mixed] == code] = np.flatnonzero(code == TYPES)
        return replace(whole, position=whole.position[:, kept], image=whole.image[:, kept], typeid=TYPES[kept])

    put(tmp_path, "gsd", 1, change=shuffled)

    found = converted(tmp_path, "gsd")

    in_order = np.argsort(found["species"].values, kind="stable")
    assert np.array_equal(found["propensity"].values[..., in_order], of_ends["propensity"].sel(configuration=[1]))


def test_images_may_be_counted_from_any_box(tmp_path, of_ends):
    put(tmp_path, "gsd", 1, change=lambda m, whole: replace(whole, image=whole.image + np.array([m, 0, -m])))

    found = converted(tmp_path, "gsd")

    assert np.allclose(found["propensity"], of_ends["propensity"].sel(configuration=[1]), atol=1e-5)


def test_images_are_ignored_where_the_study_says_so(tmp_path, of_ends):
    def broken(m, whole):
        image = whole.image.copy()
        image[1:, 5] += m
        return replace(whole, image=image)

    put(tmp_path, "gsd", 1, change=broken)

    found = converted(tmp_path, "gsd", "ignore_images: true")

    assert np.allclose(found["propensity"], of_ends["propensity"].sel(configuration=[1]), atol=1e-5)


def test_lags_may_be_chosen_and_trajectories_then_be_of_other_lengths(tmp_path, of_ends):
    def longer(m, whole):
        last = whole.step[-1] + 1000 * np.arange(1, m % 3 + 1)
        repeat = [0, 1, 2] + [2] * last.size
        return replace(
            whole, step=np.append(whole.step, last), position=whole.position[repeat], image=whole.image[repeat]
        )

    put(tmp_path, "gsd", 1, change=longer)

    assert re.search(
        r"c1/1.gsd: frames are .* time steps after the first, .* in \S*c1/0.gsd: name those", refused(tmp_path)
    )
    found = converted(tmp_path, "gsd", "lags: [100]")
    assert np.array_equal(found["propensity"], of_ends["propensity"].sel(configuration=[1], lag=[100.0]))
    assert "c1/0.gsd: ends 100 τ after its first frame, before the lag 105 τ" in refused(tmp_path, more="lags: [105]")
    assert "has no frame at the lag 50 τ; there are some at [ 0., 10., 100.] τ" in refused(tmp_path, more="lags: [50]")
    assert "source.trajectories.lags: 0.007 τ is not a whole number of time steps" in refused(
        tmp_path, more="lags: [0.007]"
    )


def test_a_configuration_may_lack_trajectories_or_be_missing_somewhere(tmp_path):
    put(tmp_path, "gsd", 1)
    put(tmp_path, "gsd", 2, trajectories=4)
    other = tmp_path / "T0.6/c1"
    other.mkdir(parents=True)
    write_gsd(other / "0.gsd", trajectory(1, 0))
    write_gsd(other / "1.gsd", trajectory(1, 1))

    done = run(tmp_path, study("gsd"), "--stage", "convert")

    assert done.returncode == 0, done.stderr
    assert "T = 0.6, replica 0, configuration 2: no file; it is NaN" in done.stderr
    found = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"].to_dataset().isel(replica=0)
    assert found["trajectories"].values.tolist() == [[[2, 2], [0, 0]], [[6, 6], [4, 4]]]
    assert found["position"].isnull().all(("particle", "xyz")).values.tolist() == [[False, True], [False, False]]


def test_of_one_trajectory_there_are_no_halves(tmp_path):
    put(tmp_path, "gsd", 1, trajectories=1)

    found = converted(tmp_path, "gsd")

    assert found["propensity"].notnull().all()
    assert found["propensity_half"].isnull().all()


def test_trajectories_that_start_elsewhere_than_their_configuration_are_refused(tmp_path):
    def elsewhere(m, whole):
        if m != 3:
            return whole
        position = whole.position.copy()
        position[0, 17, 2] += 0.001
        return replace(whole, position=position)

    put(tmp_path, "gsd", 1, change=elsewhere)

    found = refused(tmp_path)
    assert re.search(r"c1/3.gsd: frame 0: particle 17 is 0.001 σ from where it is in \S*c1/0.gsd", found)
    assert "trajectories of one configuration must start from it" in found


def squeezed(whole):
    return replace(whole, box=whole.box * 1.001, position=(whole.position * 1.001).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda whole: replace(whole, typeid=1 - whole.typeid),
            r"c1/2.gsd: composition A 200, B 800 differs from A 800, B 200",
        ),
        (lambda whole: replace(whole, types=("A", "C")), r"c1/2.gsd: has particles of type 'C'"),
        (squeezed, r"c1/2.gsd: the box is \[9.41.*\] σ, \[9.41.*\] σ in \S*c1/0.gsd"),
        (
            lambda whole: replace(whole, step=whole.step * 2),
            r"c1/2.gsd: frames are \[ 0, 4000, 40000\] .* \[ 0, 2000, 20000\]",
        ),
        (
            lambda whole: replace(whole, step=whole.step[:2], position=whole.position[:2], image=whole.image[:2]),
            r"c1/2.gsd: frames are \[ 0, 2000\] time steps after the first, \[ 0, 2000, 20000\] in \S*c1/0.gsd",
        ),
        (
            lambda whole: replace(
                whole, position=whole.position[:, 1:], image=whole.image[:, 1:], typeid=whole.typeid[1:]
            ),
            r"c1/2.gsd: particles 999 differs from 1000 of \S*c1/0.gsd",
        ),
    ],
)
def test_files_that_do_not_agree_are_named(tmp_path, change, message):
    put(tmp_path, "gsd", 1, change=lambda m, whole: change(whole) if m == 2 else whole)

    assert re.search(message, refused(tmp_path))


def test_a_file_of_the_configuration_alone_has_no_lag(tmp_path):
    put(
        tmp_path, "gsd", 1,
        change=lambda m, whole: replace(whole, step=whole.step[:1], position=whole.position[:1], image=whole.image[:1]),
    )  # fmt: skip

    assert "c1/0.gsd: holds the configuration alone" in refused(tmp_path)


def test_frames_back_in_time_are_refused(tmp_path):
    put(tmp_path, "gsd", 1, change=lambda m, whole: replace(whole, step=whole.step[::-1]) if m == 1 else whole)

    assert "c1/1.gsd" in refused(tmp_path)


def test_wrapped_positions_with_images_left_out_of_the_file_are_refused(tmp_path):
    # of what is far, only a frame between would tell where it went
    def far(m, whole):
        position = whole.position.copy()
        position[2, 3] = -position[2, 3] + L / 2
        return replace(whole, position=position)

    put(tmp_path, "gsd", 1, change=far, images=False)

    assert "too far to unwrap" in refused(tmp_path)


def test_a_damaged_trajectory_fails_its_configuration_and_no_other(tmp_path):
    for number in (1, 2):
        put(tmp_path, "gsd", number)
    (tmp_path / "T0.5/c1/4.gsd").write_bytes(b"nothing")

    assert "c1/4.gsd" in refused(tmp_path)
    found = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["propensity"]
    assert found.notnull().all("particle").values.squeeze().tolist() == [[False, False], [True, True]]


def test_labels_of_another_meaning_are_refused(tmp_path):
    put(tmp_path, "gsd", 1, trajectories=1)

    assert "lags of trajectories are the times of their frames" in refused(tmp_path, more="constants: {lag: 10}")
    assert "the box is" in refused(tmp_path, more="constants: {box: 9.0}")
    put(tmp_path, "gsd", 2, trajectories=1)
    without = study("gsd").replace("{trajectory}", "0")
    done = run(tmp_path, without, "--stage", "convert")
    assert "c1/0.gsd and T0.5/c2/0.gsd differ in configuration or lag alone" in re.sub(r"\s+", " ", done.stderr)
    without = study("gsd", "lags: [10]").replace("{trajectory}", "0").replace("c{configuration}", "c1")
    done = run(tmp_path, without, "--stage", "convert")
    assert "source.trajectories.lags: lags are of isoconfigurational ensembles" in re.sub(r"\s+", " ", done.stderr)


def test_the_dry_run_lists_trajectories_and_convert_refuses_them(tmp_path):
    put(tmp_path, "gsd", 1, trajectories=2)
    (tmp_path / "study.yaml").write_text(study("gsd"))

    listed = command_here("run", "study.yaml", "--dry-run", folder=tmp_path)
    done = command_here(
        "convert", "--format", "gsd", "--system", "ka_0.0", "T{temperature}/c1/{trajectory}.gsd", "x.zarr", folder=tmp_path
    )  # fmt: skip

    assert listed.returncode == 0, listed.stderr
    table = re.sub(r"[\s│]", "", listed.stdout)
    assert "c1/0.gsd" in table
    assert "c1/1.gsd" in table
    assert re.search(r"convert\s*│ 1 ", listed.stdout)
    assert done.returncode == 2
    assert "isoconfigurational ensembles are no trajectories to convert" in re.sub(r"\s+", " ", done.stderr)
