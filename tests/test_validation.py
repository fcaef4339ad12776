"""A study of minutes agrees with the reference of docs/validation: run by `make validate`, not with the other tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.studies import command

ROOT = Path(__file__).parents[1]
STUDY, REFERENCE = ROOT / "pipelines/validate.yaml", ROOT / "docs/validation"
# they need neither the other temperatures of the reference nor its softness
COMPARED = {"potential_energy", "pressure", "s2", "s2_thermal", "relaxation_time", "diffusivity"}


@pytest.mark.validate
def test_a_study_of_minutes_agrees_with_the_reference(tmp_path: Path) -> None:
    assert (REFERENCE / "ka_0.0.nc").is_file(), (
        f"{REFERENCE} has no tables of ka_0.0: write them with `daskglass tables validation.zarr docs/validation`"
    )
    done = command("run", STUDY, folder=tmp_path, timeout=7200)
    assert done.returncode == 0, done.stdout + done.stderr

    compared = command("compare", "validate.zarr", REFERENCE, "--out", "differences.csv", folder=tmp_path)

    print(compared.stdout)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    found = pd.read_csv(tmp_path / "differences.csv").dropna(subset="value")
    numbers = found[found["system"] == "ka_0.0"].groupby("quantity").size()
    assert {name: numbers.get(name) for name in COMPARED} == dict.fromkeys(COMPARED, 7)
