# One obvious command each. Every target sets up what it needs; nothing but Python >= 3.11, pip, git and make is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9
UV := build/uv/bin/uv

.PHONY: setup test lint types demo bench sdk-suites sdk-versions format lock clean

setup: $(READY)

$(READY): pyproject.toml requirements/dev.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target build/uv uv==$(UV_VERSION)
	$(UV) venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $(READY)

test: $(READY)
	$(BIN)/python -m pytest -q -n 4

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/basedpyright --level error

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(READY)
	$(BIN)/resilient-ai demo

bench: $(READY)
	$(BIN)/python -m bench

sdk-suites: $(READY)
	$(BIN)/python scripts/sdk_suites.py

sdk-versions: $(READY)
	$(BIN)/python scripts/sdk_versions.py

lock: $(READY)
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
		--override requirements/overrides.txt --group dev --extra all --output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist
