# Two commands set everything up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo check test test-long lint lock bench docs clean help

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netwatch needs Python 3.11 or newer; call make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: $(STAMP) ## Replay Iran 2019, run a live drill, leave posts and charts in demo/
	$(BIN)/netwatch replay iran-2019-11 --out demo/iran-2019-11 --at 2019-11-17T05:30Z
	$(BIN)/netwatch outages --data demo/iran-2019-11
	$(BIN)/netwatch timeline IR --data demo/iran-2019-11 --since 2019-11-15 --step 3h --by region
	$(BIN)/netwatch drill --out demo/drill
	$(BIN)/netwatch timeline XT --data demo/drill --by asn
	@echo "Posts and charts: demo/iran-2019-11 and demo/drill"

lint: $(STAMP) ## Check style, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

check: lint ## Lint, types and quick unit tests, in under 90 seconds
	$(BIN)/pytest -n auto -m 'not long and not slow' tests/unit

test: lint ## Everything that must hold; real servers and clocks run one test at a time
	$(BIN)/pytest -n auto --dist loadscope -m 'not long'

test-long: $(STAMP) ## Soak and chaos runs of hours
	$(BIN)/pytest -m long --timeout 0

bench: $(STAMP) ## Measured ratios, side by side
	$(BIN)/python -m benchmarks

COMPILE = $(VENV)/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-header \
	--no-emit-index-url pyproject.toml --output-file

lock: ## Lock the versions that make and the images install
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(COMPILE) requirements.lock --extra all --group dev
	$(COMPILE) deploy/requirements.lock --constraints requirements.lock --extra all --group build
	$(COMPILE) packaging/requirements.lock --constraints requirements.lock --group build

docs: $(STAMP) ## Write the pages on commands and configuration from the program
	$(BIN)/python tests/generate_reference.py

clean: ## Remove what make made
	rm -rf $(VENV) demo dist
