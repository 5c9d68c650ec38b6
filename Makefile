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
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: demo
demo: binaries $(VENV)/.ready $(DATA)/.ready ## One retraining run on this machine, a Spot reclaim in the middle, and three more stories
	target/debug/trainspot local demo --data $(DATA)

.PHONY: test
test: fmt-check lint words test-rust privileges image-sizes test-python test-goodput bench-tools docs ## All that CI runs

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
	$(VENV)/bin/ruff format trainer tools tests

.PHONY: fmt-check
fmt-check: $(VENV)/.ready
	cargo fmt --all --check
	$(VENV)/bin/ruff format --check trainer tools tests

.PHONY: lint
lint: $(VENV)/.ready $(LINT)/.ready sam-validate checkov ## Lints of Rust, Python and the template
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(VENV)/bin/ruff check trainer tools tests
	$(LINT)/bin/cfn-lint template.yaml

.PHONY: docs
docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: licences
licences: ## Licences, bans and sources of every crate (needs cargo-deny)
	cargo deny check bans licenses sources

.PHONY: clean
clean: ## Remove what was built, fetched and run here
	rm -rf target .venv* $(STATE)

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

DEPLOY := .venv-deploy
CARGO_LAMBDA := .venv-cargo-lambda
SAM := .venv-sam

$(DEPLOY)/.ready: tools/requirements-deploy.lock
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/pip install --quiet --require-hashes -r tools/requirements-deploy.lock
	touch $@

RECORDED := target/recorded-calls/tour.jsonl
CALLERS := $(addprefix target/debug/,trainspot-agent submit-training fan-out handle-failure supervise-runs)
TESTS := $(DEPLOY)/bin/python -m pytest -q -p no:cacheprovider

# Judges by the calls that test-rust recorded; where template or programs are newer, they are recorded again.
.PHONY: privileges
privileges: binaries $(DEPLOY)/.ready ## Each role may do what was called in whole runs, and nothing besides
	for made in template.yaml $(CALLERS); do \
	  if [ ! $(RECORDED) -nt $$made ]; then \
	    TRAINSPOT_WHOLE_RUNS=1 cargo test --locked -p trainspot-stories --test wire_binaries a_tour; break; \
	  fi; \
	done
	$(TESTS) tests/deploy/test_evaluator.py tests/deploy/test_intrinsics.py tests/deploy/test_privileges.py

# x86_64 only: for arm64 cargo-lambda would fetch a toolchain.
.PHONY: sam-build
sam-build: $(SAM)/.ready $(CARGO_LAMBDA)/.ready $(DEPLOY)/.ready ## The functions, built by the SAM CLI as `sam deploy` takes them (about 20 CPU minutes)
	PATH="$(CURDIR)/$(CARGO_LAMBDA)/bin:$$PATH" SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam build --template template.yaml
	$(DEPLOY)/bin/python tests/deploy/built.py

.PHONY: deploy-test
deploy-test: $(DEPLOY)/.ready ## The stack in moto, somebody else's AWS: made, read back, changed, deleted
	$(TESTS) -s tests/deploy/test_deployment.py

.PHONY: rie-test
rie-test: $(SAM)/.ready $(DEPLOY)/.ready ## What `make sam-build` built, under AWS's own emulator of Lambda's runtime
	$(TESTS) tests/deploy/test_rie.py

$(CARGO_LAMBDA)/.ready: tools/requirements-cargo-lambda.lock
	$(PYTHON) -m venv $(CARGO_LAMBDA)
	$(CARGO_LAMBDA)/bin/pip install --quiet --require-hashes -r tools/requirements-cargo-lambda.lock
	touch $@

CHECKOV := .venv-checkov

$(SAM)/.ready: tools/requirements-sam.lock
	$(PYTHON) -m venv $(SAM)
	$(SAM)/bin/pip install --quiet --no-deps --require-hashes -r tools/requirements-sam.lock
	$(SAM)/bin/pip check
	touch $@

