# make demo   a rehearsal on loopback: no tenant, no credentials, nothing left behind
# make test   the whole suite
# make check  what CI runs before the tests
# make test-system  the Debian package on a machine of its own with a real systemd; as root, with systemd-nspawn
# make deb    the Debian package, in dist
# make torture  hundreds of kills at every boundary of a write; takes some minutes
# make soak   20,000 passes in one process, and what it holds meanwhile; takes some quarters of an hour
# make bench  how fast it is, as ratios of things measured side by side; writes benchmarks.json
# make bench-check  small versions of the same, with bounds that only a real regression passes; CI runs it
# make reference  writes the manual page, and the pages of docs/reference that follow from the program and its tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-system deb torture soak bench bench-check check format reference clean

demo: .venv/installed
	@$(BIN)/erpsyncd demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term $(ARGS)

test-system: .venv/installed-dev
	$(BIN)/python -m pytest -n 0 -m system $(ARGS) tests/system

deb:
	packaging/deb/make-package

torture: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m torture $(ARGS)

soak: .venv/installed-dev
	$(BIN)/python -m pytest -n 0 -s -m soak $(ARGS)

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: .venv/installed-dev
	$(BIN)/python -m pytest -n 0 -m ratio $(ARGS) tests/ratios

check: .venv/installed-dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: .venv/installed-dev
	$(BIN)/python tests/fault_reference.py
	$(BIN)/python tests/command_pages.py
	$(BIN)/python tests/setting_pages.py
	$(BIN)/python tests/json_pages.py
	$(BIN)/python tests/event_pages.py
	$(BIN)/python tests/table_pages.py
	$(BIN)/python tests/tutorial_page.py

clean:
	rm -rf .venv build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Each stamp stands for what was installed; editing either file installs again.
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing erpsyncd into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing erpsyncd and its development tools into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "erpsyncd needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv
