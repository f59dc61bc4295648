# make demo [IMAGE=photo.jpg] [SIZE=7680x4320]   fits a bundle to a photograph and renders it
# make test                                      everything: linters, type checks, C++ and Python tests
PYTHON ?= python3
VENV ?= .venv
SIZE ?= 7680x4320
IMAGE ?=

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip
INSTALL = $(PIP) install --quiet --disable-pip-version-check -c constraints.txt
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

# torch first and by its exact version: a range could bring another build of it. The build's own requirements
# lie in the environment, pinned: --no-build-isolation. Spandrel asks for torchvision, which asks for a torch of
# its own choice, and is not needed for the networks that the tests open with it: --no-deps.
$(VENV)/.tools: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	|| { echo "error: Python 3.10 or later is needed, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	|| { echo "error: no virtual environment can be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(PIP) install --quiet --disable-pip-version-check --upgrade "pip>=23.1"
	@$(INSTALL) scikit-build-core pybind11 cmake ninja "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.train: $(VENV)/.tools $(CORE)
	@$(INSTALL) --no-build-isolation -e ".[cpu,train]"
	@touch $@

$(VENV)/.test: $(VENV)/.tools $(CORE)
	@$(INSTALL) --no-build-isolation -C cmake.define.OURGAN_WERROR=ON -e ".[cpu,train,test]"
	@$(INSTALL) --no-deps spandrel safetensors einops
	@touch $@ $(VENV)/.train

clean:
	rm -rf $(VENV) build dist output .mypy_cache .pytest_cache .ruff_cache .hypothesis
