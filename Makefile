# Everything a newcomer types. Each target does its own set-up in .venv; only Python >= 3.11 with venv, make and the
# package index are needed.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
STATE ?= state

# The tests and the demo start many processes: without bytecode kept on disk each of them compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench fuzz adapter clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/'

demo: .venv/run ## run the scenario with real servers on loopback; the console stays open until Ctrl-C
	@$(BIN)/hub demo

up: .venv/run ## run the hub alone, on SQLite in ./state
	@HUB_STATE_DIR=$(STATE) $(BIN)/hub serve

# a file's tests run in one process, so that what a module starts is started once; many small files end the run, in balance
test: .venv/dev ## run every test, on SQLite and on a real PostgreSQL
	@$(BIN)/pytest -n $${HUB_TEST_WORKERS:-2} --dist loadfile --no-loadscope-reorder

check: .venv/dev ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/dev ## figures as ratios to a floor measured in the same run
	@$(BIN)/python -m tests.bench

fuzz: .venv/fuzz ## every parser, FUZZ_SECONDS in all (default 120)
	@$(BIN)/python -m tests.fuzz --seconds $${FUZZ_SECONDS:-120}

adapter: .venv/run ## make adapter name=x: a new adapter folder from the template
	@test -n "$(name)" || { echo "usage: make adapter name=my_registry"; exit 2; }
	@$(BIN)/python -m adapters.scaffold $(name)

clean: ## remove the venv, caches and local state
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache state

# --- set-up: uv from the package index, then exactly what uv.lock says -----------------------------------------------

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@echo "setting up .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/run: $(BIN)/uv uv.lock pyproject.toml
	@$(BIN)/uv sync --quiet --frozen --no-dev --inexact
	@touch $@

.venv/dev: $(BIN)/uv uv.lock pyproject.toml
	@$(BIN)/uv sync --quiet --frozen --inexact
	@touch $@ .venv/run

.venv/fuzz: $(BIN)/uv uv.lock pyproject.toml
	@$(BIN)/uv sync --quiet --frozen --inexact --group fuzz
	@touch $@
