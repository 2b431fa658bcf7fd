# Two commands do everything: make quickstart, make test.
VENV := .venv
PY := $(VENV)/bin/python
SEEDS ?= 1
TEACHER ?= bundled
FULL_DATA ?= /usr/share/datasets/fashion-mnist
REQUIREMENTS := setup.py requirements/mminstall.txt requirements/runtime.txt \
	requirements/constraints.txt

.PHONY: quickstart test test-slow smoke-all lint docs venv venv-test

quickstart: venv  ## teacher, student alone, student with DisCo, on real images
	$(PY) -W ignore tools/quickstart.py --seeds $(SEEDS) --teacher $(TEACHER) \
		--full-data $(FULL_DATA)

test: venv-test lint  ## lint and the whole suite
	$(PY) -m pytest -q tests

test-slow: venv-test  ## what waits for the compiler for minutes
	$(PY) -m pytest -q tests -m slow

smoke-all: venv-test  ## a few iterations of every config
	$(PY) tools/dev/smoke_all.py

lint: venv-test
	$(VENV)/bin/pre-commit run --all-files

docs: venv
	$(PY) -m pip install -q -r requirements/docs.txt
	$(PY) -m mkdocs build --strict

venv: $(VENV)/.run
venv-test: $(VENV)/.test

$(VENV)/.run: $(REQUIREMENTS)
	bash tools/dev/make_venv.sh $(VENV)
	$(PY) -m pip install -q -c requirements/constraints.txt \
		-r requirements/mminstall.txt -r requirements/runtime.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.run requirements/tests.txt requirements/detection.txt \
		tools/dev/install_mmcv_ops.sh
	$(PY) -m pip install -q -c requirements/constraints.txt \
		-r requirements/tests.txt -r requirements/detection.txt
	bash tools/dev/install_mmcv_ops.sh $(PY)
	touch $@
