# Every target works alone on a machine that has Python 3.11 or newer and make:
# what it needs is installed into .venv the first time.

BIN := .venv/bin
READY := .venv/installed
PYTHON ?=
WORKERS ?= auto
TESTS ?= tests
SEEDS ?= 10000
FIRST ?= 0
TARGETS ?=
SAMPLE ?= 200
SEED ?= 0
MODULES ?= model store operations

# mkdocs-material advertises its successor on every build; docs/adr/0005-dependencies.md answers.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-servers simulate thrash fuzz soak mutants reliability check bench bench-targets bench-quick bench-kernels bench-stores notebooks docs lock clean

help:  ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY)  ## back up a real tree, change it, restore it, prove it equal
	$(BIN)/python examples/demo.py

test: $(READY)  ## run the tests (TESTS=tests/unit for a part of them)
	$(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal $(TESTS)

test-servers: $(READY)  ## install real stores, and run the tests that store into them
	tests/servers/install .servers
	HOLDFAST_TEST_SERVERS=required $(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 4 \
		--dist worksteal -m 'servers and not soak' $(TESTS)

simulate: $(READY)  ## run the engine in random interleavings (SEEDS=10000 FIRST=0)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST)

thrash: $(READY)  ## kill -9 real processes on one repository (MINUTES=60)
	$(BIN)/python -m tests.soak.thrash --minutes $(or $(MINUTES),60)

fuzz: $(READY)  ## try odd inputs on all that parses (MINUTES=10 SEED=0 TARGETS=tree)
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) --seed $(SEED) $(TARGETS)

soak: $(READY)  ## run the tests that take many minutes
	$(BIN)/pytest -m soak --timeout 0 --capture=no $(TESTS)
	$(BIN)/pytest -m 'hypothesis and not soak' --hypothesis-profile=full --timeout 0 $(TESTS)

mutants: $(READY)  ## put mistakes into the code: a test must fail for each (SAMPLE=200 SEED=0 MODULES=...)
	$(BIN)/python -m tests.mutation --modules $(MODULES) --sample $(SAMPLE) --seed $(SEED)

reliability: $(READY)  ## write docs/reliability.md from the catalogue of faults and the tests
	$(BIN)/python -m tests.faults.page

# All of them run, so that one look shows all there is to mend.
check: $(READY)  ## lint, format, types, import contracts, documentation
	@failed=; \
	run() { name=$$1; shift; echo "== $$name"; "$$@" || failed="$$failed, $$name"; }; \
	run 'lint' $(BIN)/ruff check; \
	run 'format' $(BIN)/ruff format --check; \
	run 'types' $(BIN)/mypy --no-error-summary; \
	run 'import contracts' $(BIN)/lint-imports --no-logo; \
	run 'documentation' $(BIN)/mkdocs build --strict; \
	[ -z "$$failed" ] && echo 'make check: all passed' && exit 0; \
	echo "make check: failed:$${failed#,}"; \
	echo '(.venv/bin/ruff check --fix and .venv/bin/ruff format mend most of what ruff finds)'; \
	exit 1

bench: $(READY)  ## compare with restic, borg and others on much data; an hour and a half
	benchmarks/peers/get-peers .peers all
	$(BIN)/python -m benchmarks.peers --peers .peers --report docs/performance.md

bench-targets: $(READY)  ## the same with restic only, in memory: all targets; an hour
	benchmarks/peers/get-peers .peers
	$(BIN)/python -m benchmarks.peers --peers .peers --tools holdfast,restic --on memory \
		--report docs/performance.md

bench-quick: $(READY)  ## compare with restic and borg on less data; print the tables
	benchmarks/peers/get-peers .peers
	$(BIN)/python -m benchmarks.peers --quick --peers .peers --tools holdfast,restic,borg

bench-kernels: $(READY)  ## time the parts that holdfast is made of
	$(BIN)/pytest benchmarks --benchmark-enable --benchmark-only --timeout 0 --capture=no

bench-stores: $(READY)  ## a repository in S3 that answers late, beside restic; 15 GB of memory or disk
	tests/servers/install .servers
	benchmarks/peers/get-peers .peers
	$(BIN)/pytest benchmarks/test_stores.py --benchmark-enable --benchmark-only --timeout 0 --capture=no

notebooks: $(READY)  ## run the notebooks in examples/ and keep what they show
	$(BIN)/python -m tests.notebooks

docs: $(READY)  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

# The reference environment is Python 3.11, the oldest that holdfast supports.
lock:  ## choose the newest versions of all dependencies and pin them
	python3.11 -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --upgrade pip 'pip-tools>=7.5'
	CUSTOM_COMPILE_COMMAND='make lock' .venv-lock/bin/pip-compile --upgrade --quiet --generate-hashes \
		--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--extra fastcdc --extra s3 --extra azure --extra gcs --extra sftp --extra dask --extra platform --extra notebook --extra mount --extra serve --extra dev \
		--output-file requirements/dev.txt pyproject.toml

clean:  ## remove everything that make made
	rm -rf .venv .venv-lock .peers .servers site dist .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first interpreter that is new enough and can make environments; PYTHON=... names another.
.venv/pinned: requirements/dev.txt
	@for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14); do \
		"$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
			&& exec "$$python" -m venv --clear .venv; \
	done; \
	echo 'make: no Python 3.11 or newer with its venv module was found;' >&2; \
	echo '      install one (Debian: apt-get install python3 python3-venv) or give PYTHON=/path/to/python' >&2; \
	exit 1
	@echo 'installing the pinned packages into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/installed: .venv/pinned pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
