# Everything goes through deploy/setup.sh, which prepares what is missing and skips what is there.
# Targets are phony and paths relative, so that a checkout in a folder with blanks works.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# More options for `command-center up` and for pytest: make run ARGS="--port 9000", make test TESTS="-k broker".
ARGS ?=
TESTS ?=
# How long `make fuzz` tries each decoder.
SECONDS_EACH ?= 20
# How often `make test-faults` tries each fault.
SEEDS ?= 10

.PHONY: help run setup setup-test test test-faults fuzz lint lock clean

help:
	@echo 'make run    start everything with the demo city (ARGS="--port 9000 --var DIR")'
	@echo 'make test   prepare the machine and run every check and test (TESTS="-k name")'
	@echo 'make fuzz   bytes at random at every decoder, led by atheris (SECONDS_EACH=20)'
	@echo 'make test-faults  kill and stop everything again and again, about 30 minutes (SEEDS=20)'
	@echo 'make setup  install what is missing, without starting anything'
	@echo 'make lint   style, types and import contracts'
	@echo 'make lock   renew requirements.lock'
	@echo 'make clean  remove what was built; the data under var/ stays'

run:
	@./deploy/setup.sh run
	@exec .venv/bin/command-center up --demo $(ARGS)

setup:
	@./deploy/setup.sh run

setup-test:
	@./deploy/setup.sh test

lint: setup-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Two processes: each has its own PostgreSQL and broker, and most tests wait for these and not for the processor.
test: lint
	./deploy/setup.sh npm test
	.venv/bin/python -m pytest -n 2 --dist loadfile -m "not alone" $(TESTS)
	.venv/bin/python -m pytest -m alone $(TESTS)

# What `make test` tries once: with other messages and at other moments each time. Every try prints its verdict.
fuzz: setup-test
	for format in native senml sparkplug chirpstack things_stack zigbee2mqtt tasmota sensor_things hj212; do \
		.venv/bin/python -m tests.fuzz $$format $(SECONDS_EACH); done

test-faults: setup-test
	CC_FAULT_SEEDS=$(SEEDS) .venv/bin/python -m pytest -rP --timeout 600 tests/faults $(TESTS)

lock:
	@./deploy/setup.sh lock
	@./deploy/setup.sh run

clean:
	rm -rf .venv frontend/node_modules frontend/dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
