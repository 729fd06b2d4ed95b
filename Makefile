# `make serve` and `make test` need Python 3.11 or later and nothing else.
PYTHON ?= python3
PORT ?= 8000
HOST ?= 127.0.0.1
DATA ?= ./objectstore-data
JOBS ?= 3
SECONDS ?= 60
KILLS ?=
LAYERS ?=
AGAIN ?=
VENV := .venv
BIN := $(VENV)/bin

# Tests start hundreds of our programs, and each would compile once more all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve test check audit coverage bench bench-quick docs fuzz torture soak mutants fmt lock clean

help:
	@echo 'make serve [PORT=8000] [DATA=./objectstore-data]   run the server'
	@echo 'make test  [JOBS=3]                                run every check and test'
	@echo 'make coverage                                      tell which branches of the engine, of wire/ and core/ are not tested'
	@echo 'make audit                                         ask whether a weakness is known of a locked package'
	@echo 'make fuzz  [SECONDS=60] [TARGETS="keys links"]     search for inputs that break a parser'
	@echo 'make torture [SECONDS=600 | KILLS=1000]           kill a server again and again, and check that nothing is lost'
	@echo 'make soak [SECONDS=3600]                          use a server with very many connections, and check every answer'
	@echo 'make mutants [LAYERS="core wire"] [AGAIN=1]      change the code, and see whether a test notices'
	@echo 'make check | fmt | docs | bench | bench-quick | lock | clean'

# Versions and hashes come from the locks; the package itself is installed in place, so that edits count. What serving
# takes is a small part of what tests do. To compile all that they bring takes half a minute, and little of it is imported.
$(VENV)/.serving: deploy/image.lock deploy/build.lock pyproject.toml
$(VENV)/.installed: requirements.lock pyproject.toml
$(VENV)/.serving $(VENV)/.installed:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or later is needed: make PYTHON=python3.12 …' >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes \
		$(patsubst %,-r %,$(filter %.lock,$^))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.serving  # the larger holds the smaller

serve: $(VENV)/.serving
	@exec $(BIN)/objectstore serve --data '$(DATA)' --host '$(HOST)' --port $(PORT)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The rules, the HTTP contract and the engine, by the tests beside them; those that kill or cut the power at every step add
# nothing here.
COVERING := tests/core tests/wire tests/backends/engine --hypothesis-profile coverage \
	--ignore tests/backends/engine/test_engine_crashes.py --ignore tests/backends/engine/test_power_loss.py \
	--ignore tests/backends/engine/test_power_repair.py --ignore tests/backends/engine/test_power_commands.py \
	--ignore tests/backends/engine/test_engine_disks.py

coverage: $(VENV)/.installed
	@rm -rf .coverage
	$(BIN)/coverage run -m pytest --quiet --numprocesses $(JOBS) --dist loadscope $(COVERING)
	@$(BIN)/coverage combine --quiet || true  # processes that were killed leave files that are none
	$(BIN)/coverage report

# One process more than CI has cores: a third of the time a test waits for a disk, a timeout or another process. Which
# tests come first is said by tests/conftest.py.
# What is covered is looked at first, so that pytest's summary of everything is the last line.
test: check
	@tests/install-system-packages
	@$(MAKE) --no-print-directory coverage
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder

# Needs a network that leads to PyPI, and says so where there is none.
audit: $(VENV)/.installed
	$(BIN)/python -m tools.audit

# What it finds is left in the current folder; kept in fuzz/corpus/TARGET it is a test from then on.
fuzz: $(VENV)/.installed
	$(BIN)/python -m fuzz --seconds $(SECONDS) $(TARGETS)

fmt: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages of docs/reference, from the docstrings.
docs: $(VENV)/.installed
	$(BIN)/python -m tools.reference

bench: $(VENV)/.installed
	@tests/install-system-packages
	$(BIN)/python -m bench

bench-quick: $(VENV)/.installed
	@tests/install-system-packages
	$(BIN)/python -m bench --quick

torture: SECONDS := 600
torture: $(VENV)/.installed
	$(BIN)/objectstore torture $(if $(KILLS),--kills $(KILLS),--seconds $(SECONDS))

soak: SECONDS := 3600
soak: $(VENV)/.installed
	$(BIN)/objectstore soak --seconds $(SECONDS)

# docs/mutants.md lists what may survive.
mutants: $(VENV)/.installed
	$(BIN)/python -m tools.mutants $(LAYERS) $(if $(AGAIN),--again)

# One resolution of everything; the image installs two parts of it.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command 'make lock'

lock: $(VENV)/.installed
	$(COMPILE) --all-extras --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra deploy --extra s3 --extra redis --extra zstd --constraint requirements.lock \
		--output-file deploy/image.lock pyproject.toml
	echo hatchling | $(COMPILE) --constraint requirements.lock --output-file deploy/build.lock -

clean:
	rm -rf $(VENV) .coverage build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutants
