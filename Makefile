# Needs git, make and Python 3.11 or newer. Every target is one call of `python -m booktools`, which also works without make.
PYTHON ?= python3
BIN    := .venv/bin/python
RUN    := $(BIN) -m booktools

.DEFAULT_GOAL := help
.PHONY: help setup book html pdf epub zip serve test test-slow execute check lab course lock prove-gates mutate bench validate measure times stale spell links wheel clean

help:
	@$(PYTHON) code/booktools help

.venv/.ok: requirements.lock pyproject.toml code/pyproject.toml
	@$(PYTHON) code/booktools setup

setup: .venv/.ok

book html pdf epub zip serve test test-slow check lab prove-gates mutate validate measure times stale spell links wheel: .venv/.ok
	@$(RUN) $@

execute: .venv/.ok
	@$(RUN) execute $(CH)

course: .venv/.ok
	@$(RUN) course $(if $(NOTEBOOKS),,--decks --bundles)

bench: .venv/.ok
	@$(RUN) bench $(if $(LONG),--long)

lock:
	@$(PYTHON) code/booktools lock

clean:
	@$(PYTHON) code/booktools clean
