# `make demo` and `make test` need Python 3.11 or newer with venv, and make; everything else they install into .venv.
# `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The interpreter that .venv is made with: make PYTHON=/path/to/python demo
PYTHON ?= $(shell for python in python3.11 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; \
	done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo reproduce test test-slow test-slurm test-gpu lint

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
	printf '  make %-10s %s\n' "$$target" "$$text"; done

install: $(STAMP) ## make .venv with the locked dependencies and the suite itself; nothing to do if they have not changed

demo: $(STAMP) ## train SmolLM2-135M to make a tomato salad on the CPU, under ten minutes on two cores
	$(BIN)/python src/run.py experiment=demo

# The pipeline's commands are `python ...`: the one of .venv has to come first.
reproduce: $(STAMP) ## every experiment, figure and table at the size of the profile smoke, in minutes: results/smoke
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

# Two processes, a file to one of them: most of a test's time is spent beginning Python and loading a model, on one core.
test: $(STAMP) ## the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP) ## the tests that train for minutes
	$(BIN)/python -m pytest -m slow

test-slurm: $(STAMP) ## sweeps on a real SLURM, which root installs (Debian) and starts for some minutes
	tests/slurm/install
	$(BIN)/python -m pytest -m slow tests/slurm

# make's own exit code is 2 where the script's is not 0. STEPS="tests demo": those only.
test-gpu: $(STAMP) ## what is to be checked and measured on a machine with a GPU; results in outputs/gpu
	PYTHON=$(BIN)/python STEPS="$(STEPS)" tests/gpu/check

lint: $(STAMP) ## ruff, mypy and the layers of the architecture
	$(BIN)/ruff check $(wildcard src tests analysis examples)
	$(BIN)/ruff format --check --quiet $(wildcard src tests analysis examples)
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

# The stamp is written last, so that an interrupted installation is taken up again.
$(STAMP): requirements.lock requirements-nodeps.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv found; \
	apt-get install python3.11-venv, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-nodeps.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
