# Two commands for a fresh machine: `make demo` and `make test`. Both make their own .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check docs wheel clean

demo: $(VENV)/.installed   ## simulate a cohort, cross-validate, train, predict, report
	$(BIN)/survfuse demo -o demo
	@echo "open demo/crossval/report.html and demo/why/pages/index.html"
	@echo "slides in the browser: $(BIN)/survfuse view demo/bundle demo/cohort/new/cohort.yaml"

test: $(VENV)/.installed-test   ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered -q

check: $(VENV)/.installed-test   ## lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-test   ## the documentation into build/docs; a warning is an error
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs build/docs
	@echo "open build/docs/index.html"

wheel: $(VENV)/.installed-test   ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("survfuse needs Python 3.11 to 3.13" if not (3, 11) <= sys.version_info[:2] < (3, 14) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[view]'
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[test]'
	touch $@ $(VENV)/.installed

clean:   ## remove what the targets made
	rm -rf $(VENV) demo dist build .pytest_cache .mypy_cache .ruff_cache
