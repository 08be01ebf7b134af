# make demo, make test: all that is needed on a fresh machine. VENV and PYTHON can be set.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := runs/demo
JOBS ?= 2
# One thread a process: two workers with two threads each fight over the cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-all test-modal lint typecheck bench bench-million bench-pool verify docs clean help
.DEFAULT_GOAL := help

help:  ## show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

# The mark is written last, so that a broken installation is tried again.
$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[plots,test]"
	$(BIN)/pip check
	touch $@

demo: $(VENV)/.installed  ## compare six strategies on real digits, end with a table and a report
	rm -rf $(DEMO)
	$(BIN)/al-sklearn compare --dataset digits --output $(DEMO) --jobs $(JOBS)

test: $(VENV)/.installed  ## the tests, without the slow ones
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# The other modAL in use, without the pins that hold it to a skorch of 2020; found before the one that pip resolves.
MODAL2 := $(VENV)/modal-0.4.2.1
$(MODAL2)/.installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps --target $(MODAL2) modAL-python==0.4.2.1
	touch $@

test-modal: $(MODAL2)/.installed  ## the learners' tests with modAL 0.4.2.1
	PYTHONPATH=$(MODAL2) $(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests/learners tests/modal

test-all: test-modal  ## every test, the slow ones and the docstrings too, with both versions of modAL
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "slow or not slow" tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q --doctest-modules al_sklearn

lint: $(VENV)/.installed  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed  ## mypy
	$(BIN)/mypy

# Peers bring their own pins: they stay out of the environment that the tests run in.
$(VENV)-bench/.installed: setup.cfg pyproject.toml constraints.txt benchmarks/peers.txt benchmarks/peers-no-deps.txt
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --quiet -c constraints.txt -e ".[plots]" -r benchmarks/peers.txt
	$(VENV)-bench/bin/pip install --quiet --no-deps -r benchmarks/peers-no-deps.txt
	touch $@

bench: $(VENV)-bench/.installed  ## time the strategies beside their peers; writes docs/benchmarks.md
	$(VENV)-bench/bin/python benchmarks/bench_catalogue.py --out docs/benchmarks.md
	$(VENV)-bench/bin/python benchmarks/bench_scoring.py --out docs/scoring.md
	$(VENV)-bench/bin/python benchmarks/bench_training.py --out docs/training-speed.md

# What verify.py asks besides: its pins are its own, and the benchmarks have no need of it.
verify: $(VENV)-bench/.installed  ## hold the library against its peers and authors' code; writes docs/verification.md
	$(VENV)-bench/bin/pip install --quiet --no-deps -r benchmarks/verify-peers.txt
	PYTHONPATH=. $(VENV)-bench/bin/python benchmarks/verify.py --out docs/verification.md

bench-pool: $(VENV)/.installed  ## a pool of a million images, and decoding; writes docs/large-pools.md
	$(BIN)/python benchmarks/bench_pool.py --out docs/large-pools.md
	$(BIN)/python benchmarks/bench_decoding.py --out docs/large-pools.md

bench-million: $(VENV)-bench/.installed  ## every strategy on 1,000,000 candidates from a file; added to that page
	$(VENV)-bench/bin/python benchmarks/bench_million.py --limit 600 --out docs/benchmarks.md

docs: $(VENV)/.installed  ## the catalogue page and its pictures
	$(BIN)/python docs/build.py

clean:  ## remove the environment and the caches
	rm -rf $(VENV) $(VENV)-bench .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