$(CHECKOV)/.ready: tools/requirements-checkov.lock
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/pip install --quiet --require-hashes -r tools/requirements-checkov.lock
	touch $@

# The region is for the lint's tables only: neither asks AWS anything, nor anybody else.
.PHONY: sam-validate
sam-validate: $(SAM)/.ready ## The template, as SAM reads it
	SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate --lint --template template.yaml --region us-east-1

.PHONY: checkov
checkov: $(CHECKOV)/.ready ## The template, as a careful stranger reads it; what is let pass says why, in the template
	$(CHECKOV)/bin/checkov --framework cloudformation --file template.yaml --compact --quiet --skip-download

# ---- the trainer's images

IMAGE := .venv-image
ENGINE ?= docker
# For both images: the same commit gives the same lists of content and the same labels.
IMAGE_EPOCH = $(shell git log -1 --format=%ct)
IMAGE_ARGUMENTS = --file trainer/Dockerfile --build-arg BASE=$(BASE) --build-arg REVISION=$(shell git rev-parse HEAD) \
	--build-arg VERSION=$(shell git describe --always --dirty) $(IMAGE_FLAGS)

$(IMAGE)/.ready: tools/requirements-image.lock
	$(PYTHON) -m venv $(IMAGE)
	$(IMAGE)/bin/pip install --quiet --require-hashes -r tools/requirements-image.lock
	touch $@

.PHONY: image-sizes
image-sizes: $(IMAGE)/.ready ## What the images' layers weigh, by the locks; fails over the limits
	$(PYTHON) tools/image_sizes.py
	$(IMAGE)/bin/python -m pytest -q -p no:cacheprovider tests/image

.PHONY: image-parts
image-parts: $(IMAGE)/.ready # What lies in the images besides packages: the agent, and the lists of their content
	@test -n "$(BASE)" || { echo "name the base image with its digest: make image BASE=docker.io/library/python:3.11-slim@sha256:…" >&2; exit 64; }
	cargo build --locked --release -p trainspot-agent
	$(IMAGE)/bin/python tools/image_sbom.py cpu --base $(BASE) --epoch $(IMAGE_EPOCH) --to target/image/cpu.cdx.json
	$(IMAGE)/bin/python tools/image_sbom.py gpu --base $(BASE) --epoch $(IMAGE_EPOCH) --to target/image/gpu.cdx.json

.PHONY: image
image: image-parts ## The trainer's images, BASE=<image with Python 3.11, by digest> [ENGINE=podman]
	$(ENGINE) build $(IMAGE_ARGUMENTS) --target cpu --tag trainspot-trainer:cpu .
	$(ENGINE) build $(IMAGE_ARGUMENTS) --target gpu --tag trainspot-trainer:gpu .

.PHONY: image-test
image-test: binaries $(IMAGE)/.ready $(VENV)/.ready $(DATA)/.ready ## Builds both images on a base of Debian's and runs the demo in containers; as root, with podman
	$(PYTHON) tools/image_test.py

$(WHEEL): | $(VENV)/.ready
	mkdir -p $(@D)
	echo "$(WHEEL_NAME)==$(WHEEL_VERSION) --hash=sha256:$(WHEEL_SHA256)" > $(@D)/requirements.txt
	$(VENV)/bin/pip download --quiet --no-deps --require-hashes -d $(@D) -r $(@D)/requirements.txt

$(DATA)/.ready: $(WHEEL) $(VENV)/.ready
	$(VENV)/bin/python -m trainer import movielens-100k $(WHEEL) --to $(DATA)
	touch $@

# ---- benches: figures, never a pass or a fail (tools/bench_format.md)

BENCHES := bench-agent bench-notice bench-agent-cpu bench-goodput bench-trainer bench-recommend bench-reading bench-cold-starts
export BENCH_OUT ?= $(CURDIR)/$(STATE)/bench

