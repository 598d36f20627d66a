# The doors of the house. Each makes what it needs: a virtual environment in .venv, with vipproxy
# installed into it as a user would install it (not editable), anew whenever a source changes.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

# The first Python that is new enough; `make PYTHON=/path/to/python3` names another.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$each && break; done)

# What is installed is known by the contents of all sources, so that a removed file counts too.
SOURCES := $(shell find vipproxy twisted -type f ! -name '*.pyc' ! -name dropin.cache | LC_ALL=C sort)
METADATA := $(wildcard setup.cfg setup.py pyproject.toml README.md LICENSE)
FINGERPRINT := $(firstword $(shell sha256sum $(SOURCES) $(METADATA) | sha256sum))
INSTALLED := $(VENV)/installed-$(FINGERPRINT)

.PHONY: help demo demo-serve test trial sanitize bench lint clean

help:
	@echo "make demo        the whole cluster on this machine: one node is killed and comes back"
	@echo "make demo-serve  the same, left running with its statistics page, until Ctrl-C"
	@echo "make test        all tests, with pytest, of the installed package (ARGS='-k name')"
	@echo "make trial       all tests, with trial"
	@echo "make sanitize    the native relay under the address and thread sanitizers"
	@echo "make bench       beside HAProxy: one table, page and chart in _bench/ (ARGS=--quick)"
	@echo "make lint        style, format and types"
	@echo "make clean       remove what the other doors have made"

demo: $(INSTALLED)
	$(BIN)/vipproxy demo

demo-serve: $(INSTALLED)
	$(BIN)/vipproxy demo --serve

# Most tests wait most of the time, for HAProxy's timeouts among others. Those of a module share
# one process, because a few need an address or a server of this machine's to themselves.
SIDE_BY_SIDE := -n 3 --dist loadfile

# Run elsewhere: neither Python nor twistd then finds the checkout's own vipproxy first.
test: $(INSTALLED) $(VENV)/extra-test
	rm -rf _test_temp && mkdir _test_temp
	cd _test_temp && ../$(BIN)/pytest -c ../pyproject.toml -o addopts='-q --import-mode=append' \
		../tests/fixtures
	cd _test_temp && VIPPROXY_TEST_INSTALLED=1 ../$(BIN)/pytest -c ../pyproject.toml $(SIDE_BY_SIDE) \
		../tests $(ARGS)

trial: $(INSTALLED) $(VENV)/extra-test
	rm -rf _test_temp && mkdir _test_temp
	cd _test_temp && VIPPROXY_TEST_INSTALLED=1 ../$(BIN)/trial $(or $(ARGS),tests)

# The native module built anew, under the address and the thread sanitizer of the C compiler.
sanitize: $(VENV)/extra-test
	$(BIN)/python tests/engines/sanitize.py address $(ARGS)
	$(BIN)/python tests/engines/sanitize.py thread $(ARGS)

# Run in the checkout for the benchmark's own modules; the vipproxy that it measures is the
# installed one.
bench: $(INSTALLED)
	@mkdir -p _bench && echo '*' > _bench/.gitignore
	$(BIN)/python -m bench --report _bench --json _bench/results.json $(ARGS)

lint: $(INSTALLED) $(VENV)/extra-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build _bench _test_temp _trial_temp* *.egg-info

# The build directory is removed, because modules that are gone would be installed out of it.
define install
	rm -rf build
	$(PIP) install --quiet '$(1)'
	rm -rf build
endef

$(INSTALLED): | $(BIN)/pip
	rm -f $(VENV)/installed-*
	$(call install,.)
	@touch $@

# The .pth file lets trial and pytest import `tests`; it comes after the installed packages.
$(VENV)/extra-%: setup.cfg | $(INSTALLED)
	$(call install,.[$*])
	@for each in $(VENV)/lib/python3*/site-packages; do \
		echo '$(CURDIR)' > $$each/vipproxy-checkout.pth; done
	@touch $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "vipproxy needs Python 3.11 or newer, and there is none here." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual" \
		"environments. On Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
