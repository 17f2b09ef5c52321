# Two environments: .venv is what a user gets (no torch), .venv-dev holds everything.
# Each is made anew when pyproject.toml or constraints.txt changes.
PYTHON ?= python3
DEV := .venv-dev/bin
PIP_FLAGS := --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-integrations test-lowest test-pythons lint format fix docs benchmark benchmark-shapes benchmark-contracts calibrate rivals cuda ecosystem accuracy shapes clean

help:
	@echo "make demo       lint examples/ with a base install"
	@echo "make test       every check: ruff, mypy, import-linter, pytest"
	@echo "make test-integrations  the callbacks for Lightning and transformers, in an environment with both"
	@echo "make test-lowest  contracts with the lowest jaxtyping and beartype that are promised"
	@echo "make test-pythons  contracts with other Pythons"
	@echo "make lint       the checks that run no test"
	@echo "make fix        apply what ruff can repair, then format"
	@echo "make docs       write docs/rules/, docs/checks/ and the tables of README and architecture from the docstrings"
	@echo "make benchmark  time the linter against its parsers"
	@echo "make benchmark-shapes  time the linter with and without its rules about shapes"
	@echo "make benchmark-contracts  time contracts against assertions and against jaxtyping"
	@echo "make calibrate  inject faults into healthy models, count what mldebug-verify finds (an hour or two)"
	@echo "make rivals     the same 18 faults with four other packages, each in its own environment"
	@echo "make cuda       test and time contracts on a CUDA device, calibrate mldebug-verify there"
	@echo "make ecosystem  count findings on pinned releases of real projects"
	@echo "make accuracy   lint programs by authors who never saw the linter, and right ones with bugs planted in them; count what is found"
	@echo "make shapes     compare what the linter says of shapes with the libraries, on 20 times as many calls as make test (half an hour)"

.venv/ready: pyproject.toml constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt -e .
	touch $@

.venv-dev/ready: pyproject.toml constraints.txt
	rm -rf .venv-dev
	$(PYTHON) -m venv .venv-dev
	$(DEV)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[all,dev]"
	touch $@

.venv-integrations/ready: pyproject.toml constraints.txt
	rm -rf .venv-integrations
	$(PYTHON) -m venv .venv-integrations
	.venv-integrations/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[contracts]" pytest lightning pytorch-lightning transformers accelerate
	touch $@

test-integrations: .venv-integrations/ready
	.venv-integrations/bin/pytest tests/contracts/test_integrations.py

# The lowest jaxtyping and beartype that pyproject.toml promises, with the torch of constraints.txt.
LOWEST := jaxtyping==0.3.0 beartype==0.19.0

.venv-lowest/ready: pyproject.toml constraints.txt
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	grep -vE '^(jaxtyping|beartype)==' constraints.txt > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install $(PIP_FLAGS) -c .venv-lowest/constraints.txt -e ".[all,dev]" $(LOWEST)
	touch $@

test-lowest: .venv-lowest/ready
	.venv-lowest/bin/pytest -n auto tests/contracts

# One environment for each Python, with the torch of constraints.txt: make test-pythons PYTHONS="python3.12 python3.13"
PYTHONS ?= python3.12 python3.13

test-pythons:
	for python in $(PYTHONS); do \
		$$python -m venv .venv-pythons/$$(basename $$python) && \
		.venv-pythons/$$(basename $$python)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[all,dev]" && \
		.venv-pythons/$$(basename $$python)/bin/pytest -n auto tests/contracts || exit 1; \
	done

demo: .venv/ready
	.venv/bin/mldebug-lint --color always --exit-zero examples

test: lint
	$(DEV)/pytest -n auto

lint: .venv-dev/ready
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports

fix format: .venv-dev/ready
	$(DEV)/ruff check --fix .
	$(DEV)/ruff format .

docs: .venv-dev/ready
	$(DEV)/python -m mldbg.lint.page docs/rules
	$(DEV)/python -m mldbg.verify.page docs/checks
	$(DEV)/python tools/tables.py

benchmark: .venv-dev/ready
	$(DEV)/python benchmarks/lint.py

benchmark-shapes: .venv-dev/ready
	$(DEV)/python benchmarks/shapes.py

benchmark-contracts: .venv-dev/ready
	$(DEV)/python benchmarks/contracts.py

JOBS ?= 2

calibrate: .venv-dev/ready
	$(DEV)/mldebug-verify calibrate --jobs $(JOBS) --page docs/calibration.md --json .calibration.json

rivals: .venv-dev/ready
	$(DEV)/python tools/rivals.py --jobs $(JOBS)

# Uses the Python at hand, for it needs a torch built for CUDA and no network: make cuda PYTHON=...
cuda:
	@$(PYTHON) -c "import torch, sys; torch.cuda.is_available() or sys.exit('make cuda: this machine has no CUDA device that torch can use')"
	PYTHONPATH=src MLDBG_TEST_DEVICE=cuda $(PYTHON) -m pytest tests/contracts
	PYTHONPATH=src $(PYTHON) benchmarks/contracts.py --device cuda
	PYTHONPATH=src $(PYTHON) -m mldbg.verify calibrate --device cuda --seeds 1 --healthy-seeds 3 --jobs $(JOBS)

ecosystem: .venv-dev/ready
	$(DEV)/python tools/ecosystem.py

accuracy: .venv-dev/ready
	$(DEV)/python tools/accuracy.py
	$(DEV)/python tools/mutants.py

shapes: .venv-dev/ready
	SHAPE_EXAMPLES=200 $(DEV)/pytest -n auto tests/shapes

clean:
	rm -rf .venv .venv-dev .venv-integrations .venv-lowest .venv-pythons .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
