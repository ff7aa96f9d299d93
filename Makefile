# Daily commands. `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PACKAGES := music_platform spark simulator dashboard packages/snowflake_local/snowflake_local

OLD_PYTHON = Python 3.11 or newer is needed. Install it (apt-get install python3.11 python3.11-venv, or brew install \
python@3.11) and run: make PYTHON=python3.11
OLD_JAVA = Java 17 or newer is needed. Install it (apt-get install openjdk-17-jdk-headless, or brew install openjdk@17) \
and put it on the PATH or set JAVA_HOME

.DEFAULT_GOAL := help
.PHONY: help venv lock audit java up down demo test test-long chaos soak dbt-build lint format contract docs bench clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## Build .venv from the pyproject.toml files and constraints.txt; nothing to do when none changed

# uv, once inside the venv, does the rest several times as fast as pip. Compiled bytecode halves every later start, also
# where PYTHONDONTWRITEBYTECODE keeps Python from writing it.
$(INSTALLED): pyproject.toml packages/snowflake_local/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "$(OLD_PYTHON)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || { sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .venv/uv.txt && \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt; }
	@$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -b constraints.txt --compile-bytecode \
		-e packages/snowflake_local -e '.[dev]'
	@touch $@

java:
	@major=$$("$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1); \
	test "$${major:-0}" -ge 17 || { echo "$(OLD_JAVA) (found: $${major:-none})." >&2; exit 1; }

# The checkout's own modules, which no installation compiles; a moment when nothing changed.
.PHONY: ready
ready: java $(INSTALLED)
	@$(BIN)/python -m compileall -q $(PACKAGES)

up: ready ## Start the platform with Dagster's UI; Ctrl-C stops it
	@$(BIN)/music-platform up

down: $(INSTALLED) ## Stop what `up` left running
	@$(BIN)/music-platform down

demo: ready ## The whole way, from simulated events to the marts' answers
	@$(BIN)/music-platform demo

# Two files of tests at a time: kills and soaks mostly wait. Each worker has a stack of its own.
WORKERS ?= 2
test: ready ## Fast and integration tests
	@$(BIN)/pytest -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: ready ## Tests that take minutes
	@$(BIN)/pytest -m long

SEED ?= 1
KILLS ?= 100
chaos: ready ## Kill at random moments: make chaos SEED=7 KILLS=200
	@SEED=$(SEED) KILLS=$(KILLS) $(BIN)/pytest tests/chaos -m long -s

# In a home of its own, which is deleted first and stopped at the end. Never off this machine, whatever a setting says.
dbt-build: ready ## Every model and every dbt test on an empty local warehouse
	@rm -rf .local/dbt-build
	@export MUSIC_HOME=.local/dbt-build MUSIC_ENV_FILE= SNOWFLAKE_ACCOUNT= MUSIC_LOCAL_ONLY=1; \
	$(BIN)/music-platform up --detach --only warehouse || exit $$?; \
	status=0; { eval "$$($(BIN)/music-platform env)" && cd dbt_project && dbt build --warn-error; } || status=$$?; \
	cd $(CURDIR) && $(BIN)/music-platform down; exit $$status

RATE ?= 2000
MINUTES ?= 60
soak: ready ## Leave it alone under load, services dying: make soak RATE=2000 MINUTES=60
	@RATE=$(RATE) MINUTES=$(MINUTES) $(BIN)/pytest tests/soak/test_soak.py::test_soak -s

lint: $(INSTALLED) ## Style, types, and the plan of the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(INSTALLED) ## Put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(INSTALLED) ## Resolve the pyproject.toml files into constraints.txt: each package's version and checksums
	@$(BIN)/uv pip compile --quiet pyproject.toml packages/snowflake_local/pyproject.toml --all-extras \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--no-emit-package snowflake-local --no-emit-package music-platform --output-file constraints.txt

# Without a network nothing can be looked up: the target says so, and does not fail.
audit: $(INSTALLED) ## Look for known vulnerabilities in the locked packages
	@said=$$($(BIN)/pip-audit --requirement constraints.txt --require-hashes --disable-pip --progress-spinner off 2>&1); \
	code=$$?; echo "$$said"; \
	case "$$said" in *ConnectionError*|*"ould not connect"*) echo "No network: nothing was audited."; code=0;; esac; \
	exit $$code

contract: $(INSTALLED) ## Write what follows from the contract and the account's setup; refuses an edit that breaks it
	@$(BIN)/python -m music_platform.cli.contract
	@$(BIN)/python -m music_dashboard.rules docs/reference/marts.md

# Strict: a dead link or anchor fails, and --quiet would hide them from the strictness. The variable silences an
# advertisement of the successor of the theme.
docs: $(INSTALLED) ## Build the documentation as a site in site/; a dead link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "The site: site/index.html. dbt's own documentation: docs/guide/first-hour.md says how to generate it."

bench: ready ## Compare with what people would use instead, in one table
	@$(BIN)/python -m benchmarks

clean: ## Stop the stack, remove the venv and all caches; the data in .local stays
	@test ! -x $(BIN)/music-platform || $(BIN)/music-platform down
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build site *.egg-info packages/*/build packages/*/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
