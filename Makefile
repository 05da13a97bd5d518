# The everyday commands; `make help` lists them.
#
#   PYTHON          interpreter for .venv (python3)
#   TOPOLOGY        lab that lab-up deploys (topologies/article.clab.yml)
#   ARGS            more options for pytest, for example ARGS="-k mtu"; for figures those of lab measure (ARGS="--trials 3"),
#                   for bench those of lab bench
#   PLAN, RUN, PAGE of figures: the plan (default), the directory of its records (measurements/PLAN), the page of the docs
#   WORKERS         parallel test processes (4: most of a test is waiting); 0 runs tests in pytest's own process
#   ENGINE          docker, or crun: nodes without a daemon, for root and for ordinary users (Docker where it answers, and
#                   crun elsewhere); the one that is named is installed if it is missing
#   DOCKER_HOST     Docker engine to use, instead of the system's and of crun
#   LAB_NO_INSTALL  1 forbids installing anything with apt

PYTHON ?= python3
ENGINE ?=
TOPOLOGY ?= topologies/article.clab.yml
ARGS ?=
PLAN ?= default
RUN ?= measurements/$(basename $(notdir $(PLAN)))
PAGE ?= docs/convergence.md
WORKERS ?= 4

VENV := .venv
INSTALLED := $(VENV)/installed
ARTEFACTS := artefacts

# The lab opens its nodes' network namespaces, which needs root, or a user namespace as the engine crun has it.
ROOT := $(shell [ "$$(id -u)" = 0 ] || [ "$(ENGINE)" = crun ] || echo sudo -E)
ifneq ($(ENGINE),)
export LAB_ENGINE := $(ENGINE)
endif
LAB := $(ROOT) $(VENV)/bin/lab
PYTEST := $(ROOT) $(VENV)/bin/pytest --lab-artefacts=$(ARTEFACTS)
# Tests that need more than the host's kernel run in a virtual machine, by make test-kernel: slow without KVM.
HERE := --lab-kernel=host
# Tests of one file share labs, so they stay in one worker. The longest files start first and the shortest, tests/unit,
# last (tests/conftest.py), so that the workers end together. Each worker keeps up to three labs in memory.
PARALLEL := -n $(WORKERS) --dist=loadfile --no-loadscope-reorder
# What an ordinary user's labs are tried with, beside tests/rootless.
ROOTLESS := tests/convergence
# What each engine has to do.
CONFORMANCE := $(addprefix tests/engine/test_,conformance.py nodes.py failures.py links.py processes.py directories.py \
  namespaces.py health.py stages.py) tests/convergence/test_iroute.py
# Unit tests wait for nothing: one worker for each processor.
UNIT := tests/unit -n $(shell nproc) --dist=worksteal -q
# Tests start the program hundreds of times: let Python keep its bytecode, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE
# pip shows its progress on a terminal, and nothing in a log.
QUIET := $(shell [ -t 2 ] || echo -q)
PIP := $(VENV)/bin/python -m pip install $(QUIET) --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help lab-up lab-down lab-status check test test-all test-kernel test-dco test-crun test-rootless convergence claims \
  wheel-test modes bench corpus figures lint unit docs clean vm may-be-root engine-ready prepared cluster-hosts cluster-demo

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# It builds the image of its nodes alone, if that is missing.
lab-up: engine-ready ## Deploy the article's lab, wait until tunnel, session and routes are up, show them
	@$(LAB) up --reuse $(TOPOLOGY)

lab-down: may-be-root $(INSTALLED) ## Remove the lab
	@$(LAB) down $(TOPOLOGY)

lab-status: may-be-root $(INSTALLED) ## Show what runs
	@$(LAB) status

check: lint unit ## Run lint and the unit tests: the loop to work in; no root, no engine

unit: $(INSTALLED) ## Run the unit tests
	@$(VENV)/bin/pytest $(UNIT) $(ARGS)

test: cluster-hosts ## Run every test that this host can run
	@$(PYTEST) $(PARALLEL) $(HERE) --junitxml=$(ARTEFACTS)/junit.xml $(ARGS)

test-all: cluster-hosts ## The same, with every combination of modes, versions, underlays and daemons
	@$(PYTEST) $(PARALLEL) $(HERE) --lab-matrix=whole --junitxml=$(ARTEFACTS)/junit.xml $(ARGS)

# A virtual machine is a container of Docker's.
test-kernel: $(INSTALLED) ## Run the tests that need kernel features; those that the host lacks in a virtual machine
	@$(MAKE) --no-print-directory prepared ENGINE=docker
	@$(PYTEST) -m kernel --lab-kernel=auto --junitxml=$(ARTEFACTS)/kernel.xml $(ARGS)

test-dco: $(INSTALLED) ## Run the hub with the kernel's data channel (DCO), in a virtual machine where the host lacks it
	@$(MAKE) --no-print-directory prepared ENGINE=docker
	@$(PYTEST) tests/kernel/test_dco_hub.py -k one_process_serves_all --lab-kernel=auto --lab-openvpn=2.7 \
	  --junitxml=$(ARTEFACTS)/dco.xml $(ARGS)

