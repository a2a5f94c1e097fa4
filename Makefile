# Kairos. `make demo` and `make test` need Python 3.11 or later and make, nothing else: they create .venv.
# Another interpreter: make PYTHON=/path/to/python3 test

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check bench proof format clean setup

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := sim ledger offline train serve sign onnx sweep ray track dev
# The stamp carries the extras in its name, so asking for others installs them.
STAMP := $(VENV)/.installed-$(subst $() ,-,$(strip $(EXTRAS)))

DEMO := $(BIN)/kairos run demo
ASK := $(BIN)/python -m experiments.asking results/demo
# A process a core, as far as four; to watch one test alone: make test PYTEST_FLAGS="-k NAME".
PYTEST_FLAGS ?= -q -n auto --maxprocesses 4
PROOF_FLAGS ?=
BENCH_FLAGS ?=

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## learn on a shop's users, judge, export and certify, report; then ask the service once
	@$(DEMO) && $(ASK)

test: $(STAMP) ## run the tests
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: $(STAMP) ## lint, formatting, types and architecture
	@status=0; \
	for step in "ruff check" "ruff format --check" "mypy" "python -m pytest -q tests/architecture"; do \
	  echo "check: $$step"; $(BIN)/$$step || status=1; \
	done; \
	exit $$status

bench: $(STAMP) ## run the benchmarks (BENCH_FLAGS="--quick --only NAME --json")
	@$(BIN)/python -m tests.benchmarks $(BENCH_FLAGS)

proof: $(STAMP) ## run the long tests that `make test` leaves out, one at a time
	@$(BIN)/python -m pytest -q -m proof $(PROOF_FLAGS)

format: $(STAMP) ## sort imports, mend what can be mended, format
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

clean: ## remove .venv and every cache; results stay
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(STAMP) ## create .venv and install into it, without running anything

# A stamp newer than both files means that nothing needs installing. It is written last, so that an interrupted
# set-up is taken up again. -qq leaves errors only: pip's own progress is replaced by one line a step.
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-input -c constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	  python=; \
	  for candidate in $${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 python}; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      python=$$candidate; break; \
	    fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Kairos needs Python 3.11 or later; $${PYTHON:-python3} is $$("$${PYTHON:-python3}" --version 2>&1 || true)." >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.11 test" >&2; \
	    exit 1; \
	  fi; \
	  echo "set-up: creating $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "That Python cannot create environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo "set-up: installing the build back end"
	@$(PIP) hatchling
	@for extra in $(EXTRAS); do \
	  echo "set-up: installing Kairos with the libraries of its extra '$$extra'"; \
	  $(PIP) --no-build-isolation -e ".[$$extra]"; \
	done
	@echo "set-up: installing the Open Bandit Pipeline, which tests of the ledger run with"
	@$(PIP) --no-deps --ignore-requires-python obp==0.5.7
	@touch $@
