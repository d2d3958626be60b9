# Every target installs what it needs into .venv first; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SUPERSET_PYTHON ?= $(PYTHON)
SUPERSET_VENV := .venv-superset
SUPERSET_STAMP := $(SUPERSET_VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
MUTANTS_VENV := .venv-mutants
MUTANTS_STAMP := $(MUTANTS_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench mutants docs dictionary bundle superset lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: $(STAMP)  ## the project and its tools, in .venv

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "syncer needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name another with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install  ## the whole thing on this machine, with nothing configured
	@exec $(BIN)/syncer demo

test: install  ## the tests, three files at once
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

check: install  ## format, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## lays the code out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install $(BENCH_STAMP)  ## how fast polls are, beside others, in docs/benchmarks.md; SIZES='1000 10000' for less, shown only
	$(BIN)/python -m benchmarks.polls --peers $(BENCH_VENV)/bin/python $(if $(SIZES),--sizes $(SIZES),--publish)

$(BENCH_STAMP): benchmarks/polls/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

mutants: $(MUTANTS_STAMP)  ## what tests would notice, in docs/mutants.md; MODULES='syncer.wire syncer.store.apply' for less
	$(MUTANTS_VENV)/bin/python -m tests.mutation $(MODULES) --publish

$(MUTANTS_STAMP): requirements/dev.txt tests/mutation/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/mutation/requirements.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

docs: install  ## runs the queries of docs/analytics*.md and writes their answers below them
	$(BIN)/python -m docs.answers

dictionary: install  ## docs/dictionary.md, from the comments and foreign keys of the newest schema
	$(BIN)/python -m docs.dictionary

bundle: install  ## deploy/superset/bundle, from what is declared beside it
	$(BIN)/python -m deploy.superset.bundle

superset: install $(SUPERSET_STAMP)  ## Superset with the dashboards and half a year; SCREENSHOTS=folder takes pictures and ends
	@exec $(BIN)/python -m deploy.superset $(if $(SCREENSHOTS),--screenshots '$(SCREENSHOTS)')

$(SUPERSET_STAMP): deploy/superset/requirements.txt
	@$(SUPERSET_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "Superset needs Python 3.11 or 3.12, this is " + sys.version.split()[0] + ": name another with make SUPERSET_PYTHON=...")'
	$(SUPERSET_PYTHON) -m venv $(SUPERSET_VENV)
	$(SUPERSET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

lock: install  ## resolves requirements/*.txt anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		| $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade - --output-file requirements/build.txt
	for folder in benchmarks/polls deploy/superset tests/mutation; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade $$folder/requirements.in --output-file $$folder/requirements.txt || exit 1; \
	done

clean:  ## removes the environments and caches
	rm -rf $(VENV) $(BENCH_VENV) $(MUTANTS_VENV) $(SUPERSET_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
