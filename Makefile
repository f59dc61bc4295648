# make demo [IMAGE=photo.jpg] [SIZE=7680x4320]   fits a bundle to a photograph and renders it
# make test                                      everything: linters, type checks, C++ and Python tests
PYTHON ?= python3
VENV ?= .venv
SIZE ?= 7680x4320
IMAGE ?=

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CORE = pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*.h csrc/*.cpp)

.PHONY: demo test lint clean

demo:
	@start=$$(date +%s) && $(MAKE) --no-print-directory $(VENV)/.train \
	&& $(BIN)/python -m trainers.demo $(if $(IMAGE),"$(IMAGE)") --size "$(SIZE)" \
	   --install-seconds $$(($$(date +%s) - start))

test: $(VENV)/.test lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The build's own requirements lie in the environment, pinned: --no-build-isolation.
$(VENV)/.core: $(CORE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	|| { echo "error: Python 3.10 or later is needed, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(PIP) scikit-build-core pybind11 cmake ninja
	@$(PIP) --no-build-isolation -C cmake.define.OURGAN_WERROR=ON -e ".[cpu]"
	@touch $@

# torch first and by its exact version: a range could bring another build of it.
$(VENV)/.train: $(VENV)/.core
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --no-build-isolation -C cmake.define.OURGAN_WERROR=ON -e ".[cpu,train]"
	@touch $@

$(VENV)/.test: $(VENV)/.train
	@$(PIP) --no-build-isolation -C cmake.define.OURGAN_WERROR=ON -e ".[cpu,train,test]"
	@touch $@

clean:
	rm -rf $(VENV) build dist output .mypy_cache .pytest_cache .ruff_cache .hypothesis
