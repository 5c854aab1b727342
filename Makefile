# One command for each thing that one does with a checkout; `make` lists them. Each creates what it
# needs: the environment in .venv comes from requirements.lock, by hash, and is renewed when that
# file changes. PYTHON names the interpreter it is made with (3.11 or newer).

PYTHON ?= python3
PORT ?= 8080
JOBS ?= auto

BIN := .venv/bin
READY := .venv/ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# What is demanded of the tests: every branch of the rules (`make test`), nearly every other one
# (`make nightly`). Being measured doubles the work of a test, so `make test` measures those folders
# that run the rules and, of all code, the rules alone.
RULES_COVERAGE := 100
TREE_COVERAGE := 95
MEASURED := domain usecases conformance config bootstrap cli entrypoints adapters/columns adapters/reels
RULES := --cov=ocs.domain --cov=ocs.usecases --cov-report=
PYTEST = $(BIN)/python -m pytest --quiet -n $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run demo check test nightly bench fmt lock docker clean lint
MAKEFLAGS += --no-print-directory

# Tests start hundreds of Pythons. What is compiled once is kept, also where the environment says not
# to: compiling `ocs` takes as long as a second of work.
export PYTHONDONTWRITEBYTECODE =

help:  ## List the commands
	@echo "usage: make <command>"; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(READY)  ## Serve the sample configuration on 127.0.0.1:8080, data in ./var (PORT=n for another port)
	@exec $(BIN)/ocs serve --config config/ocs.toml --dir var --port $(PORT)

demo: $(READY)  ## Replay a recorded event stream into a fresh server, report, verify the ledger
	@exec $(BIN)/ocs demo

# Fast tests wait for servers now and then: with three at a time on two processors they take 56 s
# instead of 63.
check: JOBS = $(shell nproc | awk '{ print int($$1 * 1.5 + 0.5) }')
check: lint  ## Lint, types, contracts and the fast tests: about a minute
	@$(PYTEST) -m "not slow and not nightly" --hypothesis-profile=check

test: lint  ## All of `check` and the slow tests, with coverage: about ten minutes; what CI runs
	@rm -f .coverage .coverage.*
	@$(PYTEST) -m "not nightly" $(addprefix --ignore=tests/,$(MEASURED))
	@$(PYTEST) -m "not nightly" $(addprefix tests/,$(MEASURED)) $(RULES)
	@$(BIN)/coverage report --fail-under=$(RULES_COVERAGE)

nightly: lint  ## Every test there is, properties with fresh random cases, coverage of all code
	@rm -f .coverage .coverage.*
	@$(PYTEST) -m apart --hypothesis-profile=nightly
	@$(PYTEST) -m "not apart" --hypothesis-profile=nightly --cov --cov-report=
	@$(BIN)/coverage report --fail-under=$(TREE_COVERAGE)

bench: $(READY)  ## Run all benchmarks with their canonical parameters
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

fmt: $(READY)  ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: $(READY)  ## Resolve the newest versions into requirements.lock
	@$(PIP) install uv==0.13.8
	@$(BIN)/python deploy/tools/lock.py

docker:  ## Build the container image `ocs`
	@engine=$$(command -v docker || command -v podman) || \
		{ echo "make docker needs docker or podman."; exit 1; }; \
	"$$engine" build --tag ocs .

clean:  ## Remove the environment and all caches; ./var, the data, stays
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
		.hypothesis .coverage .coverage.* htmlcov
	@find ocs tests benchmarks deploy -name __pycache__ -prune -exec rm -rf {} +

lint: $(READY)
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --check --quiet || { echo "Not formatted; \`make fmt\` does it."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > .venv/contracts.log || { cat .venv/contracts.log; exit 1; }

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ocs needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || { echo "Creating .venv ..."; $(PYTHON) -m venv .venv; }
	@echo "Installing what requirements.lock names ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
