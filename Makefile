# `make demo` shows a whole run on this machine; `make test` runs all that CI runs. Both set up what they need.

SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV   := .venv
LINT   := .venv-lint
MOTO   := .venv-moto
STATE  := .trainspot
# MovieLens-100K (GroupLens, research use, not ours to pass on) comes inside this wheel, at run time.
WHEEL_NAME := recbole
WHEEL_VERSION := 1.2.1
WHEEL_SHA256 := $(shell cat tools/movielens-wheel.sha256 2>/dev/null)
WHEEL  := $(STATE)/download/$(WHEEL_NAME)-$(WHEEL_VERSION)-py3-none-any.whl
DATA   := $(STATE)/data/movielens-100k

export KERAS_BACKEND := jax
export PYTHONPATH := trainer

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: binaries $(VENV)/.ready $(DATA)/.ready ## One retraining run on this machine, a Spot reclaim in the middle, and three more stories
	target/debug/trainspot local demo --data $(DATA)

.PHONY: test
test: fmt-check lint test-rust test-python docs ## All that CI runs

.PHONY: venv
venv: $(VENV)/.ready ## The trainer's Python environment

.PHONY: binaries
binaries:
	cargo build --locked -p trainspot-cli -p trainspot-agent -p submit-training -p fan-out -p handle-failure -p supervise-runs

.PHONY: test-rust
test-rust: binaries $(VENV)/.ready $(MOTO)/.ready
	TRAINSPOT_WHOLE_RUNS=1 cargo test --locked --workspace --no-fail-fast

WEEKS ?= 10000
FIRST_SEED ?= 0

.PHONY: soak
soak: ## Ten thousand bad weeks, or WEEKS= of them from FIRST_SEED= on; `SEED=n make soak` tells one
	TRAINSPOT_WEEKS=$(WEEKS) TRAINSPOT_FIRST_SEED=$(FIRST_SEED) cargo test --locked -p trainspot-stories --test weeks bad_weeks_hold -- --nocapture

.PHONY: test-python
test-python: $(VENV)/.ready
	cd trainer && ../$(VENV)/bin/python -m pytest -q

.PHONY: fmt
fmt: $(VENV)/.ready ## Format everything
	cargo fmt --all
	$(VENV)/bin/ruff format trainer tools

.PHONY: fmt-check
fmt-check: $(VENV)/.ready
	cargo fmt --all --check
	$(VENV)/bin/ruff format --check trainer tools

.PHONY: lint
lint: $(VENV)/.ready $(LINT)/.ready ## Lints of Rust, Python and the template
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(VENV)/bin/ruff check trainer tools
	$(LINT)/bin/cfn-lint template.yaml

.PHONY: docs
docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: licences
licences: ## Licences, bans and sources of every crate (needs cargo-deny)
	cargo deny check bans licenses sources

.PHONY: bench
bench: $(VENV)/.ready ## Cold starts of the release functions: figures, never a pass or a fail
	cargo build --locked --release -p submit-training -p fan-out -p handle-failure -p supervise-runs
	$(VENV)/bin/python tools/bench.py --binaries target/release

.PHONY: clean
clean: ## Remove what was built, fetched and run here
	rm -rf target $(VENV) $(LINT) $(MOTO) $(STATE)

$(VENV)/.ready: trainer/requirements.lock trainer/requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r trainer/requirements.lock -r trainer/requirements-dev.lock
	touch $@

$(LINT)/.ready: tools/requirements-lint.lock
	$(PYTHON) -m venv $(LINT)
	$(LINT)/bin/pip install --quiet --require-hashes -r tools/requirements-lint.lock
	touch $@

$(MOTO)/.ready: tools/requirements-moto.lock
	$(PYTHON) -m venv $(MOTO)
	$(MOTO)/bin/pip install --quiet --require-hashes -r tools/requirements-moto.lock
	touch $@

$(WHEEL): | $(VENV)/.ready
	mkdir -p $(@D)
	echo "$(WHEEL_NAME)==$(WHEEL_VERSION) --hash=sha256:$(WHEEL_SHA256)" > $(@D)/requirements.txt
	$(VENV)/bin/pip download --quiet --no-deps --require-hashes -d $(@D) -r $(@D)/requirements.txt

$(DATA)/.ready: $(WHEEL) $(VENV)/.ready
	$(VENV)/bin/python -m trainer import movielens-100k $(WHEEL) --to $(DATA)
	touch $@
