# Every target but help, stop and clean first makes .venv as the lock files say; that is a no-op when it stands.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
CLUSTER_READY := $(VENV)/.installed-cluster
BENCH_READY := $(VENV)/.installed-bench
ROOMS := segue data_processing train inference evaluation delivery

PLAYLISTS ?=
PORT ?= 8000
ARGS ?=
JOBS ?= 2
BASE ?=

.NOTPARALLEL:
.PHONY: help setup run serve stop test lint format types layers pytest coverage check-serve audit lock images tf-providers test-tf airgap test-cluster bench gowalla clean

help: ## Explain every target
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the lock files, with everything that the other targets need

$(READY): requirements/dev.txt requirements/backbones.txt requirements/uv.txt pyproject.toml inference/_scan.c scripts/setup
	@PYTHON="$(PYTHON)" VENV="$(VENV)" scripts/setup

run: $(READY) ## From playlists to a served model: make run [PLAYLISTS="path …"] [PORT=8000]; sample playlists by default
	@$(BIN)/segue run $(if $(PLAYLISTS),--playlists $(PLAYLISTS)) --port $(PORT) $(ARGS)

serve: $(READY) ## Serve what stands in production, without training: make serve [PORT=8000]
	@$(BIN)/segue serve --port $(PORT) $(ARGS)

stop: ## Stop the service that make run or make serve started
	@if [ -x $(BIN)/segue ]; then $(BIN)/segue stop $(ARGS); else echo "Nothing runs: .venv does not exist yet."; fi

test: lint types layers pytest ## Everything that has to pass before a commit: lint, types, layers, tests

lint: $(READY) ## Check style and formatting with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY) ## Check types with mypy, strictly
	$(BIN)/mypy

layers: $(READY) ## Check with import-linter that each room imports only what it may
	$(BIN)/lint-imports

pytest: $(READY) ## Run the tests: make pytest [ARGS="tests/segue -k catalogue"] [JOBS=2]
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadscope $(ARGS)

coverage: ## Run the tests, more slowly, and say which lines none of them reaches
	$(MAKE) pytest ARGS="--cov --cov-report=term:skip-covered $(ARGS)"

check-serve: $(READY) ## Install the serve set on its own, weigh it and import the service with it
	$(BIN)/pytest -n 0 tests/ground/test_serve_set.py $(ARGS)

audit: $(READY) ## Look for known holes in what is served; asks the public list of advisories
	$(BIN)/pip-audit -r requirements/serve.txt --disable-pip --no-deps

lock: $(READY) ## Make the lock files again from requirements/*.in: make lock [ARGS=--upgrade]
	UV=$(BIN)/uv scripts/lock $(ARGS)

images: ## Build the container images with buildah: make images BASE=python-image@sha256:… (see docs/images.md)
	@BASE="$(BASE)" scripts/images $(ARGS)

tf-providers: ## Build the Terraform providers from their Go modules into build/terraform-providers
	@scripts/tf-providers

test-tf: $(READY) tf-providers ## Test tf/ with Terraform and the real providers, without any cloud
	$(BIN)/pytest -n 0 tests/tf $(ARGS)

airgap: $(READY) ## Build the bundle for clusters without internet into build/airgap; half an hour and 40 GB the first time
	@$(BIN)/python -m airgap build $(ARGS)

test-cluster: $(CLUSTER_READY) ## Bring a real Kubernetes up on this machine, train and serve on it, break it, take it down: as root
	@BIN=$(BIN) tests/cluster/run $(ARGS)

$(CLUSTER_READY): $(READY) requirements/cluster.txt
	@VENV="$(VENV)" scripts/setup requirements/cluster.txt
	@touch $@

bench: $(BENCH_READY) ## Measure our ranking beside its peers and write docs/benchmarks.md; some minutes of a quiet machine
	$(BIN)/python -m benchmarks.peers --output build/bench/peers.json $(ARGS)
	$(BIN)/python -m benchmarks.peers report build/bench/peers*.json

# A peer that cannot be installed is a sentence in the report; a run without any still measures numpy, implicit and ours.
$(BENCH_READY): $(READY) requirements/bench.txt
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/bench.txt || \
		echo "The peers of requirements/bench.txt could not all be installed (hnswlib needs a C++ compiler); the report names them." >&2
	@touch $@

gowalla: $(READY) ## Reproduce LightGCN's published figures on Gowalla; can be stopped and resumed
	$(BIN)/python -m train reproduce $(ARGS)

clean: ## Remove .venv and all that was made, but var/ (your data and models)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage*
	find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +
