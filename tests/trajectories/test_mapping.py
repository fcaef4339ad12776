"""Files mapped to coordinates: what a pattern writes it finds again, and what is unclear is told."""

import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from daskglass.errors import StudyError, TrajectoryError
from daskglass.trajectories.mapping import Trajectory, find_sources, read_table

NAMES = st.text("aB9.-_ ~$[]*?()+^|\\{}é名", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
TEMPERATURES = st.integers(1, 99_999).map(lambda n: n / 10_000)
REPLICAS = st.integers(0, 10_000)
RUNS = st.sampled_from(["production", "training"])


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Empty working directory, and a function that makes files in it."""
    monkeypatch.chdir(tmp_path)

    def make_files(*names):
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return make_files


def places(sources):
    return [(s.system, s.run, s.temperature, s.replica) for s in sources]


def escaped(text):
    return text.replace("{", "{{").replace("}", "}}")


@st.composite
def patterns(draw):
    """A pattern of all fields, with text of all kinds around them, and the same with one literal letter changed."""
    fields = draw(
        st.permutations(
            [
                "{system}",
                "{run}",
                draw(st.sampled_from(["{temperature}", "{temperature:g}", "{temperature:.4f}", "{temperature:.6e}"])),
                draw(st.sampled_from(["{replica}", "{replica:d}", "{replica:03d}"])),
            ]
        )
    )
    # '#' and '%' are in no field's text: where one field ends and the next begins is never in doubt
    between = ["", *(draw(st.sampled_from(["#", "#/", "/%"])) for _ in fields[1:]), ""]
    literals = [draw(NAMES).replace("$", "").replace("~", "") + "%" + text for text in between]
    whole = list(itertools.chain(*zip(map(escaped, literals), [*fields, ""], strict=True)))
    changed = draw(st.integers(0, len(fields)))
    decoy = [part.replace("%", "!") if i == 2 * changed else part for i, part in enumerate(whole)]
    return "".join(whole), "".join(decoy)


@settings(max_examples=150)
@given(patterns(), st.sets(st.tuples(NAMES, RUNS, TEMPERATURES, REPLICAS), min_size=1, max_size=5))
@example(("{{[a]}}*%{system}#{run}#T{temperature:g}#{replica}", "x"), {("a.*", "training", 0.45, 7)})
def test_files_written_by_a_pattern_are_found_again_and_no_others(pattern, expected):
    with tempfile.TemporaryDirectory() as folder:
        for text in pattern:
            for system, run, temperature, replica in expected:
                path = Path(folder, text.format(system=system, run=run, temperature=temperature, replica=replica))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        found = find_sources(f"{escaped(folder)}/{pattern[0]}")
        assert set(places(found)) == expected
        assert len(found) == len(expected)
        for s in found:
            values = {"system": s.system, "run": s.run, "temperature": s.temperature, "replica": s.replica}
            assert s.path == Path(folder, pattern[0].format(**values))


@settings(max_examples=150)
@given(patterns(), st.sets(st.tuples(NAMES, RUNS, TEMPERATURES, REPLICAS), min_size=1, max_size=5), st.data())
def test_a_table_and_the_names_of_files_agree(pattern, expected, data):
    known = data.draw(st.sets(st.sampled_from(["system", "run", "temperature", "replica"])))
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for place in expected:
            values = dict(zip(("system", "run", "temperature", "replica"), place, strict=True))
            path = Path(folder, pattern[0].format(**values))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            rows.append({name: str(values[name]) for name in sorted(known)})
        distinct = [dict(row) for row in {tuple(row.items()) for row in rows}]
        assert set(places(find_sources(f"{escaped(folder)}/{pattern[0]}", rows=distinct))) == expected


def readings(name, first, second, between):
    """All ways in which a name is two texts with another between them, by trying each length."""
    tried = [(name[:i], name[i + len(between) :]) for i in range(len(name)) if name[i:].startswith(between)]
    return [(a, b) for a, b in tried if first(a) and second(b)]


def is_number(text):
    # float() takes more than file names may hold
    try:
        return set(text) <= set("0123456789.e") and float(text) >= 0
    except ValueError:
        return False


@settings(max_examples=300)
@given(st.text("a1.0e_", min_size=1, max_size=8), st.sampled_from(["_", "", "e", ".", "1"]), st.booleans())
def test_a_name_that_reads_in_two_ways_is_refused_and_no_other(name, between, number_first):
    assume(name not in (".", ".."))
    kinds = {"{system}": bool, "{temperature}": is_number}
    first, second = reversed(kinds) if number_first else kinds
    ways = readings(name, kinds[first], kinds[second], between)
    zero = [way for way in ways if float(way[0 if number_first else 1]) == 0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).touch()
        pattern = f"{folder}/{first}{between}{second}"
        if len(ways) != 1 or zero:
            message = (
                "no file" if not ways else "may mean" if len(ways) > 1 else "temperature must be a positive number"
            )
            with pytest.raises(TrajectoryError, match=message):
                find_sources(pattern)
        else:
            ((a, b),) = ways
            system, temperature = (b, a) if number_first else (a, b)
            assert places(find_sources(pattern)) == [(system, "production", float(temperature), 0)]


def test_reading_is_lenient_about_the_format_of_a_number(make):
    make("T0.50/r007", "T.45/r7", "T4e-1/r07")
    expected = [("ka", "production", T, 7) for T in (0.5, 0.45, 0.4)]
    assert places(find_sources("T{temperature:g}/r{replica:d}", {"system": "ka"})) == expected


def test_a_name_that_is_no_number_is_passed_over_as_by_a_wildcard(make):
    make("T0.5/x", "Tmp/x", "Tnan/x", "Tinf/x", "T-1/x", "T0x5/x", "T٣/x", "T1_0/x", "T 2/x")
    assert places(find_sources("T{temperature}/x", {"system": "ka"})) == [("ka", "production", 0.5, 0)]


def test_runs_are_known_by_their_names_and_others_skipped(make):
    make("production.gsd", "training.gsd", "relaxation.gsd")
    found = find_sources("{run}.gsd", {"system": "ka", "temperature": 0.5})
    assert [s.run for s in found] == ["production", "training"]


def test_sources_come_by_system_run_falling_temperature_and_replica(make):
    keys = list(itertools.product("ba", ("training", "production"), ("0.5", "10", "9"), ("10", "9")))
    make(*(f"{s}/{run}/{T}/{r}" for s, run, T, r in keys))
    expected = itertools.product("ab", ("production", "training"), (10.0, 9.0, 0.5), (9, 10))
    assert places(find_sources("{system}/{run}/{temperature}/{replica}")) == list(expected)


def test_a_field_that_occurs_twice_has_one_text_or_number(make):
    make("a_b/a_b_c_0.50", "a/b_d_0.5", "b/b_e_1")
    found = find_sources("{system}/{system}_{job}_{temperature}")
    assert places(found) == [("a_b", "production", 0.5, 0), ("b", "production", 1.0, 0)]
    make("T0.5/0.50.x", "T0.5/0.6.x")
    assert [s.path for s in find_sources("T{temperature:g}/{temperature:.2f}.x", {"system": "a"})] == [
        Path("T0.5/0.50.x")
    ]


def test_only_files_are_found_and_links_are_followed(make, tmp_path):
    make("there/0.5.gsd", "data/r")
    Path("data/0.6.gsd").mkdir()
    Path("data/0.5.gsd").symlink_to(tmp_path / "there/0.5.gsd")
    Path("linked").symlink_to("data")
    found = find_sources("{system}/{temperature}.gsd")
    assert [str(s.path) for s in found] == ["data/0.5.gsd", "linked/0.5.gsd", "there/0.5.gsd"]


@pytest.mark.parametrize("pattern", ["{system}/0.5.gsd", "{system}/{temperature}.gsd"])
def test_a_broken_link_is_reported(make, pattern):
    make("a/r")
    Path("a/0.5.gsd").symlink_to("gone.gsd")
    with pytest.raises(TrajectoryError, match=r"a/0\.5\.gsd: links to gone\.gsd, which does not exist"):
        find_sources(pattern, {} if "{temperature}" in pattern else {"temperature": 0.5})


@pytest.mark.parametrize("pattern", ["{system}/0.5.gsd", "{system}/{temperature}.gsd"])
def test_a_link_to_itself_is_reported(make, pattern):
    make("a/r")
    Path("a/0.5.gsd").symlink_to("0.5.gsd")
    with pytest.raises(TrajectoryError, match=r"a/0\.5\.gsd: .*links"):
        find_sources(pattern, {} if "{temperature}" in pattern else {"temperature": 0.5})


def test_an_unreadable_folder_is_reported(make):
    make("a/0.5.gsd")
    Path("a").chmod(0)
    if os.access("a", os.R_OK):
        Path("a").chmod(0o700)
        pytest.skip("permissions do not bind this user")
    with pytest.raises(TrajectoryError, match="a/: Permission denied"):
        find_sources("{system}/{temperature}.gsd")
    Path("a").chmod(0o700)


@pytest.mark.parametrize("pattern", ["{system}/LONG", "{system}/LONG/{temperature}"])
def test_a_path_that_the_file_system_refuses_is_reported(make, pattern):
    make("a/x")
    with pytest.raises(TrajectoryError, match=r"a/xxx.*: File name too long"):
        find_sources(pattern.replace("LONG", 300 * "x"), {} if "{temperature}" in pattern else {"temperature": 0.5})


def test_variables_and_the_home_folder_are_expanded(make, monkeypatch, tmp_path):
    make("{x}$yé/ka/0.5", "home/ka/0.5", "other$yé/ka/0.5")
    monkeypatch.setenv("DATA", "{x}$y")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for pattern in ("$DATAé/{system}/{temperature}", "${DATA}é/{system}/{temperature}", "~/{system}/{temperature}"):
        assert places(find_sources(pattern)) == [("ka", "production", 0.5, 0)]


def test_columns_and_constants_give_coordinates_that_the_path_lacks(make):
    make("a.gsd", "b/c.gsd")
    rows = [{"file": "a.gsd", "kT": "0.5", "seed": "03"}, {"file": "b/c.gsd", "kT": "0.50", "seed": "4"}]
    rename = {"kT": "temperature", "seed": "replica"}
    found = find_sources("{file}", {"system": "ka", "run": "training"}, rows, rename)
    assert found == [
        Trajectory(Path("a.gsd"), "ka", "training", 0.5, 3),
        Trajectory(Path("b/c.gsd"), "ka", "training", 0.5, 4),
    ]


def test_a_column_joins_with_folders_whose_other_fields_are_read(make):
    make("jobs/x/T0.5_r1", "jobs/x/T0.4_r2", "jobs/y/T0.5_r1", "jobs/z/T0.5_r1")
    rows = [{"job": "x", "system": "ka_0.0"}, {"job": "y", "system": "ka_0.2"}]
    found = find_sources("jobs/{job}/T{kT:g}_r{seed}", rows=rows, rename={"kT": "temperature", "seed": "replica"})
    assert places(found) == [
        ("ka_0.0", "production", 0.5, 1),
        ("ka_0.0", "production", 0.4, 2),
        ("ka_0.2", "production", 0.5, 1),
    ]


def test_known_values_are_written_with_the_format_and_without_one_as_they_stand(make):
    make("T0.50_r03", "T0.5_r3x")
    rows = [{"temperature": ".5", "replica": "3"}]
    assert find_sources("T{temperature:.2f}_r{replica:02d}", {"system": "a"}, rows)[0].path == Path("T0.50_r03")
    rows = [{"temperature": "0.5", "replica": "3"}]
    assert find_sources("T{temperature}_r{replica}x", {"system": "a"}, rows)[0].path == Path("T0.5_r3x")


def test_a_column_may_be_renamed_out_of_the_way_of_another(make):
    make("x")
    rows = [{"temperature": "300 K", "kT": "0.5", "system": "a"}]
    rename = {"temperature": "kelvin", "kT": "temperature"}
    assert places(find_sources("x", rows=rows, rename=rename)) == [("a", "production", 0.5, 0)]


def test_absolute_and_oddly_written_paths_are_found(make, tmp_path):
    make("a/0.5")
    for pattern in ("./{system}/{temperature}", ".//{system}//{temperature}", f"{tmp_path}/{{system}}/{{temperature}}"):
        assert places(find_sources(pattern)) == [("a", "production", 0.5, 0)]
    whole = str(tmp_path / "a/0.5")
    found = find_sources("{file}", {"system": "a", "temperature": 1}, [{"file": whole}])
    assert found == [Trajectory(Path(whole), "a", "production", 1.0, 0)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("$DAGL_UNSET/{system}", "environment variable DAGL_UNSET, used in '$DAGL_UNSET/{system}', is not set"),
        ("${DAGL_UNSET}/{system}", "environment variable DAGL_UNSET, used in"),
        ("{system", "expected '}'"),
        ("system}", "Single '}'"),
        ("{}/x", "{} is not a field"),
        ("{system!r}", "{system} is not a field"),
        ("{system:{replica}}", "{system} is not a field"),
        ("{sys/tem}", "{sys/tem} is not a field"),
        ("", "empty"),
        ("{system}/{temperature:d}", "{temperature:d} cannot format 2.0"),
        ("{system}/{temperature:.0%}", "{temperature:.0%} writes 2.0 as '200%', which does not read back as 2.0"),
        ("{system}/{temperature}/{replica:x}", "{replica:x} writes 10 as 'a'"),
        ("{system}/{temperature}/{replica:b}", "{replica:b} writes 10 as '1010'"),
        ("{system:>9}/{temperature}", "{system:>9} writes text as '     text'"),
        ("{system}/{temperature}/{job:03d}", "{job:03d} cannot format 'text'"),
    ],
)
def test_a_pattern_that_is_no_good_is_refused(make, pattern, message):
    make("a/1/1")
    with pytest.raises(StudyError) as error:
        find_sources(pattern)
    assert message in str(error.value)
    assert "source.trajectories.path" in str(error.value)


def test_a_format_that_does_not_suit_a_cell_is_refused(make):
    with pytest.raises(StudyError, match=r"source\.trajectories\.path: \{job:d\} cannot format 'x1'"):
        find_sources("{job:d}", {"system": "a", "temperature": 1}, [{"job": "x1"}])


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"temperature": 0}, "temperature must be a positive number such as 0.45; got '0'"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"temperature": "1e999"}, "temperature must be"),
        ({"replica": -1}, "replica must be a whole number, 0 or more; got '-1'"),
        ({"replica": 1.5}, "replica must be"),
        ({"run": "equilibration"}, "run must be production or training; got 'equilibration'"),
        ({"system": ""}, "system must not be empty"),
        ({"kT": 1, "temperature": 1}, "temperature is given twice"),
    ],
)
def test_a_constant_that_is_no_coordinate_is_refused(make, constants, message):
    make("x")
    rename = {"kT": "temperature"} if "kT" in constants else {}
    with pytest.raises(StudyError) as error:
        find_sources("x", {"system": "a", "temperature": 1} | constants, rename=rename)
    assert str(error.value).startswith("source.trajectories.constants: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"T": "warm"}, "temperature must be a positive number such as 0.45; got 'warm'"),
        ({"T": ""}, "temperature must be"),
        ({"T": "1", "temperature": "2"}, "temperature is given twice, the second time as 'temperature'"),
        ({"T": "1", "system": "b"}, "system is also in source.trajectories.constants"),
        ({"T": "1", "job": ""}, "job is empty, and source.trajectories.path needs it"),
    ],
)
def test_an_invalid_row_is_reported_with_its_number(make, row, message):
    make("x")
    rows = [{"T": "1", "job": "x"}, {"job": "y"} | row]
    with pytest.raises(StudyError) as error:
        find_sources("{job}", {"system": "a"}, rows, {"T": "temperature"})
    assert "row 2 (job=" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("missing", ["system", "temperature"])
def test_an_unknown_label_is_reported_with_the_remedies(make, missing):
    make("x/1")
    other = {"system": "temperature", "temperature": "system"}[missing]
    with pytest.raises(StudyError) as error:
        find_sources("{job}/1", rows=[{"kT": "1", other: "1"}])
    for remedy in (
        f"no {missing}",
        f"{{{missing}}}",
        "constants",
        "table",
        "rename",
        f"the names are job, kT, {other}",
    ):
        assert remedy in str(error.value)


def test_a_rename_of_nothing_is_refused(make):
    with pytest.raises(StudyError, match=r"source\.trajectories\.rename: 'kt' does not exist; the names are kT, x"):
        find_sources("{x}", rows=[{"kT": "1"}], rename={"kt": "temperature"})


def test_a_table_without_rows_is_refused(make):
    with pytest.raises(StudyError, match=r"source\.trajectories\.table: no rows"):
        find_sources("{x}", rows=[])


def test_without_files_the_pattern_is_reported_with_what_exists_instead(make, monkeypatch):
    monkeypatch.setenv("STUDY", "data")
    make(*(f"data/ka/temp{i}/traj.gsd" for i in range(5)))
    with pytest.raises(TrajectoryError) as error:
        find_sources("$STUDY/{system}/T{temperature:g}/traj.gsd")
    assert "no file matches data/{system}/T{temperature:g}/traj.gsd" in str(error.value)
    assert "data/ka/ contains temp0, temp1, temp2 and 2 more" in str(error.value)
    with pytest.raises(TrajectoryError, match=r"\./ contains data$"):
        find_sources("date/{system}/T{temperature:g}/traj.gsd")
    Path("none").mkdir()
    with pytest.raises(TrajectoryError, match="none/ contains nothing"):
        find_sources("none/{system}/{temperature}")


def test_a_row_without_its_file_is_reported_with_number_and_path(make):
    make("a.gsd", "r1/T1")
    constants = {"system": "a", "temperature": 1}
    rows = [{"file": "a.gsd", "replica": "0"}, {"file": "b.gsd", "replica": "1"}]
    with pytest.raises(
        TrajectoryError, match=r"row 2 \(file=b\.gsd, replica=1\): no file matches b\.gsd; \./ contains a\.gsd, r1"
    ):
        find_sources("{file}", constants, rows)
    with pytest.raises(
        TrajectoryError, match=r"row 2 \(replica=2\): no file matches r2/T\{temperature\}; \./ contains"
    ):
        find_sources("r{replica}/T{temperature}", {"system": "a"}, [{"replica": "1"}, {"replica": "2"}])


def test_two_files_in_one_place_are_refused(make):
    make("T0.5/a", "T0.50/a")
    with pytest.raises(
        TrajectoryError, match=r"T0\.5/a and T0\.50/a are both system a, production, temperature 0\.5, replica 0"
    ):
        find_sources("T{temperature:g}/{system}")


def test_one_file_in_two_places_is_refused(make):
    make("x")
    with pytest.raises(TrajectoryError, match=r"x: matched twice, the second time as .* temperature 0\.4"):
        find_sources("x", {"system": "a"}, [{"temperature": "0.5"}, {"temperature": "0.4"}])


@pytest.mark.parametrize(("name", "field"), [("T0", "temperature"), ("T1e999", "temperature")])
def test_a_number_out_of_range_in_a_name_is_reported_with_its_file(make, name, field):
    make("T0.5/x", f"{name}/x")
    with pytest.raises(TrajectoryError, match=f"{name}/x: {field} must be a positive number"):
        find_sources("T{temperature:g}/x", {"system": "a"})


def test_a_folder_out_of_range_without_files_is_no_file(make):
    make("T0.5/x", "T0/log")
    assert len(find_sources("T{temperature:g}/x", {"system": "a"})) == 1


def test_files_that_differ_in_nothing_but_the_step_are_one_trajectory_in_the_order_of_numbers(make):
    make(*(f"T{T}/r{r}/dump.{step}.gz" for T in (0.5, 0.4) for r in (0, 1) for step in ("10", "2", "0", "007")))
    make("T0.5/r0/dump.x.gz", "T0.5/r0/dump..gz", "T0.5/r0/dump.3.bz2")
    found = find_sources("T{temperature}/r{replica}/dump.{step}.gz", {"system": "a"})
    assert places(found) == [("a", "production", T, r) for T in (0.5, 0.4) for r in (0, 1)]
    assert {s.steps for s in found} == {("0", "2", "007", "10")}
    assert found[0].path == Path("T0.5/r0/dump.{step}.gz")


def test_the_step_may_be_called_otherwise_or_be_a_column_of_a_table(make):
    make("1/x", "20/x")
    (found,) = find_sources("{n}/x", {"system": "a", "temperature": 1}, rename={"n": "step"})
    assert (found.path, found.steps) == (Path("{step}/x"), ("1", "20"))
    rows = [{"step": "1", "temperature": "0.5"}, {"step": "20", "temperature": "0.4"}]
    assert [s.path for s in find_sources("{step}/x", {"system": "a"}, rows)] == [Path("1/x"), Path("20/x")]
    assert find_sources("1/x", {"system": "a"}, [{"step": "coarse", "temperature": "1"}])[0].steps == ()


@pytest.mark.parametrize(
    ("names", "pattern", "message"),
    [
        (["dump.1", "dump.01"], "dump.{step}", r"dump\.01 and dump\.1 both have time step 1: keep one"),
        (["1/dump.1"], "{step}/dump.{step}", r"\{step\} occurs twice"),
        (["dump.1", "dump.2"], "dump.*", r"no file matches dump\.\*; replace \* by \{step\} if the files are frames"),
        (["dump." + 19 * "1"], "dump.{step}", "step must have 18 digits or fewer"),
    ],
)
def test_steps_that_are_unclear_are_refused(make, names, pattern, message):
    make(*names)
    with pytest.raises((StudyError, TrajectoryError), match=message):
        find_sources(pattern, {"system": "a", "temperature": 1})


def test_a_temperature_that_two_names_write_differently_is_no_step(make):
    make("T0.5.gsd", "T0.50.gsd")
    with pytest.raises(
        TrajectoryError, match=r"are both system a, production, temperature 0\.5, replica 0: let"
    ) as caught:
        find_sources("T{temperature}.gsd", {"system": "a"})
    assert "{step}" not in str(caught.value)


@pytest.mark.parametrize("end", ["lammpstrj", "gz"])
def test_files_of_one_place_that_differ_in_a_number_are_refused_with_the_pattern_that_reads_them_as_one(make, end):
    make(*(f"run/dump.1.{step}.{end}" for step in (0, 500, 1000, 10_000)))
    with pytest.raises(TrajectoryError, match=r"if they are frames of one run, write \{step\}") as caught:
        find_sources(f"run/{{job}}.{end}", {"system": "a", "temperature": 1})
    name = str(caught.value).partition("that differs: ")[2].partition(";")[0]
    (found,) = find_sources(f"run/{name}", {"system": "a", "temperature": 1})
    assert found.steps == ("0", "500", "1000", "10000")


@pytest.mark.parametrize("names", [("a.1.gsd", "b.1.gsd"), ("a.1.2", "a.3.4"), ("1/a", "2/a")])
def test_other_files_of_one_place_are_refused_without_that_advice(make, names):
    make(*names)
    with pytest.raises(TrajectoryError, match=r"let source\.trajectories\.path match only one of them") as caught:
        find_sources("{folder}/{name}" if "/" in names[0] else "{name}", {"system": "a", "temperature": 1})
    assert "{step}" not in str(caught.value)


def test_a_table_is_read_without_blanks_blank_lines_or_byte_order_mark(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffjob, kT \r\n\r\n"a, b", 0.5\r\n  \r\né,\r\n'.encode())
    assert read_table(path) == [{"job": "a, b", "kT": "0.5"}, {"job": "é", "kT": ""}]


@pytest.mark.parametrize(
    "content",
    [
        "job;kT\na, b;0,5\nc;0,45\n",
        "job\tkT\na, b\t0.5\nc\t0.45\n",
        'job,kT\n"a, b","0,5"\nc,"0,45"\n',
        ',job,kT\n0,"a, b",0.5\n7,c,0.45\n',
        '\ufeff"";job;kT\r\n0;a, b;0,5\r\n1;c;0,45\r\n',
        'job,kT,,\n"a, b",0.5,,\nc,0.45,,\n,,,\n,,,\n',
        'job,kT\n"a, b",0.5,\nc,0.45,,\n',
    ],
    ids=["semicolons", "tabs", "decimal commas", "an index", "an index of semicolons", "empty columns", "empty cells"],
)
def test_what_spreadsheets_and_pandas_write_is_read(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_text(content)
    assert read_table(path) == [{"job": "a, b", "kT": "0.5"}, {"job": "c", "kT": "0.45"}]


def test_a_comma_that_is_decimal_elsewhere_in_a_column_is_decimal(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("kT;file\n1,250;1,5 K\n0,450;2,5 K\n")
    assert read_table(path) == [{"kT": "1.250", "file": "1,5 K"}, {"kT": "0.450", "file": "2,5 K"}]


def test_a_table_of_pandas_with_replicas_that_became_floats_is_read(make, tmp_path):
    make("r1/x", "r20/x")
    path = tmp_path / "table.csv"
    pd.DataFrame({"seed": [1, 20, np.nan], "kT": [0.5, 0.45, np.nan]}).iloc[:2].to_csv(path)
    assert "20.0" in path.read_text()
    found = find_sources("r{seed}/x", {"system": "a"}, read_table(path), {"seed": "replica", "kT": "temperature"})
    assert [(str(s.path), s.replica, s.temperature) for s in found] == [("r1/x", 1, 0.5), ("r20/x", 20, 0.45)]


def test_a_replica_that_is_no_whole_number_is_refused(make):
    make("r1/x")
    with pytest.raises(StudyError, match=r"replica must be a whole number, 0 or more; got '1\.5'"):
        find_sources("r1/x", {"system": "a", "temperature": 1, "replica": 1.5})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": no rows"),
        (b"\n \n", ": no rows"),
        (b"job,kT\n", ": no rows"),
        (b"job,kT,job\na,1,b\n", ":1: column 'job' occurs twice"),
        (b"\njob,\na,1\n", ":2: column 2 has no name"),
        (b"job,kT\na,1\n\nb\n", ":4: 1 cells, but the header has 2 columns"),
        (b"job,kT\na,1,b\n", ":2: 3 cells, but the header has 2 columns"),
        (b"job,kT\na,1,,b\n", ":2: 3 cells, but the header has 2 columns"),
        (b",kT\na,1\nb,2\n", ":1: column 1 has no name"),
        (b",kT\n1,1\n1,2\n", ":1: column 1 has no name"),
        (b"job;T, K\na;1\n", ": the header 'job;T, K' contains commas and semicolons"),
        (b"job;kT\na;0,5\nb;0.6\n", ": column 'kT': 0,5 has a decimal comma, 0.6 a point"),
        (b"job;kT\na;1,250\nb;2\n", ": column 'kT': 1,250 may mean 1.250 or thousands: use a decimal point"),
        (b'job,kT\n"a,1\n', ":2: not a CSV file: unexpected end of data"),
        (b"job,kT\n\xff,1\n", ": line 2 (byte 7) is not UTF-8"),
    ],
)
def test_a_table_that_is_no_good_is_refused(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(StudyError) as error:
        read_table(path)
    assert f"source.trajectories.table: {path}{message}" in str(error.value)


def test_a_table_that_never_ends_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(
            StudyError, match=f"source.trajectories.table: {path}: cannot be read: it is not a plain file"
        ):
            read_table(path)


def test_a_missing_table_is_reported(tmp_path):
    with pytest.raises(StudyError, match=r"source\.trajectories\.table: .*gone\.csv: cannot be read: No such file"):
        read_table(tmp_path / "gone.csv")
