# What a developer runs; each target sets up what it needs, and takes no set-up time the second time.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
STAMP := $(VENV)/.installed
# Two at a time: each engine test runs an engine, its plugins and a workspace.
WORKERS ?= 2
# Not the documents: their examples are laid out for readers.
SOURCES = agent_deploy bench stacks tests tools
# Further arguments for pytest, such as ARGS="tests/unit -k names".
ARGS ?=
BENCH_ARGS ?=
RELEASE_ARGS ?=
UPGRADE ?=
# --pause: wait while you look at the Review App.
DEMO_ARGS ?=

# Our virtual environment first (the language host runs the `python` that it finds on PATH), then the toolchain.
WITH_TOOLCHAIN = toolchain=$$($(VENV)/bin/python tools/toolchain.py --print-path) \
	&& PATH="$(VENV)/bin:$$toolchain:$$PATH" VIRTUAL_ENV="$(VENV)"

.PHONY: setup constraints toolchain sdk demo check test screenshots docs release bench lint clean distclean

setup: $(STAMP)
	@$(VENV)/bin/python tools/toolchain.py

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$(PYTHON) is missing or older than Python 3.10. Install a newer one, or name it: make setup PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "setup: installing agent-deploy and what its tests need into .venv (once; some minutes)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python tools/install.py constraints.txt '.[dev]' --disable-pip-version-check
	@touch $@

# After a change of what pyproject.toml declares: versions that still fit stay, UPGRADE=--upgrade takes the newest.
# Not through the stamp: pins that cannot be installed are mended with this.
constraints: $(VENV)/bin/uv
	@UV_CUSTOM_COMPILE_COMMAND="make constraints" $(VENV)/bin/uv pip compile --universal --python-version 3.10 \
		--no-python-downloads --all-extras --generate-hashes --no-annotate $(UPGRADE) -o constraints.txt pyproject.toml \
		> /dev/null

$(VENV)/bin/uv:
	@$(MAKE) --no-print-directory setup

# The engine alone, where only that is missing.
toolchain:
	@$(PYTHON) tools/toolchain.py

# For TypeScript, Go and Python, out of schema.json, by Pulumi's code generators; needs Go.
sdk:
	@$(PYTHON) tools/sdk.py

demo: $(STAMP)
	@$(WITH_TOOLCHAIN) $(VENV)/bin/python tools/demo.py $(DEMO_ARGS)

test: $(STAMP)
	@$(WITH_TOOLCHAIN) $(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Before each commit: what needs no engine, no served model and no other program, and is soon over.
check: lint
	@$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not processes and not long" tests/unit tests/components tests/provider $(ARGS)

# What docs/review-app.md talks about, as the browser tests see it; no pictures lie in the repository.
screenshots: $(STAMP)
	@$(VENV)/bin/python tools/browser.py > /dev/null
	@AGENT_DEPLOY_SCREENSHOTS="$(CURDIR)/screenshots" $(VENV)/bin/python -m pytest tests/browser $(ARGS)

# A link that leads nowhere is an error.
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo "docs: site/index.html"

# Into dist/, and tried in empty environments; RELEASE_ARGS="--tag v0.1.0" as the workflow does it.
release: $(STAMP)
	@$(VENV)/bin/python tools/release.py $(RELEASE_ARGS)

bench: $(STAMP)
	@$(WITH_TOOLCHAIN) $(VENV)/bin/python -m bench $(BENCH_ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy

# Keeps the toolchain, which takes minutes to build; `distclean` takes that as well.
clean:
	rm -rf $(VENV) dist site sdk .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .cache
