# Duet. Plain `make` lists the targets.
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup lab lab-down demo test lint sanity unit scenarios scenarios-all faults chaos molecule bench clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## create .venv and build/tree (quick when they are up to date)
	@dev/setup.sh

lab: setup ## build the image when it is missing, and start the lab
	@$(PY) lab/lab.py up

lab-down: ## remove the lab
	@python3 lab/lab.py down

demo: setup ## from two servers to a cluster, a backup, a switchover and a restore
	@$(PY) demo/demo.py

test: lint sanity unit scenarios ## all four, in this order

lint: setup ## ruff, mypy, yamllint, ansible-lint, shellcheck
	@dev/lint.sh

sanity: setup ## ansible-test sanity on a copy of the tree
	@dev/sanity.sh

unit: setup ## unit tests
	@dev/unit.sh

scenarios: setup ## the scenarios, on labs of their own
	@$(PY) tests/scenarios/run.py

scenarios-all: setup ## also those that `make test` leaves out
	@$(PY) tests/scenarios/run.py --all

faults: setup ## break role changes at every step, write docs/faults.md (an hour), then chaos
	@$(PY) tests/faults/run.py
	@$(PY) tests/faults/random_run.py

chaos: setup ## random events on a cluster: MINUTES=10 SEED=N (a new one)
	@$(PY) tests/faults/random_run.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

molecule: setup ## the Molecule scenario alone
	@molecule test

bench: setup ## measure the write gap, switchover, status and pairing
	@$(PY) bench/bench.py

clean: ## remove .venv and build (stop the lab first)
	rm -rf .venv build
