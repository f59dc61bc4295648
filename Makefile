# make demo [IMAGE=photo.jpg] [SIZE=7680x4320]   a picture at once; then fits a bundle and renders from that, too
# make viewer                                    what the viewer takes from npm: OpenSeadragon, into the package
# make test                                      everything: linters, type checks, C++ and Python tests
PYTHON ?= python3
VENV ?= .venv
SIZE ?= 7680x4320
IMAGE ?=
JOBS ?= 2

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip
# pyvips has no wheel: with libvips' development files in sight it would be compiled against that libvips.
INSTALL = PKG_CONFIG_LIBDIR=/dev/null $(PIP) install --quiet --disable-pip-version-check -c constraints.txt
CORE = pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*.h csrc/*.cpp)
VIEWER = ourgan_sdk/service/viewer

.PHONY: demo viewer test lint clean

# The first picture needs neither PyTorch nor the trainers: they are installed behind it.
demo:
	@image="$(IMAGE)"; name=$$(basename "$${image:-sample}"); picture="output/$${name%.*}-at-once.png"; \
	start=$$(date +%s); \
	test -z "$$image" || test -r "$$image" || { echo "error: cannot read $$image" >&2; exit 1; }; \
	test ! -e "$$picture" || picture="output/$${name%.*}-at-once-$$start.png"; \
	mkdir -p output && $(MAKE) --no-print-directory $(VENV)/.render && installed=$$(date +%s) \
	&& $(BIN)/ourgan render $${image:+"$$image"} "$(SIZE)" --structure patches -o "$$picture" && rendered=$$(date +%s) \
	&& echo "== $$picture: here $$((rendered - start)) s after make demo; training comes next" \
	&& $(MAKE) --no-print-directory $(VENV)/.train \
	&& $(BIN)/python -m trainers.demo $${image:+"$$image"} --size "$(SIZE)" --first "$$picture" \
	   --moments $$start $$installed $$rendered $$(date +%s)

viewer: $(VIEWER)/openseadragon/openseadragon.min.js

# Of the version and with the hash that package-lock.json says.
$(VIEWER)/openseadragon/openseadragon.min.js: $(VIEWER)/package.json $(VIEWER)/package-lock.json
	@command -v npm >/dev/null \
	|| { echo "error: the viewer needs npm; on Debian and Ubuntu: apt install npm" >&2; exit 1; }
	@echo "fetching OpenSeadragon ..."
	@rm -rf build/viewer && mkdir -p build/viewer $(@D) && cp $^ build/viewer
	@cd build/viewer && npm ci --silent --ignore-scripts --no-audit --no-fund
	@cp build/viewer/node_modules/openseadragon/LICENSE.txt $(@D)
	@cp build/viewer/node_modules/openseadragon/build/openseadragon/$(@F) $@

# Files are shared out among processes, as most tests keep one processor busy; in their order: the C++ tests, which
# take longest, are among the first.
test: $(VENV)/.test viewer lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The build's own requirements lie in the environment, pinned: --no-build-isolation.
$(VENV)/.tools: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	|| { echo "error: Python 3.10 or later is needed, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	|| { echo "error: no virtual environment can be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(PIP) install --quiet --disable-pip-version-check "pip>=23.1"
	@$(INSTALL) scikit-build-core pybind11 cmake ninja
	@touch $@

# By its exact version: a range could bring another build of it.
$(VENV)/.torch: $(VENV)/.tools
	@echo "installing PyTorch ..."
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.render: $(VENV)/.tools $(CORE)
	@echo "compiling the core ..."
	@$(INSTALL) --no-build-isolation -e ".[cpu]"
	@touch $@

$(VENV)/.train: $(VENV)/.torch $(CORE)
	@$(INSTALL) --no-build-isolation -e ".[cpu,train]"
	@touch $(VENV)/.render $@

# Spandrel asks for torchvision, which asks for a torch of its own choice, and is not needed for the networks that
# the tests open with it: --no-deps.
$(VENV)/.test: $(VENV)/.torch $(CORE)
	@$(INSTALL) --no-build-isolation -C cmake.define.OURGAN_WERROR=ON -e ".[cpu,train,test]"
	@$(INSTALL) --no-deps spandrel safetensors einops
	@touch $(VENV)/.render $(VENV)/.train $@

clean:
	rm -rf $(VENV) build dist output $(VIEWER)/openseadragon .mypy_cache .pytest_cache .ruff_cache .hypothesis
