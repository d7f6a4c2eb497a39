# Every target works as the first command in a fresh clone: it makes .venv when that is
# missing, and installs again when a requirement changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
STAMP := $(VENV)/.installed
NATIVE := $(addprefix kestrel_framework/,_builtin/pattern_engine _pipeline/event_scanner)
REQUIREMENTS := requirements-dev.txt pyproject.toml \
	$(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml) \
	hatch_build.py $(wildcard $(NATIVE:=/*.[ch]))
TEST_FOLDERS := $(wildcard tests/* plugins/*/tests examples/*/tests)

# Third-party test data beside the checkout; the tests that need it are skipped without it.
ifneq ($(wildcard ../shared/data/.),)
export KESTREL_CORPUS ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test coverage slow check bench docs clean

help: ## Say what there is (this text)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv with the kernel, the plugins and the tools

$(STAMP): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Kestrel needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m compileall -q kestrel_framework plugins/*/src examples/*/src
	@touch $@

demo: $(STAMP) ## Detect an attack in a recorded capture, and show the alerts
	@$(BIN)/python examples/demo.py

test: $(STAMP) ## Run the tests (ARGS="-k name" for some, JOBS=1 one by one)
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

coverage: $(STAMP) ## Run the tests and measure what they cover; takes twice as long
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(JOBS) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@mkdir -p build && $(BIN)/coverage report > build/coverage.txt
	@echo "coverage: $$($(BIN)/coverage report --format=total) % of lines and branches; build/coverage.txt says where"

slow: $(STAMP) ## Run the exhaustive tests that `make test` leaves out
	$(BIN)/python -m pytest -m slow $(ARGS) || [ $$? -eq 5 ]  # 5: there is none

check: $(STAMP) ## Check format, style, types, imports and the rules of the repository
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@set -e; for folder in $(TEST_FOLDERS); do \
		if [ -n "$$(find $$folder -name '*.py')" ]; then \
			echo "$(BIN)/mypy $$folder"; $(BIN)/mypy $$folder; fi; done
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/repository

bench: $(STAMP) ## Measure it all; write docs/reference/benchmarks.md (ARGS=--quick: little)
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMP) ## Write the generated part of docs/reference again
	$(BIN)/python docs/generate_reference.py

clean: ## Remove .venv and everything the tools left
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf .import_linter_cache $(NATIVE:=/*.so)
	find kestrel_framework plugins examples tests benchmarks docs -name __pycache__ -type d -prune \
		-exec rm -rf {} +
