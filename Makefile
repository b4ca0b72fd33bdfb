# Each line works typed by hand as well; the README has them for Windows.
PYTHON ?= python3
BIN := .venv/bin
FIRST := $(notdir $(firstword $(sort $(wildcard notebooks/0*))))

.PHONY: run test nbval lab check bench clean
.DEFAULT_GOAL := run

run: .venv/course.done
	$(BIN)/labkit run --jobs 2

test: .venv/tests.done check
	$(BIN)/python -m pytest -n 2 --dist loadscope
	$(MAKE) nbval

nbval: .venv/tests.done
	$(BIN)/python -m pytest -n 2 --dist loadscope --nbval-lax --nbval-current-env --nbval-cell-timeout=1200 notebooks

check: .venv/tests.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lab: .venv/course.done
	$(BIN)/labkit release -o work
	$(BIN)/jupyter lab --ServerApp.root_dir=work --LabApp.default_url=/lab/tree/$(FIRST)/$(FIRST).ipynb

bench: .venv/course.done
	$(BIN)/labkit bench

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "labkit needs Python 3.11 or newer; say where it is: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "No virtual environment could be made: install your system's python3-venv package."; exit 1; }

.venv/course.done: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	$(BIN)/jupyter kernelspec install --log-level=ERROR --sys-prefix --name labkit-sandbox labkit/course/sandbox/kernelspec
	@touch $@

.venv/tests.done: tests/requirements.txt .venv/course.done
	$(BIN)/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

clean:
	rm -rf build .venv
