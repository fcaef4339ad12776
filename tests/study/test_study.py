"""Study files: what they accept, and what they say of what they do not."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daskglass.errors import StudyError
from daskglass.physics.labels import same
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.tasks import tasks_of
from daskglass.store.template import Layout
from daskglass.study.load import load_study
from daskglass.study.settings import Study
from daskglass.study.yaml_file import read_yaml

PIPELINES = Path(__file__).parents[2] / "pipelines"
GOOD = """\
study: example
store: example.zarr
systems:
  - {system: ka_0.0, particles: 1200, temperatures: [0.80, 0.70, 0.62, 0.56], replicas: 2}
source:
  simulate:
    engine: lammps
    production: {frames: 101, interval: 1.0}
    training: {frames: 301, interval: 1.0, temperature: 0.62}
hops: {window: 10.0, soft: 0.2, hard: 0.05}
softness: {train_on: {run: training, temperature: 0.62}}
strata: {bins: 5, percentiles: [5, 95]}
"""
MIXTURE = (
    "{species: [A, B, C], fractions: [0.5, 0.3, 0.2], density: 1.1, cutoff: 2.0, pairs: {AA: {epsilon: 1, sigma: 1}, "
    "AB: {epsilon: 1, sigma: 1}, AC: {epsilon: 1, sigma: 1}, BB: {epsilon: 1, sigma: 1}, BC: {epsilon: 1, sigma: 1}, "
    "CC: {epsilon: 1, sigma: 1}}}"
)


@pytest.fixture
def load(tmp_path):
    def from_text(text: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path)

    return from_text


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_pipeline_is_a_valid_study(path):
    assert load_study(path).study == path.stem


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("bins: 5", "binz: 5", 12, "strata.binz", "unknown key"),
        ("source:", "sauce:", 5, "sauce", "unknown key"),
        ("hard: 0.05", "hard: soft", 10, "hops.hard", "valid number"),
        ("hard: 0.05", "hard: 0.5", 10, "hops", "hard must be smaller than soft"),
        ("0.80,", "-0.8,", 4, "systems.0.temperatures.0", "greater than 0"),
        ("0.80, 0.70", "0.70, 0.80", 4, "systems.0", "from high to low"),
        ("[0.80, 0.70, 0.62, 0.56]", "[]", 4, "systems.0", "needs a list of temperatures"),
        ("particles: 1200", "particles: 300", 4, "systems.0.particles", "too small"),
        ("particles: 1200", "particles: 1100", 4, "systems.0.particles", "radial.r_max"),
        ("particles: 1200", "particles: 0", 4, "systems.0.particles", "greater than 0"),
        ("ka_0.0", "ka_9.9", 4, "systems.0.system", "built-in ones are ka_0.0"),
        ("frames: 101", "frames: 10", 8, "source.simulate.production.frames", "fewer than the 11"),
        ("window: 10.0", "window: 11.0", 10, "hops.window", "whole number"),
        ("temperature: 0.62}}", "temperature: 0.5}}", 11, "softness.train_on.temperature", "not among"),
        ("percentiles: [5, 95]", "percentiles: [95, 5]", 12, "strata", "lower percentile first"),
        ("store: example.zarr", "store: example.zarr\nstore: b", 3, "store", "given twice"),
        ("study: example", "study: a/b", 1, "study", "match pattern"),
        ("particles: 1200", 'particles: "1200"', 4, "systems.0.particles", "valid integer"),
        ("interval: 1.0}\n", "interval: 1.0, temperature: 0.7}\n", 8, "source.simulate.production.temperature", "unknown key"),
        ("interval: 1.0}\n", "interval: 1.0005}\n", 8, "source.simulate.production.interval", "whole number of time steps"),
        ("hard: 0.05", "hard: 0.05, lead: 0.5", 10, "hops.lead", "not a whole number"),
        ("strata:", "radial: {r_max: 5.0, bin_width: 0.3}\nstrata:", 12, "radial", "whole number of bin widths"),
        ("strata:", "structure: {mu: [0.4, 3.05, 0.1]}\nstrata:", 12, "structure", "a whole number of steps"),
        ("temperature: 0.62}}", "temperature: 0.56}}", 11, "softness.train_on.temperature", "training run is recorded at 0.62"),
        ("engine: lammps", "engine: gromacs", 7, "source.simulate.engine", "unknown engine 'gromacs': choose lammps or hoomd"),
        ("hops:", "inherent: {force_tolerance: 1.0e-3}\nhops:", 10, "inherent.force_tolerance", "less than or equal"),
        ("    training: {frames: 301, interval: 1.0, temperature: 0.62}\n", "    training: null\n", 11,
         "softness.train_on", "no training run"),
        ("  simulate:", "  trajectories: {path: x, timestep: 1}\n  simulate:", 5, "source", "exactly one"),
        ("replicas: 2}", "replicas: 2, mixture: {species: [A], fractions: [1], density: 0,"
         " pairs: {AA: {epsilon: 1, sigma: 1}}}}", 4, "systems.0.mixture.density", "greater than 0"),
        ("replicas: 2}", "replicas: 2, mixture: {species: [A], fractions: [0.9], density: 1,"
         " pairs: {AA: {epsilon: 1, sigma: 1}}}}", 4, "systems.0.mixture", "sum to 1"),
        # numbers and booleans are those of YAML 1.2, and text is no number
        ("window: 10.0", "window: yes", 10, "hops.window", "valid number.*'yes'"),
        ("window: 10.0", "window: true", 10, "hops.window", "valid number"),
        ("window: 10.0", "window: 1:30", 10, "hops.window", "valid number.*'1:30'"),
        ("window: 10.0", "window: 0432", 10, "hops.window", "valid number.*'0432'"),
        ("window: 10.0", "window: 1_0", 10, "hops.window", "valid number"),
        ("window: 10.0", "window: '10'", 10, "hops.window", "valid number"),
        ("window: 10.0", "window: 2024-05-01", 10, "hops.window", "valid number"),
        ("particles: 1200", "particles: 012", 4, "systems.0.particles", "valid integer"),
        ("bins: 5", "bins: on", 12, "strata.bins", "valid integer"),
        # what cannot be
        ("window: 10.0", "window: .inf", 10, "hops.window", "finite number"),
        ("window: 10.0", "window: .nan", 10, "hops.window", "finite number"),
        ("window: 10.0", "window: 1e400", 10, "hops.window", "too large for"),
        ("window: 10.0", f"window: {'9' * 5000}", 10, "hops.window", "number of 5,000 characters"),
        ("particles: 1200", "particles: 1000000000000000", 4, "systems.0.particles", "less than or equal"),
        ("replicas: 2", "replicas: 1000000000", 4, "systems.0.replicas", "less than or equal"),
        ("frames: 101", "frames: 1000000000000", 8, "source.simulate.production.frames", "less than or equal"),
        ("engine: lammps", "timestep: 1e-300", 7, "source.simulate.timestep", "lie between 1e-12 and 1e[+]12"),
        ("engine: lammps", "timestep: 1e-10", 7, "source.simulate.timestep", "greater than or equal to 0.000000001"),
        ("interval: 1.0}\n", "interval: 10000000}\n", 8, "source.simulate.production.interval", "1,000,000,000 time steps"),
        ("engine: lammps", "seed: 100000000000000000000", 7, "source.simulate.seed", "less than or equal"),
        ("engine: lammps", "relaxation: {longest: 1e300}", 7, "source.simulate.relaxation.longest", "lie between"),
        ("engine: lammps", "equilibration: {minimum: .inf}", 7, "source.simulate.equilibration.minimum", "finite"),
        ("strata:", "radial: {bin_width: 1e-9}\nstrata:", 12, "radial", "more than 100,000 bin widths"),
        ("strata:", "structure: {mu: [0.4, 2.4, 1e9]}\nstrata:", 12, "structure", "a whole number of steps"),
        ("strata:", "radial: {bin_width: 1e9}\nstrata:", 12, "radial", "whole number of bin widths"),
        ("strata:", "structure: {mu: [0.4, 2.4, 1e-9]}\nstrata:", 12, "structure", "more than 10,000 steps"),
        ("strata:", "precision: 1e300\nstrata:", 12, "precision", "less than or equal to 0.1"),
        ("strata:", "precision: 1e-300\nstrata:", 12, "precision", "greater than or equal to 0.00000001"),
        ("bins: 5", "bins: 1000000000", 12, "strata.bins", "less than or equal"),
        ("strata:", "barriers: {resamples: 1000000000000}\nstrata:", 12, "barriers.resamples", "less than or equal"),
        ("study: example", "study: &a example\nprecision: *a", 2, "precision", "aliases such as [*]a are not supported"),
        ("study: example", "study: &a [*a]", 1, "study.0", "aliases"),
        ("study: example", "study: " + "[" * 100_000, 1, "study" + ".0" * 19, "nested more than 20"),
        # one rule of equality
        ("0.80, 0.70", "0.80, 0.800000000001", 4, "systems.0", "from high to low"),
        ("0.80, 0.70", "0.800000000001, 0.80", 4, "systems.0", "equal to within 1e-9"),
        ("0.80, 0.70", "0.80000001, 0.80", 4, "systems.0.temperatures.1", "would share a folder"),
        ("engine: lammps", "relaxation_time: {0.57: 20}", 7, "source.simulate.relaxation_time.0.57", "no system has the"),
        ("engine: lammps", "relaxation_time: {0.56: 20, 0.5600000000001: 30}", 7,
         "source.simulate.relaxation_time.0.5600000000001", "given twice"),
        ("engine: lammps", "relaxation_time: {0.56: 20, 0.560: 30}", 7, "source.simulate.relaxation_time.0.560", "given twice"),
        # paths
        ("store: example.zarr", "store: /", 2, "store", "needs a file name"),
        ("store: example.zarr", "store: .", 2, "store", "needs a file name"),
        ("store: example.zarr", "store: a/..", 2, "store", "needs a file name"),
        ("store: example.zarr", "store: s3://bucket/x.zarr", 2, "store", "address, and s3: is not supported"),
        ("store: example.zarr", "store: file:///x.zarr", 2, "store", "address, and file: is not supported"),
        ("store: example.zarr", "store: $NO_SUCH_ROOM/x.zarr", 2, "store", "NO_SUCH_ROOM, .*is not set"),
        ("store: example.zarr", "store: ~nobody.known/x.zarr", 2, "store", "no user has the home folder"),
        ("store: example.zarr", 'store: "a\\nb"', 2, "store", "control characters"),
        ("store: example.zarr", "store: ./s3://bucket/x", 2, "store", "s3: is not supported"),
        ("store: example.zarr", "store: results/s3://x", 2, "store", "s3: is not supported"),
        ("store: example.zarr", "store: me@login1:/x.zarr", 2, "store", "me@login1: is not supported"),
        ("store: example.zarr", "store: 'C:\\x.zarr'", 2, "store", "C: is not supported"),
        ("store: example.zarr", "store: ${HOME:-x}/y.zarr", 2, "store", "shell syntax; only ~, [$]NAME and"),
        ("store: example.zarr", "store: $(date)/y.zarr", 2, "store", "shell syntax; only ~, [$]NAME and"),
        ("store: example.zarr", "store: '${HOME/y.zarr'", 2, "store", "shell syntax; only ~, [$]NAME and"),
        ("store: example.zarr", "store: 'x.zarr '", 2, "store", "begins or ends with a space"),
        ("store: example.zarr", "store: ' '", 2, "store", "begins or ends with a space"),
        ("store: example.zarr", "store: x.zarr.ledger", 2, "store", "needs a file name"),
        ("store: example.zarr", "store: x/zarr.json", 2, "store", "needs a file name"),
        # names and texts
        ("study: example", f"study: {'x' * 101}", 1, "study", "at most 100 characters"),
        ("ka_0.0", "x" * 101, 4, "systems.0.system", "at most 100 characters"),
        ("ka_0.0", "a b", 4, "systems.0.system", "use only letters, digits and _ . [+] -"),
        ("systems:\n", f"systems:\n  - {{system: Ka_0.0, temperatures: [1.0], mixture: {MIXTURE}}}\n", 5, "systems.1.system",
         "Ka_0.0 and ka_0.0 differ only in case"),
        ("study: example", "study: 2024", 1, "study", "in quotes to make them text"),
        ("[0.80, 0.70, 0.62, 0.56]", "0.8", 4, "systems.0.temperatures", "write a list, such as"),
        ("{window: 10.0, soft: 0.2, hard: 0.05}", "10", 10, "hops", "not a section: write its keys, such as .*got 10"),
        ("study: example", f"study: {'x' * 20_000}", 1, "study", "text of 20,000 characters"),
        ("study: example", "study:\texample", 1, "not valid YAML", "replace tabs by spaces"),
        ("study: example", "study: exam\0ple", 1, "not valid YAML", "save the file as UTF-8 text"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_key(load, old, new, line, key, message):
    assert old in GOOD
    with pytest.raises(StudyError, match=message) as caught:
        load(GOOD.replace(old, new))
    assert f"study.yaml:{line}: {key}: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "consists of keys"),
        ("? [1]\n: 2\n", "1: a key must be a word"),
        ("a: [1\n", "not valid YAML"),
        ("", "consists of keys"),
    ],
)
def test_what_is_no_study_is_refused(load, text, message):
    with pytest.raises(StudyError, match=message):
        load(text)


def test_a_store_where_another_folder_or_a_file_lies_is_refused(load, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name, message in (("folder", "is a folder, but not a store"), ("file", "is a file"), ("x" * 300, "too long")):
        with pytest.raises(StudyError, match=rf"study\.yaml:2: store: .*{message}"):
            load(GOOD.replace("example.zarr", f"{tmp_path}/{name}"))
    # one that a crash left before its first file was whole
    (tmp_path / "folder.ledger").touch()
    assert load(GOOD.replace("example.zarr", f"{tmp_path}/folder"))


def test_a_store_below_a_file_or_in_another_store_is_refused(load, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "other.zarr" / "ka_0.0").mkdir(parents=True)
    (tmp_path / "other.zarr" / "zarr.json").write_text("{}")
    for place, message in (
        ("file/x.zarr", "file is a file"),
        ("other.zarr/x.zarr", "is inside the store .*other.zarr"),
        ("other.zarr/ka_0.0/new/x.zarr", "is inside the store .*other.zarr"),
    ):
        with pytest.raises(StudyError, match=rf"study\.yaml:2: store: .*{message}"):
            load(GOOD.replace("example.zarr", f"{tmp_path}/{place}"))


def test_a_link_is_followed_to_its_store(load, tmp_path):
    # a ledger and a lock beside the link would be others than those beside the store
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link.zarr").symlink_to("scratch/there.zarr")
    for name in ("link.zarr", "link.zarr/"):
        assert load(GOOD.replace("example.zarr", f"{tmp_path}/{name}")).store == f"{tmp_path}/scratch/there.zarr"
    (tmp_path / "round.zarr").symlink_to("round.zarr")
    with pytest.raises(StudyError, match="is a link to itself"):
        load(GOOD.replace("example.zarr", f"{tmp_path}/round.zarr"))


def test_an_empty_variable_does_not_lead_to_the_root(load, monkeypatch):
    monkeypatch.setenv("NO_ROOM", "")
    with pytest.raises(StudyError, match=r"environment variable NO_ROOM, .*is empty"):
        load(GOOD.replace("example.zarr", "$NO_ROOM/x.zarr"))


def test_a_folder_a_pipe_or_a_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "utf16").write_bytes(GOOD.encode("utf-16"))
    (tmp_path / "latin1").write_bytes(GOOD.replace("example.zarr", "größe.zarr").encode("latin-1"))
    for name, message in (
        ("pipe", "not a plain file"),
        ("/dev/zero", "not a plain file"),
        (".", "it is a folder"),
        ("utf16", r"line 1 \(byte 0\) is not UTF-8: save the file as UTF-8 text"),
        ("latin1", r"line 2 \(byte 24\) is not UTF-8"),
    ):
        with pytest.raises(StudyError, match=message):
            load_study(tmp_path / name)


def test_many_problems_are_reported_in_short(load):
    with pytest.raises(StudyError, match=r"study\.yaml: and 8,984 more") as caught:
        load("".join(f"k{k}: 1\n" for k in range(9000)) + f"hops: {{window: {'x' * 9000}}}\n")
    assert len(str(caught.value).splitlines()) == 21
    with pytest.raises(StudyError, match=r"hops\.window: .*x…") as caught:
        load(GOOD.replace("window: 10.0", f"window: {'x' * 9000}"))
    assert len(str(caught.value)) < 500


def test_characters_that_json_writes_as_two_escapes_are_one(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text('{"key": "\\ud83d\\ude00"}')
    assert read_yaml(path)[2] == {"key": "😀"}


def test_replicas_may_be_null_as_if_left_out(load):
    assert load(GOOD.replace("replicas: 2", "replicas: null")).systems[0].replicas == 3


def test_the_home_folder_and_variables_are_expanded_in_paths_of_a_study(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "/scratch/me & $more")
    assert load(GOOD.replace("example.zarr", "~/a b+%ü.zarr")).store == f"{tmp_path}/a b+%ü.zarr"
    assert load(GOOD.replace("example.zarr", "${SCRATCH}/x.zarr")).store == "/scratch/me & $more/x.zarr"
    files = "trajectories: {path: '{system}', timestep: 1, table: ~/t.csv}"
    text = f"study: a\nstore: b\nsource:\n  {files}\nsoftness: {{train_on: {{run: production}}}}\ninherent: none\n"
    assert load(text).source.trajectories.table == f"{tmp_path}/t.csv"
    with pytest.raises(StudyError, match=r"4: source\.trajectories\.path: .*gs: is not supported"):
        load(text.replace("'{system}'", "'gs://x/{system}'"))


def test_labels_are_the_same_to_a_billionth_everywhere(load):
    study = load(
        GOOD.replace("temperature: 0.62}}", "temperature: 0.6200000000001}}").replace(
            "engine: lammps", "relaxation_time: {0.6200000000001: 20}"
        )
    )
    (plan,) = plan_study(study)
    assert plan.source.training_temperature == 0.62
    assert study.source.simulate.known_relaxation_time(0.62) == 20
    assert study.source.simulate.known_relaxation_time(0.621) is None


@given(st.floats(0.01, 1e6), st.floats(-3e-9, 3e-9))
def test_the_rule_of_labels_is_symmetric_and_relative(label, apart):
    other = label * (1 + apart)
    assert same(label, other) == same(other, label)
    if abs(apart) < 0.9e-9:
        assert same(label, other)
    if abs(apart) > 1.1e-9:
        assert not same(label, other)
    assert not same(label, float("inf"))
    assert not same(label, float("nan"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("10", 10), (".5", 0.5), ("5.", 5.0), ("-1.5E+2", -150.0), ("true", True), ("~", None), ("", None),
     ("yes", "yes"), ("off", "off"), ("0432", "0432"), ("1:30", "1:30"), ("0x1F", "0x1F"), ("2024-05-01", "2024-05-01"),
     ("'10'", "10"), ("<<", "<<"), ("1_000", "1_000"), ("NaN", "NaN")],
)  # fmt: skip
def test_plain_words_have_the_values_of_yaml_1_2(tmp_path, text, value):
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    _, _, content = read_yaml(path)
    assert content == {"key": value}
    assert type(content["key"]) is type(value)


def test_more_than_a_person_writes_is_refused(load):
    with pytest.raises(StudyError, match="more than 20,000 values"):
        load(f"study: [{'1, ' * 30_000}]")
    with pytest.raises(StudyError, match="longer than the limit of 1,000,000 characters"):
        load("#" * 1_000_001)
    many = ", ".join(f"{2 - k / 1e4}" for k in range(10_000))
    text = f"{{study: a, store: b, systems: [{{system: ka_0.0, temperatures: [{many}]}}], source: {{simulate: {{}}}}}}"
    with pytest.raises(StudyError, match=r"study\.yaml:1: systems\.0\.temperatures: .*at most 1000 items"):
        load(text)


def test_more_frames_than_can_be_planned_are_refused(load):
    text = GOOD.replace("frames: 101", "frames: 10000000").replace("frames: 301", "frames: 10000000")
    with pytest.raises(StudyError, match=r"6: source\.simulate: 100,002,480 frames in all systems"):
        load(text)


def test_a_plan_lists_the_blocks_of_a_run_once_however_many_there_are(load, monkeypatch):
    listed = []
    blocks = Layout.blocks
    monkeypatch.setattr(Layout, "blocks", lambda self: listed.append(self.run) or blocks(self))
    study = load(GOOD)
    tasks_of(plan_study(study)[0])
    assert len(listed) < 15, "planning looks through all blocks for each of them"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")


def test_yaml_cannot_construct_objects(load):
    with pytest.raises(StudyError, match=r"tags such as .* are not supported"):
        load("study: !!python/object/apply:os.system ['true']\n")


def test_a_mixture_of_ones_own_may_have_any_number_of_species(load):
    text = GOOD.replace("ka_0.0", "mine").replace("replicas: 2}", f"replicas: 2, mixture: {MIXTURE}}}")
    system = load(text).systems[0]
    assert system.mixture.counts(1000) == (500, 300, 200)
    assert system.mixture.pair("C", "A").epsilon == 1


def test_built_in_temperatures_are_the_default(load):
    text = GOOD.replace("temperatures: [0.80, 0.70, 0.62, 0.56], ", "").replace("0.62", "0.61")
    assert len(load(text).systems[0].temperatures) == 20


def test_softness_is_trained_at_the_second_coldest_temperature_by_default(load):
    text = GOOD.replace(", temperature: 0.62}}", "}}").replace(", temperature: 0.62}", "}")
    study = load(text.replace("0.62", "0.63"))
    assert plan_study(study)[0].source.training_temperature == 0.63


def test_inherent_structures_can_be_left_out(load):
    study = load(GOOD + "inherent: none\n")
    assert plan_study(study)[0].settings["positions"] == "position"


def test_a_study_survives_a_round_trip_through_its_attributes(load):
    study = load(GOOD)
    again = Study.model_validate(yaml.safe_load(study.model_dump_json()))
    assert again.model_dump() == study.model_dump()