test-crun: $(INSTALLED) ## Run labs on the engine without a daemon: each of its operations, and the experiment
	@$(MAKE) --no-print-directory prepared ENGINE=crun
	@$(PYTEST) $(CONFORMANCE) --lab-engine=crun $(PARALLEL) $(HERE) --junitxml=$(ARTEFACTS)/crun.xml $(ARGS)

test-rootless: $(INSTALLED) ## Run the tests of labs without root; for an ordinary user, see .ci/rootless
	@$(MAKE) --no-print-directory prepared ENGINE=crun
	@env -u LAB_ENGINE $(VENV)/bin/pytest tests/rootless $(ARGS)
	@LAB_ENGINE=crun $(VENV)/bin/pytest $(ROOTLESS) -n $(WORKERS) --dist=loadfile --lab-artefacts=$(ARTEFACTS) $(ARGS)

convergence: prepared ## Run the article's experiment alone: do routes and traffic converge over the tunnel?
	@$(PYTEST) tests/convergence -m convergence $(PARALLEL) $(HERE) --junitxml=$(ARTEFACTS)/convergence.xml $(ARGS)

claims: prepared ## Run the tests of all claims, and write docs/claims.json and docs/findings/claims.md
	@$(LAB) claims --write

wheel-test: prepared ## Install the wheel in an environment of its own, and run a small test with it
	@.ci/wheel

cluster-hosts: prepared ## Prepare what the hosts of topologies/cluster.clab.yml mount: packages, images
	@$(ROOT) $(VENV)/bin/python -m bootstrap.cluster

cluster-demo: cluster-hosts ## Bring up a scheduler and three workers as nodes of a lab, and measure a small plan on them
	@$(ROOT) .ci/cluster-demo

modes: prepared ## Compare the tunnel modes, measured on this host
	@$(LAB) modes

bench: prepared ## Measure the cost of commands, engines and labs, the error of the instrument, and the tunnel against the bare wire
	@$(LAB) bench $(ARGS)

corpus: prepared ## Hold the verdicts of lab advise on 500 generated configurations against packets; takes an hour
	@$(ROOT) $(VENV)/bin/python -m tests.helpers.corpus --out $(ARTEFACTS)/corpus.json $(ARGS)

figures: prepared ## Measure a plan for hours, or the rest of an interrupted run, and write the tables of docs/convergence.md
	@$(LAB) measure $(PLAN) --out $(RUN) $(if $(wildcard $(RUN)/run.json),--resume) $(ARGS)
	@$(LAB) report $(RUN) --into $(PAGE)

lint: $(INSTALLED) ## Check style, format, the direction of imports, and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/lint-imports pyproject.toml >$(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(VENV)/bin/mypy

docs: $(INSTALLED) ## Build the documentation site into site/, without a network
	@echo "building the documentation into site/"
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

# Without an engine there are no labs and no images to remove.
clean: may-be-root ## Remove the labs, their images, the virtual environment and the artefacts
	@if $(ROOT) $(VENV)/bin/python -c 'from lab.engine import open_engine; open_engine()' 2>/dev/null; then \
	  $(LAB) clean; fi
	@$(ROOT) rm -rf $(VENV) $(ARTEFACTS) site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

vm: $(INSTALLED) ## Build the image of the lab's virtual machine, see test-kernel
	@$(MAKE) --no-print-directory prepared ENGINE=docker
	@$(LAB) setup --vm

# The host's part: an engine, the base image, and the nodes' images.
engine-ready: may-be-root $(INSTALLED)
	@$(ROOT) $(VENV)/bin/python -m bootstrap

prepared: engine-ready
	@$(LAB) setup

may-be-root:
	@[ -z "$(ROOT)" ] || command -v sudo >/dev/null || { \
	  echo "the lab works in network namespaces and needs root: run make as root, or install sudo" >&2; exit 2; }

# .venv has exactly the packages of requirements.lock and is recreated when that changes. To write the lock again:
#   uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
#     --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed and $(PYTHON) is not: name one with PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  how="run \`apt-get install $$package\` as root"; \
	  command -v apt-get >/dev/null || how="install $(PYTHON) with ensurepip"; \
	  if [ "$${LAB_NO_INSTALL:-0}" != 0 ] || ! command -v apt-get >/dev/null || \
	     { [ -n "$(ROOT)" ] && ! command -v sudo >/dev/null; }; then \
	    echo "$$package is needed for the virtual environment: $$how" >&2; exit 2; \
	  fi; \
	  echo "installing $$package with apt for the virtual environment (LAB_NO_INSTALL=1 forbids it)"; \
	  $(ROOT) apt-get -qq update; \
	  $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$package \
	    >/dev/null </dev/null; }
	@echo "creating the virtual environment $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "installing the packages of requirements.lock into $(VENV), which takes about a minute"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
