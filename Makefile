# Needs python3 (3.11 or newer), pip and make; everything else is installed into .venv.
#
#   make demo         compare losses on the two data sets in examples/data, reports in reports/
#   make test         lint, types and the whole test suite
#   make test-oldest  the tests of boosting beside the oldest engines that it supports
#   make docs         derived definitions, docs/losses, dictionary.md, own_loss.md, beyond_losses.md, lists of losses
#   make accuracy     the accuracy table of docs/accuracy.md
#   make bench        the speed tables of docs/benchmarks.md
#
# Another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo demo-engel demo-flares test test-oldest lint docs accuracy bench clean
# A recipe that fails leaves no stamp behind.
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# Stamps: an empty file in .venv says that a step is done, and is older than the files which would make it stale.
# Dependency groups need pip 25.1, newer than what most Pythons bring. Debian's Python has no ensurepip, so there the
# system's pip puts the first pip into the environment.
$(VENV)/.stamp-pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lossfn needs Python 3.11 or newer; choose one with: make PYTHON=python3.12" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
		else $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; fi
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.stamp-cli: pyproject.toml $(VENV)/.stamp-pip
	@echo "Installing lossfn and its command line into $(VENV) ..."
	@$(PIP) install --editable '.[cli]'
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt $(VENV)/.stamp-pip
	@echo "Installing lossfn and its development requirements into $(VENV) ..."
	@$(PIP) install --editable . --group dev --constraint constraints.txt
	@touch $@ $(VENV)/.stamp-cli

# Both comparisons at once, each printed when it is done; one after the other where make cannot keep them apart.
AT_ONCE := $(if $(filter output-sync,$(.FEATURES)),--jobs=2 --output-sync=target)

demo: $(VENV)/.stamp-cli
	@mkdir -p reports
	@echo "Comparing losses on two data sets, which takes about half a minute ..."
	@$(MAKE) --no-print-directory $(AT_ONCE) demo-engel demo-flares
	@echo "The reports, to be opened in a browser:"
	@for report in engel solar_flares; do echo "  $(CURDIR)/reports/$$report.html"; done

demo-engel:
	@echo "What did a Belgian household of 1857 spend on food, given its income?"
	@$(BIN)/lossfn compare examples/data/engel.csv --target foodexp --out reports/engel.html

demo-flares:
	@echo "Will this region of the Sun flare within a day?"
	@$(BIN)/lossfn compare examples/data/solar_flares.csv --target flare --out reports/solar_flares.html

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In the order of files: the long simulations are not left to the end, where one worker would wait for the other.
test: lint
	$(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder

# Where Python looks before it looks into the environment, in which the newest engines stay.
OLDEST := $(VENV)/oldest

$(OLDEST)/.stamp: oldest-engines.txt $(VENV)/.stamp-dev
	@echo "Installing the oldest engines into $(OLDEST) ..."
	@rm -rf $(OLDEST)
	@$(PIP) install --no-deps --target $(OLDEST) --requirement oldest-engines.txt
	@touch $@

test-oldest: $(OLDEST)/.stamp
	PYTHONPATH=$(CURDIR)/$(OLDEST) $(BIN)/pytest -n 2 --dist loadgroup tests/test_*boost*.py tests/test_lightgbm.py

docs: $(VENV)/.stamp-dev
	$(BIN)/python -m lossfn.reference.definitions src/lossfn/engine/definitions.jsonl
	$(BIN)/python -m lossfn.reference.listing .
	$(BIN)/python -m lossfn.reference.pages docs

accuracy: $(VENV)/.stamp-dev
	$(BIN)/python -m benchmarks.accuracy

bench: $(VENV)/.stamp-dev
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.rows
	$(BIN)/python -m benchmarks.autograd
	$(BIN)/python -m benchmarks.linear
	$(BIN)/python -m benchmarks.boosting
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.calibration

clean:
	rm -rf $(VENV) reports
