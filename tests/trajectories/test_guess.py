"""What names of files say: labels, questions, and what is refused."""

import os
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daskglass.errors import TrajectoryError
from daskglass.trajectories.guess import guess_pattern
from daskglass.trajectories.patterns import _components, _expression, parse_pattern
from daskglass.trajectories.wildcards import wildcard


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["ka_0.0_T0.55_r0.gsd", "ka_0.2_T0.7_r0.gsd"], "{system}_T{temperature}_r{replica}.gsd"),
        (["N4096T0.44_1_tc07.gsd", "N4096T0.44_10_tc07.gsd"], "N4096T{temperature}_{replica}_tc07.gsd"),
        (["A_T0.45.gsd", "B_T0.45.gsd"], "{system}_T{temperature}.gsd"),
        (["ka-80-20/T0.45.gsd", "wahn/T0.45.gsd"], "{system}/T{temperature}.gsd"),
        (["user3/T0.45.gsd", "user3/T0.5.gsd"], "user3/T{temperature}.gsd"),
        (["t100/T0.45.gsd", "t100/T0.5.gsd"], "t100/T{temperature}.gsd"),
        (["{x}/T1.gsd", "{x}/T2.gsd"], "{{x}}/T{temperature}.gsd"),
        (["T0.45.r3.gsd", "T0.45.r4.gsd"], "T{temperature}.r{replica}.gsd"),
        (["T0.45.r3.gsd", "T0.5.r4.gsd"], "T{temperature}.r{seed}.gsd"),
        (["a/T0.45_r3.gsd", "a/T0.5_r4.gsd", "b/T0.5_r3.gsd"], "{system}/T{temperature}_r{seed}.gsd"),
        (["T1/production_1.gsd", "T1/production_2.gsd", "T2/training_1.gsd"], "T{temperature}/{run}_{replica}.gsd"),
        (["T4.5e-1.gsd", "T5e-1.gsd"], "T{temperature}.gsd"),
        (["T0.45/config3.gsd", "T0.45/config4.gsd"], "T{temperature}/config{replica}.gsd"),
        (["r0.5_T0.45.gsd", "r0.5_T0.5.gsd"], "r0.5_T{temperature}.gsd"),
    ],
)  # fmt: skip
def test_labels_are_recognised_in_names(names, pattern):
    guess = guess_pattern(names)
    assert (guess.pattern, guess.unknown) == (pattern, ())


@pytest.mark.parametrize(
    ("names", "pattern", "other"),
    [
        (["rho1.2/T0.45.gsd", "rho1.4/T0.45.gsd"], "{system}/T{temperature}.gsd", "rho{replica}/T{temperature}.gsd"),
        (["beta2.0/r1.gsd", "beta2.2/r1.gsd"], "{system}/r{replica}.gsd", "beta{temperature}/r{replica}.gsd"),
        (["ka2d/T0.45.gsd", "ka3d/T0.45.gsd"], "{system}/T{temperature}.gsd", "ka{replica}d/T{temperature}.gsd"),
        (["T0.45/part1.gsd", "T0.45/part2.gsd"], "T{temperature}/{system}.gsd", "T{temperature}/part{replica}.gsd"),
        (["N300_T0.45.gsd", "N400_T0.45.gsd"], "{system}_T{temperature}.gsd", "N{replica}_T{temperature}.gsd"),
        (["phi0p58/T1.gsd", "phi0p60/T1.gsd"], "{system}/T{temperature}.gsd", "phi0p{replica}/T{temperature}.gsd"),
        (["a1b2_T1.gsd", "a3b4_T1.gsd"], "{system}_T{temperature}.gsd", "a1b{replica}_T{temperature}.gsd"),
        (["300K/a.gsd", "310K/a.gsd"], "{system}/a.gsd", "{temperature}K/a.gsd"),
        (["A1_T0.5.gsd", "B2_T0.5.gsd"], "{system}_T{temperature}.gsd", "A{replica}_T{temperature}.gsd"),
        (["T1_r0_dt0.1.gsd", "T2_r0_dt0.2.gsd"], "T{temperature}_r{replica}_{system}.gsd", ""),
    ],
)
def test_a_number_with_a_word_of_no_known_meaning_is_no_label_but_a_question(names, pattern, other):
    guess = guess_pattern(names)
    assert guess.pattern == pattern
    [question] = guess.unknown
    assert "are taken for systems" in question
    assert question.endswith(f'begin with --data "{other}"' if other else "each with results of its own")


