# make help lists the targets; the main ones are quickstart and test.
VENV := .venv
PY := $(VENV)/bin/python
# so that hooks and tools find the venv's programs first
IN_VENV := PATH="$(abspath $(VENV))/bin:$$PATH"
SEEDS ?= 1
TEACHER ?= bundled
PYTHON ?=
ROWS ?=
FULL_DATA ?= /usr/share/datasets/fashion-mnist
# installs with uv where it is on PATH, else with pip; UV= for pip
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),$(UV) pip install --python $(PY),$(PY) -m pip install --no-compile) -q \
	-c requirements/constraints.txt
RUN := requirements/mminstall.txt requirements/runtime.txt
TEST := requirements/detection.txt requirements/tests.txt
PACKAGE := setup.py pyproject.toml requirements/constraints.txt

.PHONY: help quickstart test test-slow smoke-all lint format typecheck docs clean \
	venv venv-test ops matrix
.NOTPARALLEL:  # two targets would fill the same venv

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

quickstart: venv  ## teacher, student alone, student with DisCo, on real images
	$(PY) -W ignore tools/quickstart.py --seeds $(SEEDS) --teacher $(TEACHER) \
		--full-data $(FULL_DATA)

test: venv-test lint  ## lint and the suite
	$(PY) -m pytest -q tests

test-slow: venv-test  ## tests that take minutes each
	$(PY) -m pytest -q tests -m slow

smoke-all: venv-test  ## a few iterations of every config
	$(PY) tools/dev/smoke_all.py

matrix:  ## a wheel, tested in new environments of old and new versions
	bash tools/dev/make_venv.sh $(VENV) $(UV)
	UV=$(UV) $(PY) tools/dev/matrix.py $(ROWS)

lint: venv-test  ## check format, style, types and spelling
	$(IN_VENV) pre-commit run --all-files

format: venv-test  ## sort imports, apply safe fixes, format
	$(IN_VENV) ruff check --fix .
	$(IN_VENV) ruff format .

typecheck: venv-test  ## check the types of mmdisco/
	$(IN_VENV) mypy

docs: venv  ## build the documentation into site/
	$(INSTALL) -r requirements/docs.txt
	$(PY) -m mkdocs build --strict

clean:  ## remove builds and caches, but neither the venv nor results
	rm -rf build dist site .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

venv: $(VENV)/.run  ## virtual environment to run the tools
venv-test: $(VENV)/.test  ## and what tests, lint and detection need

ops: venv-test  ## compile mmcv's ops, which replace those of torchvision
	bash tools/dev/install_mmcv_ops.sh $(PY)

# In an empty venv .test installs everything in one go, after .run what is missing.
$(VENV)/.run: $(RUN) $(PACKAGE)
	bash tools/dev/make_venv.sh $(VENV) $(UV)
	$(INSTALL) $(RUN:%=-r %) -e .
	touch $@

$(VENV)/.test: $(TEST) $(or $(wildcard $(VENV)/.run),$(RUN) $(PACKAGE))
	bash tools/dev/make_venv.sh $(VENV) $(UV)
	$(INSTALL) $(RUN:%=-r %) $(TEST:%=-r %) $$(test -e $(VENV)/.run || echo '-e .')
	touch $(VENV)/.run $@
