# make demo    core install (no torch), predictions on the sample frames or on SOURCE=path
# make test    development install, headless rendering where possible, the fast tests
# make check   format, lint, types, tests
# make lock    write requirements.lock anew from a clean environment

PYTHON ?= python3
SOURCE ?= samples
DEMO_VENV := .venv-demo
DEV_VENV := .venv-dev
PIP_FLAGS := --quiet --disable-pip-version-check --constraint requirements.lock

.PHONY: demo test slow check lint format types lock clean

demo: $(DEMO_VENV)/.installed
	$(DEMO_VENV)/bin/graspnext predict $(SOURCE) --out out/demo

test: $(DEV_VENV)/.installed
	$(DEV_VENV)/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

slow: $(DEV_VENV)/.installed
	$(DEV_VENV)/bin/python -m pytest -m slow

check: lint types test

lint: $(DEV_VENV)/.installed
	$(DEV_VENV)/bin/ruff check src tests
	$(DEV_VENV)/bin/ruff format --check src tests

types: $(DEV_VENV)/.installed
	$(DEV_VENV)/bin/mypy

format: $(DEV_VENV)/.installed
	$(DEV_VENV)/bin/ruff format src tests
	$(DEV_VENV)/bin/ruff check --fix src tests

$(DEMO_VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/pip install $(PIP_FLAGS) setuptools
	$(DEMO_VENV)/bin/pip install $(PIP_FLAGS) --no-build-isolation --editable .
	touch $@

$(DEV_VENV)/.installed: pyproject.toml requirements.lock scripts/system-packages
	scripts/system-packages
	$(PYTHON) -m venv $(DEV_VENV)
	$(DEV_VENV)/bin/pip install $(PIP_FLAGS) setuptools
	$(DEV_VENV)/bin/pip install $(PIP_FLAGS) --no-build-isolation --editable '.[dev]'
	touch $@

lock:
	scripts/lock $(PYTHON)

clean:
	rm -rf $(DEMO_VENV) $(DEV_VENV) out build dist
