# Every target sets itself up from nothing: `make demo`, `make test`, `make check`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-slow check fuzz bench clean help

help:
	@echo "make demo   build digits-ad, train MT-Net (lite), score it among the reference rows, write demo/index.html"
	@echo "make test   the fast tests"
	@echo "make check  format, lint, types, layers, boards"
	@echo "make fuzz   2,000 damaged files for each reader, and the counts"
	@echo "make test-slow, make bench, make clean"

demo: $(READY)
	$(BIN)/xmbench demo --out demo

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/xmbench leaderboard --check

FUZZ ?= 2000

fuzz: $(READY)
	XMBENCH_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz -s

bench: $(READY)
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "xmbench needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..." >&2; exit 2; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "a C compiler is needed to build the package pesq: install gcc (Debian: apt install build-essential) and run make again" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)

clean:
	rm -rf .venv demo dist .mypy_cache .ruff_cache .pytest_cache
