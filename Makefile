# Every chore has one name here. `make demo` and `make test` set up everything they need, on Debian and Ubuntu,
# as root or with sudo; all targets are safe to run twice.

VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
COURSE := examples/python-course

.PHONY: help setup system tools demo test check unit soak bench docs pictures lock clean

help:                ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: system $(VENV)/.installed tools   ## install everything the other targets need

system:
	@SUDO="$(SUDO)" sh scripts/system-packages.sh

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

tools:
	@$(BIN)/clx tools install --all

demo: setup          ## build the example course and say which page to open
	$(BIN)/clx build $(COURSE)/course.yaml
	@echo
	@echo "Open: $(CURDIR)/$(COURSE)/output/public/En/Practical Python/Slides/Html/Completed/Foundations/01 Welcome.html"
	@echo "Try also a search for a model, by tasks and a workflow: cd $(CURDIR)/examples/routines && $(CURDIR)/$(BIN)/clx routines run search"
	@echo "Or a pipeline of works, with the page: $(CURDIR)/$(BIN)/python $(CURDIR)/examples/work/run.py"
	@echo "Or two models that answer by their deadlines, under load: $(CURDIR)/$(BIN)/python $(CURDIR)/examples/serving/run.py"
	@echo "Or a day of a laboratory, by two machines' workers into a lake: $(CURDIR)/$(BIN)/python $(CURDIR)/examples/daily/run.py"

test: setup check    ## everything: lint, types, import rules, all tests as parts, several at a time
	$(BIN)/python -m tests.support.parts

check:               ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit:                ## the quick tests of every room, in two halves: under a minute on two cores
	@$(BIN)/python -m tests.support.quick

soak:                ## the long forms of the fault tests
	CLX_SOAK=1 $(BIN)/python -m pytest --timeout 3600 tests/faults tests/routines/test_storm.py tests/serving/test_memory.py tests/serving/test_uploads.py tests/serving/test_many_clients.py tests/workers/supervision tests/workers/supervision/services

bench:               ## the numbers the README quotes; nothing else should run meanwhile
	$(BIN)/python -m benchmarks

docs:                ## write the generated parts of docs/reference
	$(BIN)/python -m tests.support.reference docs/reference

pictures:            ## take the pictures of works and pipelines in docs/page.md anew
	$(BIN)/python -m tests.support.page_pictures docs/images

lock:                ## resolve requirements-dev.lock anew, for every supported Python; UPGRADE=--upgrade takes newer releases
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --no-annotate \
	  --custom-compile-command "make lock" $(UPGRADE) --output-file requirements-dev.lock pyproject.toml

clean:               ## remove what make made
	rm -rf $(VENV) build dist $(COURSE)/output $(COURSE)/.clx .mypy_cache .ruff_cache .pytest_cache
