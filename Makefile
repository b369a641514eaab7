# make            everything ready to run: .venv with the isomorph command, all ISAs generated
# make gen        generate (ISA=riscv64 for one)
# make run        generate riscv64, then run the examples
# make test       the tests (ISA=riscv64 for what is generated to test that one; ARGS=... goes to pytest)
# make test-slow  the long sweeps
# make lint       ruff, mypy --strict, import-linter
# make bench      native, qemu and isomorph side by side
# make clean      remove what was generated (distclean: .venv too)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ISA ?=
ARGS ?=

.DEFAULT_GOAL := all
.PHONY: all gen run test test-slow lint format bench clean distclean

all: gen

$(VENV)/ready: pyproject.toml
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing isomorph into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@echo "installing the development tools into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

gen: $(VENV)/ready
	@$(BIN)/python -m gen $(ISA)
	@$(BIN)/python -m compileall -q runtime isomorph build/*/*.py # start-up matters even where Python may not cache

run:
	@$(MAKE) --no-print-directory gen ISA=riscv64 # the examples' only
	@mkdir -p build/examples
	@for program in hello primes mandelbrot; do \
		$(BIN)/isomorph asm examples/$$program.s -o build/examples/$$program && \
		$(BIN)/isomorph run build/examples/$$program || exit 1; \
	done

test: gen $(VENV)/ready-dev
	@$(BIN)/python -m pytest $(foreach isa,$(ISA),build/$(isa)/tests) $(ARGS)

test-slow: gen $(VENV)/ready-dev
	@$(BIN)/python -m pytest -m slow $(ARGS)

lint: gen $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.style.generated
	$(BIN)/lint-imports

format: $(VENV)/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: gen $(VENV)/ready-dev
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