# A bench that cannot measure is named at the end; the others are shown all the same.
.PHONY: bench
bench: ## All benches one after another, in one table, as Markdown and as JSON
	rm -f $(BENCH_OUT)/*.json
	failed=; for each in $(BENCHES); do $(MAKE) --no-print-directory $$each || failed="$$failed $$each"; done; \
	$(PYTHON) tools/bench_table.py $(BENCH_OUT) --markdown $(STATE)/bench.md --json $(STATE)/bench.json || failed="$$failed bench_table"; \
	test -z "$$failed" || { echo "could not measure:$$failed" >&2; exit 1; }

.PHONY: bench-cold-starts
bench-cold-starts: ## Cold starts of the release functions
	cargo build --locked --release -p submit-training -p fan-out -p handle-failure -p supervise-runs
	$(PYTHON) tools/bench_cold_starts.py --binaries target/release

BENCH := .venv-bench

$(BENCH)/.ready: tools/requirements-bench.lock
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --require-hashes -r tools/requirements-bench.lock
	touch $@

# One build each: features meet within one, and the agent is measured as the image has it.
# 5 GB of /dev/shm at the full scale, and about half an hour; BENCH_AGENT_FLAGS="--scale 0.1" is quicker.
.PHONY: bench-agent
bench-agent: $(BENCH)/.ready $(MOTO)/.ready ## The agent's transfers against `aws s3 cp`, s5cmd and boto3
	cargo build --locked --release -p trainspot-agent
	cargo build --locked --release -p trainspot-cli
	PYTHONPATH=tools $(BENCH)/bin/python -m bench_agent $(BENCH_AGENT_FLAGS)

.PHONY: bench-tools
bench-tools: binaries $(DEPLOY)/.ready # What measures and gathers the benches' figures, tested
	$(TESTS) tests/bench

# ---- the deployment, walked

.PHONY: words
words: $(DEPLOY)/.ready ## The template's texts against AWS's own patterns and lengths
	$(TESTS) tests/deploy/test_words.py

AWS := .venv-aws

$(AWS)/.ready: tools/requirements-aws.lock
	$(PYTHON) -m venv $(AWS)
	$(AWS)/bin/pip install --quiet --require-hashes -r tools/requirements-aws.lock
	touch $@

.PHONY: deploy-tools
deploy-tools: $(CARGO_LAMBDA)/.ready $(SAM)/.ready $(AWS)/.ready ## What README's deployment calls: `aws`, `sam` and cargo-lambda, each in a folder of its own

# WALK_BUILT=1 takes .aws-sam, target/debug/trainspot and the tools' folders of this checkout instead of making them anew.
.PHONY: deploy-walk
deploy-walk: $(DEPLOY)/.ready $(VENV)/.ready $(AWS)/.ready ## README's "Deploy it", line by line in a fresh clone, against moto (WALK_BUILT=1: with what is built here)
	$(TESTS) --show-capture=no -s tests/deploy/test_walk.py tests/deploy/test_teardown.py

# ---- the page about quality

RETAIL ?=

.PHONY: quality
quality: $(VENV)/.ready $(DATA)/.ready ## Every candidate on public data, RETAIL=<the UCI Online Retail parquet>: makes docs/quality.md (under an hour of two cores)
	$(VENV)/bin/python -m quality --movielens $(DATA) --retail "$(RETAIL)" --state $(STATE)/quality --to docs/quality.md

# ---- killed, reclaimed, brought along

KILLS ?= 20
.PHONY: kills
kills: $(VENV)/.ready ## KILLS=20 random SIGKILLs of a training, each of which must end as if undisturbed (SEED= repeats one)
	$(VENV)/bin/python trainer/tests/kills.py --kills $(KILLS) $(if $(SEED),--seed $(SEED))

TRACES ?= $(wildcard ../shared/data/spot-traces)
REAL ?= 3

# TRACES= names a folder with Spot traces, REAL= how many jobs of a minute are really trained.
.PHONY: bench-goodput
bench-goodput: binaries $(VENV)/.ready ## Goodput of a long job on Spot: ours, BackupAndRestore, and no checkpoints
	$(VENV)/bin/python tools/bench_goodput.py --real $(REAL) $(if $(TRACES),--traces $(TRACES))
	$(PYTHON) tools/bench_facts.py complete $(BENCH_OUT)/goodput.json

.PHONY: test-goodput
test-goodput: $(VENV)/.ready # The simulation, by hand
	$(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/goodput

fmt-check lint: examples-lint
.PHONY: examples-lint
examples-lint: $(VENV)/.ready # The examples, by the trainer's rules
	$(VENV)/bin/ruff format --check --config trainer/pyproject.toml examples
	$(VENV)/bin/ruff check --config trainer/pyproject.toml examples

# ---- the trainer's fan-out and its data

.PHONY: bench-recommend
bench-recommend: $(VENV)/.ready ## Recommendations at 1k, 12k and 100k items: users a second of one core, beside plain numpy
	$(VENV)/bin/python trainer/bench/recommend.py
	$(PYTHON) tools/bench_facts.py complete $(BENCH_OUT)/recommend.json

.PHONY: bench-reading
bench-reading: $(VENV)/.ready ## Reading 10 million events: events a second of one core, bytes of memory an event
	$(VENV)/bin/python trainer/bench/reading.py
	$(PYTHON) tools/bench_facts.py complete $(BENCH_OUT)/reading.json

# ---- the agent's own cost

.PHONY: bench-agent-cpu
bench-agent-cpu: binaries ## What the agent costs while a program trains (20 minutes): figures, never a pass or a fail
	cargo build --locked --release -p trainspot-agent
	$(PYTHON) tools/bench_agent_cpu.py --agent target/release/trainspot-agent

# ---- the trainer's engine

# TORCH: a Python that has torch, such as Debian's /usr/bin/python3 with python3-torch.
TORCH ?=
.PHONY: bench-trainer
bench-trainer: $(VENV)/.ready ## The trainer's loop against Keras's fit and [TORCH=<python with torch>] a loop in torch, on this CPU
	cd trainer && PYTHONPATH=. ../$(VENV)/bin/python -m bench $(if $(TORCH),--torch $(TORCH))
	$(PYTHON) tools/bench_facts.py complete $(BENCH_OUT)/trainer.json

# What trainer/bench/gpu.py needs besides jax and torch, for a machine without network; by the trainer's lock.
GPU_PYTHON ?= 3.11
.PHONY: gpu-wheels
gpu-wheels: $(VENV)/.ready ## Keras and the rest as wheels for trainer/bench/gpu.py [GPU_PYTHON=3.12]
	mkdir -p $(STATE) trainer/bench/wheels
	cd trainer && PYTHONPATH=. ../$(VENV)/bin/python -m bench.wheels requirements.lock > ../$(STATE)/gpu-wheels.txt
	$(VENV)/bin/pip download --quiet --no-deps --require-hashes --only-binary=:all: --python-version $(GPU_PYTHON) \
	  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform any \
	  -d trainer/bench/wheels -r $(STATE)/gpu-wheels.txt

# ---- the agent's way to the store

.PHONY: bench-notice
bench-notice: $(VENV)/.ready ## From a Spot notice to a published checkpoint of 3 GB at 2.5 Gbit/s: figures, never a pass or a fail (6 GB of memory)
	cargo build --locked --release -p trainspot-localcloud -p trainspot-agent
	$(VENV)/bin/python tools/bench_notice.py --binaries target/release

.PHONY: agent-binary
agent-binary: ## The release agent's size and the newest glibc it needs; fails over the limits
	cargo build --locked --release -p trainspot-agent
	$(PYTHON) tools/agent_binary.py target/release/trainspot-agent