def test_pieces_of_a_run_are_to_be_joined():
    [question] = guess_pattern(["T1/part1.gsd", "T1/part2.gsd"]).unknown
    assert "if they are pieces of one run, join them into one file first" in question


def test_a_number_with_a_word_that_is_the_step_of_a_file_is_that():
    guess = guess_pattern(["T1/dump100.gz", "T1/dump200.gz"], at_step=lambda path, step: str(step) in path)
    assert (guess.pattern, guess.unknown) == ("T{temperature}/dump{step}.gz", ())


@pytest.mark.parametrize("other", ["eq", "equil", "restart", "init"])
def test_stages_of_a_simulation_are_no_systems(other):
    names = [f"T{T}/{stage}_r{k}.gsd" for T in (1, 2) for stage in ("prod", other) for k in (1, 2)]
    with pytest.raises(TrajectoryError, match=rf'several kinds by their names.*--data "T\*/{other}_r\*.gsd"'):
        guess_pattern(sorted(names))


def test_a_decimal_comma_in_a_name_is_refused():
    with pytest.raises(TrajectoryError, match=r"decimal comma in the name of d/T0,45\.gsd: rename"):
        guess_pattern(["d/T0,45.gsd", "d/T0,50.gsd"])


def test_two_temperatures_that_differ_are_a_question():
    guess = guess_pattern(["T1.0_to_T0.45.gsd", "T0.9_to_T0.5.gsd"])
    assert guess.pattern == "T{temperature}_to_T{other_temperature}.gsd"
    assert "which of two numbers is the temperature" in guess.unknown[0]


def test_names_of_other_depths_are_refused():
    with pytest.raises(TrajectoryError, match=r"several kinds by their folders, such as a/T1/x\.gsd, a/T1/y/x\.gsd"):
        guess_pattern(["a/T1/x.gsd", "a/T1/y/x.gsd"])


@pytest.mark.parametrize(
    "names", [["prod_beta1.82.gsd", "temp=0p70 run 3.gsd"], ["T0.5_x y7.gsd", "T0.6_z8.gsd"]], ids=["all", "a part"]
)
def test_names_that_are_not_built_alike_are_refused(names):
    with pytest.raises(TrajectoryError, match=rf"names follow no common pattern: {names[0]}, "):
        guess_pattern(names)


@pytest.mark.parametrize(
    ("files", "others", "text"),
    [
        (["d/T0.45/a.gsd", "d/T0.5/a.gsd"], ["d/T0.5/b.gsd"], "d/T*/a.gsd"),
        (["d/T0.45.gsd", "d/T0.5.gsd"], ["d/T0.5.dump"], "d/T*.gsd"),
        (["d/a.gsd", "d/x/a.gsd"], ["d/b.dump", "d/x/b.dump"], "d/**/a.gsd"),
        (["a.gsd", "x/b.gsd"], ["b.dump"], "**/*.gsd"),
        (["d/a.gsd"], ["d/x/a.gsd"], "d/a.gsd"),
        (["d/[1]/a.gsd"], [], "d/[[]1]/a.gsd"),
        (["/d/a.gsd", "/d/x/a.gsd"], ["/d/a.dump"], "/d/**/a.gsd"),
        (["d/1", "d/3"], ["d/2"], ""),
        (["{x}/a.gsd"], ["{x}/b.gsd"], ""),
    ],
)
def test_a_name_with_wildcards_matches_files_of_one_kind_alone(files, others, text):
    assert wildcard(files, others) == text


WORDS = st.sampled_from(["T", "r", "run", "seed", "ka", "N", "beta", "traj", "prod", "wahn", "rho", "x"])
NUMBERS = st.sampled_from(["1", "2", "10", "007", "0.45", "0.5", "1.20", "0p45", "100"])
PARTS = st.lists(st.one_of(WORDS, NUMBERS, st.sampled_from(["_", "-", ".", "/", " "])), min_size=1, max_size=6)


@given(st.lists(PARTS.map("".join), min_size=1, max_size=5, unique=True))
def test_a_pattern_matches_every_name_that_it_was_guessed_from(stems):
    # hidden files are never looked at
    names = [name for stem in stems if "/." not in (name := os.path.normpath(f"d/{stem}.gsd"))]
    assume(names)
    try:
        pattern = guess_pattern(names).pattern
    except TrajectoryError:
        return
    # as for files: a field that occurs twice has one text, and a number one value
    expression = re.compile(_expression(_components(parse_pattern(pattern))[1], "")[1])
    base = _components(parse_pattern(pattern))[0]
    for name in names:
        assert name.startswith(base)
        assert expression.fullmatch(name[len(base) :])
