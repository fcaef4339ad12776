"""What names of files say: labels, questions, and what is refused."""

import pytest

from daskglass.errors import TrajectoryError
from daskglass.trajectories.guess import guess_pattern
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
        (["A1_T0.5.gsd", "A2_T0.5.gsd", "B1_T0.5.gsd"], "{system}{replica}_T{temperature}.gsd"),
        (["T4.5e-1.gsd", "T5e-1.gsd"], "T{temperature}.gsd"),
        (["T0.45/config3.gsd", "T0.45/config4.gsd"], "T{temperature}/config{replica}.gsd"),
        (["r0.5_T0.45.gsd", "r0.5_T0.5.gsd"], "r0.5_T{temperature}.gsd"),
        (["rho1.2/T0.45.gsd", "rho1.4/T0.45.gsd"], "rho{system}/T{temperature}.gsd"),
    ],
)  # fmt: skip
def test_labels_are_recognised_in_names(names, pattern):
    guess = guess_pattern(names)
    assert (guess.pattern, guess.unknown) == (pattern, ())


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
        (["d/1", "d/3"], ["d/2"], ""),
    ],
)
def test_a_name_with_wildcards_matches_files_of_one_kind_alone(files, others, text):
    assert wildcard(files, others) == text
