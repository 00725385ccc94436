# `make help` lists the targets. The logic is in tools/devenv (Python, standard library only); nothing here is more than
# a command line. Variables: CLUSTER=local|kind|context:NAME, KUBERNETES=1.34|1.36, IMAGE_REGISTRY=HOST/PATH,
# VSM_INSTALL_PREREQUISITES=1, VSM_BASE_IMAGE, VSM_OPERATOR_IMAGE and VSM_RUNTIME_IMAGE (REPOSITORY:TAG).
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
REPEAT ?= 1
MINUTES ?= 3
BIN := .venv/bin
SOURCES := bench operator runtime tests tools
DEVENV := PYTHONPATH=tools $(PYTHON) -m devenv
LOCAL := PYTHONPATH=tools $(PYTHON) -m localcluster
KUBE := KUBECONFIG=$(CURDIR)/.local/kubeconfig KUBECACHEDIR=$(CURDIR)/.local/cache/kube PATH="$(CURDIR)/.local/bin:$$PATH"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: up
up: ## a cluster with the operator and a first server on it; twice changes nothing
	@$(DEVENV) up

.PHONY: down
down: ## remove what `make up` has made, and nothing else
	@$(DEVENV) down

.PHONY: dev
dev: ## the development environment .venv, with .venv/bin/vsmctl
	@$(DEVENV) dev

.PHONY: prerequisites
prerequisites: ## install what is missing on this machine, by apt
	@$(DEVENV) prerequisites

.PHONY: test
test: ## set up a cluster, then lint and every tier of tests (PYTEST_ARGS=... is passed on)
	@$(DEVENV) test -- $(PYTEST_ARGS)

.PHONY: test-unit
test-unit: dev ## the tests that need no cluster
	@$(BIN)/python -m pytest --numprocesses auto tests/unit $(PYTEST_ARGS)

.PHONY: conformance
conformance: dev ## the official MCP suite against the bridge and without it (REPEAT=10 finds what is unstable)
	@PYTHONPATH=tests:tools $(BIN)/python -m conformance --repeat $(REPEAT)

.PHONY: lint
lint: dev ## ruff, mypy and the import rules
	@$(DEVENV) lint

.PHONY: format
format: dev ## let ruff format and fix what it can
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: images
images: ## build both images as OCI archives in the cache, without Docker
	@$(DEVENV) images

.PHONY: lock
lock: ## make the lock files again (LOCK_ARGS=--upgrade takes newer versions)
	@$(DEVENV) lock $(LOCK_ARGS)

.PHONY: generate
generate: dev ## write what is generated: CRDs from the models, the charts' copies and roles, manifests/install
	@$(BIN)/python -m vsm_operator.api.crd
	@$(KUBE) PYTHONPATH=operator:tools $(BIN)/python -m chartgen

.PHONY: bench
bench: dev ## measure, on the cluster of `make up`
	@$(KUBE) PYTHONPATH=tests:tools $(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: accuracy
accuracy: dev ## recall and false positives of the vetting parts on labelled data, with confidence intervals
	@PYTHONPATH=tests:operator:runtime $(BIN)/python -m accuracy $(ACCURACY_ARGS)

.PHONY: soak
soak: dev ## clients and children that come and go for MINUTES=3, through the bridge (SOAK_ARGS="--seed 7")
	@PYTHONPATH=tests $(BIN)/python -m soak --minutes $(MINUTES) $(SOAK_ARGS)

.PHONY: in-cluster
in-cluster: ## run COMMAND=... in the local cluster's network, where pod and Service addresses are reachable
	@$(LOCAL) exec -- $(COMMAND)

.PHONY: clean
clean: ## remove caches of tools from the checkout; the environment, the cluster and the user's cache stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	@find operator runtime tests tools bench -name __pycache__ -prune -exec rm -rf {} +
