"""Study files: what they accept, and what they say of what they do not."""

from pathlib import Path

import pytest
import yaml

from daskglass.errors import StudyError
from daskglass.plan import SystemPlan
from daskglass.study import Study, load_study

PIPELINES = Path(__file__).parent.parent / "pipelines"
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
        ("hard: 0.05", "hard: 0.5", 10, "hops", "hard must lie below soft"),
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
        ("percentiles: [5, 95]", "percentiles: [95, 5]", 12, "strata", "must rise"),
        ("store: example.zarr", "store: example.zarr\nstore: b", 3, "store", "given twice"),
        ("study: example", "study: a/b", 1, "study", "match pattern"),
        ("particles: 1200", 'particles: "1200"', 4, "systems.0.particles", "valid integer"),
        ("interval: 1.0}\n", "interval: 1.0, temperature: 0.7}\n", 8, "source.simulate.production.temperature", "unknown key"),
        ("interval: 1.0}\n", "interval: 1.0005}\n", 8, "source.simulate.production.interval", "whole number of time steps"),
        ("hard: 0.05", "hard: 0.05, lead: 0.5", 10, "hops.lead", "no whole number"),
        ("strata:", "radial: {r_max: 5.0, bin_width: 0.3}\nstrata:", 12, "radial", "whole number of bin widths"),
        ("strata:", "structure: {mu: [0.4, 3.05, 0.1]}\nstrata:", 12, "structure", "whole steps"),
        ("temperature: 0.62}}", "temperature: 0.56}}", 11, "softness.train_on.temperature", "not where the training run"),
        ("engine: lammps", "engine: gromacs", 7, "source.simulate.engine", "'lammps' or 'hoomd'"),
        ("hops:", "inherent: {force_tolerance: 1.0e-3}\nhops:", 10, "inherent.force_tolerance", "less than or equal"),
        ("    training: {frames: 301, interval: 1.0, temperature: 0.62}\n", "    training: null\n", 11,
         "softness.train_on", "no training run"),
        ("  simulate:", "  trajectories: {path: x, timestep: 1}\n  simulate:", 5, "source", "exactly one"),
        ("replicas: 2}", "replicas: 2, mixture: {species: [A], fractions: [1], density: 0,"
         " pairs: {AA: {epsilon: 1, sigma: 1}}}}", 4, "systems.0.mixture.density", "greater than 0"),
        ("replicas: 2}", "replicas: 2, mixture: {species: [A], fractions: [0.9], density: 1,"
         " pairs: {AA: {epsilon: 1, sigma: 1}}}}", 4, "systems.0.mixture", "sum to 1"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_key(load, old, new, line, key, message):
    assert old in GOOD
    with pytest.raises(StudyError, match=message) as caught:
        load(GOOD.replace(old, new))
    assert f"study.yaml:{line}: {key}: " in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("- 1\n", "mapping"), ("a: [1\n", "not valid YAML"), ("", "mapping")])
def test_what_is_no_study_is_refused(load, text, message):
    with pytest.raises(StudyError, match=message):
        load(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")


def test_yaml_cannot_construct_objects(load):
    with pytest.raises(StudyError, match="not valid YAML"):
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
    assert SystemPlan(study, study.systems[0]).training_temperature == 0.63


def test_inherent_structures_can_be_left_out(load):
    study = load(GOOD + "inherent: none\n")
    assert SystemPlan(study, study.systems[0]).positions == "position"


def test_inputs_change_with_the_settings_of_its_stage_and_those_before_only(load):
    def inputs(text: str) -> dict[str, dict[str, str]]:
        study = load(text)
        plan = SystemPlan(study, study.systems[0])
        return {stage: plan.inputs(stage) for stage in ("simulate", "hops", "train", "ensemble", "barriers")}

    before, after = inputs(GOOD), inputs(GOOD.replace("bins: 5", "bins: 6"))
    assert {stage for stage in before if before[stage] != after[stage]} == {"ensemble", "barriers"}


def test_a_study_survives_a_round_trip_through_its_attributes(load):
    study = load(GOOD)
    again = Study.model_validate(yaml.safe_load(study.model_dump_json()))
    assert again.model_dump() == study.model_dump()
