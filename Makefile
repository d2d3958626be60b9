# Every target first installs what it needs into a virtual environment in this folder, and changes nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_VENV := .venv-demo
DEMO_STAMP := $(DEMO_VENV)/.installed
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "syncer needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name another with make PYTHON=...")'
SUPERSET_PYTHON ?= $(PYTHON)
SUPERSET_VENV := .venv-superset
SUPERSET_STAMP := $(SUPERSET_VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
RELEASE_VENV := .venv-release
RELEASE_STAMP := $(RELEASE_VENV)/.installed
MUTANTS_VENV := .venv-mutants
MUTANTS_STAMP := $(MUTANTS_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check format coverage bench matrix model mutants docs dictionary bundle superset release lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: $(STAMP)  ## install the project and its tools in .venv

$(STAMP): requirements/dev.txt pyproject.toml
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(DEMO_STAMP)  ## run the whole service on this machine; needs no configuration
	@exec $(DEMO_VENV)/bin/syncer demo

# Without the tools of the developers, which are four times as large.
$(DEMO_STAMP): requirements/run.txt requirements/build.txt pyproject.toml
	@echo 'Installing syncer and PostgreSQL into $(DEMO_VENV): 170 MB, less than a minute ...'
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.txt
	@$(DEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/build.txt
	@$(DEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: install  ## run the tests, four files at a time
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

check: install  ## check format, lint, types, which package imports which, and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/python -m tests.spelling

format: install  ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A report, not a gate: tests that fail here, for instance because they measure time, do not stop it.
coverage: install  ## run the tests and print line and branch coverage and the least covered functions
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --quiet
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o - | $(BIN)/python -m tests.coverage_report

bench: install $(BENCH_STAMP)  ## measure polls and compare them with other tools: docs/benchmarks.md; SIZES='1000 10000' only prints
	$(BIN)/python -m benchmarks.polls --dlt-python $(BENCH_VENV)/bin/python $(if $(SIZES),--sizes $(SIZES),--publish)

$(BENCH_STAMP): benchmarks/polls/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

matrix: install  ## run the tests on each PostgreSQL with the oldest Python, and on each Python with the newest PostgreSQL; POSTGRES='15 16' PYTHONS='3.12' runs these, ALL=1 each with each
	$(BIN)/python -m tests.matrix $(if $(POSTGRES),--postgres $(POSTGRES)) $(if $(PYTHONS),--pythons $(PYTHONS)) $(if $(ALL),--all)

model: install  ## compare a million polls with the model; POLLS=1000 SEED=7 PROCESSES=4 RESUME=1 change that, REPLAY=number runs the plan of this number
	$(BIN)/python -m tests.model $(if $(REPLAY),--replay $(REPLAY),--polls $(or $(POLLS),1000000) $(if $(SEED),--seed $(SEED)) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(RESUME),--resume))

# mutmut changes the Python, tests.mutation the SQL. The table counts mutants by module and result.
mutants: $(MUTANTS_STAMP)  ## change one thing at a time in the program, and list the changes that no test notices
	$(MUTANTS_VENV)/bin/mutmut run
	$(MUTANTS_VENV)/bin/mutmut results
	$(MUTANTS_VENV)/bin/mutmut results --all true | sed -nE 's/^ *(syncer[a-z_.]*)\.x.*: (.*)/\1 \2/p' | sort | uniq -c
	$(MUTANTS_VENV)/bin/python -m tests.mutation

$(MUTANTS_STAMP): requirements/dev.txt tests/mutation/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/mutation/requirements.txt
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

docs: install  ## run the queries in docs/analytics*.md and update the results below them
	$(BIN)/python -m docs.answers

dictionary: install  ## write docs/dictionary.md and dictionary.ru.md from the comments and foreign keys of the newest schema
	$(BIN)/python -m docs.dictionary

bundle: install  ## write the dashboards for Superset in both languages to build/superset; SCHEMA=analytics_clerk for a login that sees some accounts only; FROM=export.zip takes over an edited one
	$(BIN)/python deploy/superset/bundle.py $(if $(FROM),--take '$(FROM)',build/superset $(SCHEMA))

superset: install $(SUPERSET_STAMP)  ## run Superset with the dashboards and half a year of demo data; SCREENSHOTS=folder compares every chart with the history, saves pictures and exits
	@exec $(BIN)/python -m deploy.superset $(if $(SCREENSHOTS),--screenshots '$(SCREENSHOTS)')

$(SUPERSET_STAMP): deploy/superset/requirements.txt
	@$(SUPERSET_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "Superset needs Python 3.11 or 3.12, this is " + sys.version.split()[0] + ": name another with make SUPERSET_PYTHON=...")'
	$(SUPERSET_PYTHON) -m venv $(SUPERSET_VENV)
	$(SUPERSET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

release: install $(RELEASE_STAMP)  ## build what is published, twice, with a bill of materials, and check it; REHEARSE=1 builds what may not be published
	$(BIN)/python -m deploy.release --cyclonedx $(RELEASE_VENV)/bin/cyclonedx-py $(if $(REHEARSE),--rehearse)

$(RELEASE_STAMP): deploy/release/requirements.txt
	$(PYTHON) -m venv $(RELEASE_VENV)
	$(RELEASE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

lock: install  ## resolve the newest versions of all dependencies and write the lock files, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		| $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade - --output-file requirements/build.txt
	for folder in benchmarks/polls deploy/release deploy/superset tests/mutation; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade $$folder/requirements.in --output-file $$folder/requirements.txt || exit 1; \
	done

clean:  ## remove the virtual environments and caches
	rm -rf $(VENV) $(DEMO_VENV) $(BENCH_VENV) $(MUTANTS_VENV) $(SUPERSET_VENV) $(RELEASE_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage mutants build dist
