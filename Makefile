# Everything a newcomer or CI runs. `make demo` and `make test` need Python >= 3.11 and a C++ compiler, nothing else:
# each makes .venv, installs what it needs into it, and does everything. Stamp files keep that from happening twice.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
PYTEST ?=
BENCH  ?=
SECONDS ?= 60
STEPS ?= 30000
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq

# What the wheel is built with. It stays in .venv, so that the next build compiles only what changed.
BUILD_TOOLS  := "scikit-build-core>=0.11" "nanobind>=2.4" "cmake>=3.26" "ninja>=1.11"
SOURCES      := pyproject.toml CMakeLists.txt $(shell find src kernel -type f -not -path '*/__pycache__/*' -not -name '*.so')
KERNEL_FILES := $(shell find kernel -name '*.h' -o -name '*.cpp')

.PHONY: help demo test integrations docs lint format types layers sanitize emulate fuzz model bench wheel clean

help: ## this list (the default)
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

demo: $(VENV)/installed ## index 10,000 real rows, search them, reopen them in a new process
	@$(BIN)/nearrow demo

test: $(VENV)/installed-dev ## the whole test suite; one part of it: make test PYTEST="tests/storage -k torn"
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

lint: $(VENV)/installed-dev ## ruff and clang-format report, and change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(KERNEL_FILES)

format: $(VENV)/installed-dev ## ruff and clang-format mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(KERNEL_FILES)

types: $(VENV)/installed-dev ## mypy --strict
	$(BIN)/mypy

layers: $(VENV)/installed-dev ## a layer imports only the layers below it
	PYTHONPATH=src $(BIN)/lint-imports

sanitize: $(VENV)/build-tools ## the kernel's smoke test under the address, undefined-behaviour and thread sanitizers
	PATH="$(abspath $(BIN)):$$PATH" bash kernel/sanitize.sh

emulate: $(VENV)/build-tools ## the kernel's smoke test for 64-bit ARM, under qemu: the same bits as here (skipped without a cross compiler)
	PATH="$(abspath $(BIN)):$$PATH" bash kernel/emulate.sh

fuzz: $(VENV)/build-tools ## libFuzzer on the loaders of graphs and id tables, SECONDS=60 (needs clang++)
	PATH="$(abspath $(BIN)):$$PATH" bash kernel/sanitize.sh fuzz $(SECONDS)

model: $(VENV)/installed-dev ## the state machine against a dict and brute force, for STEPS=30000 steps
	$(BIN)/python -m nearrow.testing.crash model --steps $(STEPS)

integrations: $(VENV)/installed-integrations ## the conformance suites of LangChain, Haystack and LlamaIndex, as they are published
	$(BIN)/python -m pytest -n $(JOBS) tests/integrations tests/test_docs.py

docs: $(VENV)/installed-docs ## the documentation site, into build/site; a dead link or a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

bench: $(VENV)/installed-dev ## side by side with the peers, in .venv-bench; hours. Smoke: make bench BENCH=--quick
	$(BIN)/python -m benchmarks.run $(BENCH)

wheel: $(VENV)/build-tools ## dist/nearrow-*.whl
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .

clean: ## remove everything that these targets can make again
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/build-tools: Makefile | $(BIN)/python
	@echo "installing the build tools into $(VENV)"
	@$(PIP) install $(BUILD_TOOLS)
	@touch $@

# A normal install, so that what is tested is what is shipped; any change below src/ or kernel/ is installed again.
$(VENV)/installed: $(VENV)/build-tools $(SOURCES)
	@echo "building and installing nearrow (the first time compiles the kernel, about a minute)"
	@$(PIP) install --no-build-isolation .
	@touch $@

$(VENV)/installed-dev: $(VENV)/build-tools $(SOURCES)
	@echo "building and installing nearrow and the development tools (the first time compiles the kernel, about a minute)"
	@$(PIP) install --no-build-isolation '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-integrations: $(VENV)/installed-dev
	@echo "installing the frameworks of tests/integrations"
	@$(PIP) install --no-build-isolation '.[integrations-test]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo "installing mkdocs"
	@$(PIP) install --no-build-isolation '.[docs]'
	@touch $@
