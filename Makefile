# Two commands set everything up: `make demo` and `make test`. Needs Python >= 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check format clean

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready

help:
	@echo "make demo    draw raindrops on photographs, train, score and report: about 3 minutes"
	@echo "make test    run the tests"
	@echo "make fuzz    break files at random and read them, for 10 minutes: make fuzz SECONDS=60 SEED=7"
	@echo "make check   format, lint, types, architecture; the page's modules where node and tsc are installed"
	@echo "make format  format in place"
	@echo "make clean   remove what the others made"

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; install it, or say where: make demo PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "This Python cannot make environments; on Debian and Ubuntu: apt install python3-venv"; rm -rf .venv; exit 1; }
	@echo "Installing into .venv (once; PyTorch is large) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv -c constraints.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	@rm -rf maskwright-demo
	@$(BIN)/maskwright demo

test: $(READY)
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

SECONDS ?= 600
SEED ?= 0
fuzz: $(READY)
	@$(BIN)/python tests/fuzzing.py --seconds $(SECONDS) --seed $(SEED)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_architecture.py
	@if command -v tsc >/dev/null; then tsc -p tsconfig.json; else echo "tsc is not installed: the page's types are not checked"; fi
	@if command -v node >/dev/null; then node --test tests/js/ >/dev/null || node --test tests/js/; \
	else echo "node is not installed: the page's modules are not tested"; fi

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis runs build dist
