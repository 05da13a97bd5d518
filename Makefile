# The lab's everyday commands: `make help` lists them.
#
#   PYTHON          the interpreter that .venv is made with (python3)
#   TOPOLOGY        the lab that lab-up deploys (topologies/article.clab.yml)
#   ARGS            more options for pytest, for example ARGS="-k mtu"
#   WORKERS         processes that run tests side by side (4: most of a test is waiting); 0 is none
#   DOCKER_HOST     the Docker engine to use, if it is not the system's
#   LAB_NO_INSTALL  1 forbids to install anything with apt

PYTHON ?= python3
TOPOLOGY ?= topologies/article.clab.yml
ARGS ?=
WORKERS ?= 4

VENV := .venv
INSTALLED := $(VENV)/installed
ARTEFACTS := artefacts

# The lab works in its nodes' network namespaces, which is root's right.
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
LAB := $(ROOT) $(VENV)/bin/lab
PYTEST := $(ROOT) $(VENV)/bin/pytest --lab-artefacts=$(ARTEFACTS)
# What the host's kernel lacks runs in the lab's own machine, by make test-kernel: in emulation that takes its time.
HERE := --lab-kernel=host
# The tests of a file share labs and so stay together, and the shortest, tests/unit, come last: at the end no worker
# waits for another. Each worker keeps up to three labs in memory.
SIDE_BY_SIDE := -n $(WORKERS) --dist=loadfile --no-loadscope-reorder
# Tests start the program hundreds of times: Python compiles it once, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lab-up lab-down lab-status test test-all test-kernel test-dco convergence modes bench lint docs clean vm may-be-root prepared

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab-up: prepared ## Deploy the article's lab, wait until tunnel, session and routes stand, show them
	@$(LAB) up --reuse $(TOPOLOGY)

lab-down: may-be-root $(INSTALLED) ## Remove the lab and everything that belongs to it
	@$(LAB) down $(TOPOLOGY)

lab-status: may-be-root $(INSTALLED) ## Show what runs
	@$(LAB) status

test: prepared ## Run every test that this machine can run
	@$(PYTEST) $(SIDE_BY_SIDE) $(HERE) --junitxml=$(ARTEFACTS)/junit.xml $(ARGS)

test-all: prepared ## The same, with every combination of modes, versions, underlays and daemons
	@$(PYTEST) $(SIDE_BY_SIDE) $(HERE) --lab-matrix=whole --junitxml=$(ARTEFACTS)/junit.xml $(ARGS)

test-kernel: prepared ## Run the tests that need more than this kernel has, in the lab's own virtual machine
	@$(PYTEST) -m kernel --lab-kernel=auto --junitxml=$(ARTEFACTS)/kernel.xml $(ARGS)

test-dco: prepared ## Run the hub whose kernel carries the data (DCO), in the lab's own virtual machine: the module's verdict
	@$(PYTEST) tests/kernel/test_dco_hub.py -k one_process_serves_all --lab-kernel=auto --lab-openvpn=2.7 \
	  --junitxml=$(ARTEFACTS)/dco.xml $(ARGS)

convergence: prepared ## Run the experiment alone: do routes and traffic converge over the tunnel?
	@$(PYTEST) -m convergence $(HERE) --junitxml=$(ARTEFACTS)/convergence.xml $(ARGS)

modes: prepared ## Compare the tunnel modes, measured on this machine
	@$(LAB) modes

bench: prepared ## Measure what commands and deployments cost, how exact the instrument is, and the tunnel beside the bare wire
	@$(LAB) bench

lint: $(INSTALLED) ## Check style, format, the direction of imports, and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/lint-imports --config pyproject.toml >$(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(VENV)/bin/mypy

docs: $(INSTALLED) ## Build the documentation site into site/, without a network
	@echo "building the documentation into site/"
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

# Where no engine answers there are no labs and no images to remove.
clean: may-be-root ## Remove the labs, their images, the virtual environment and the artefacts
	@if $(ROOT) $(VENV)/bin/python -c 'from lab.host.docker_engine import connect; connect()' 2>/dev/null; then \
	  $(LAB) clean; fi
	@$(ROOT) rm -rf $(VENV) $(ARTEFACTS) site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

vm: prepared ## Build the image of the lab's virtual machine, see test-kernel
	@$(LAB) setup --vm

# The host's part: a Docker engine that answers, the base image, and the nodes' images.
prepared: may-be-root $(INSTALLED)
	@$(ROOT) $(VENV)/bin/python -m bootstrap
	@$(LAB) setup

may-be-root:
	@[ -z "$(ROOT)" ] || command -v sudo >/dev/null || { \
	  echo "the lab works in network namespaces and needs root: run make as root, or install sudo" >&2; exit 2; }

# Everything in .venv is what requirements.lock says; after a change it is made anew. To write the lock again:
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
	@echo "making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@
