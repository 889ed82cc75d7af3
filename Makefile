# The commands of the house. Everything runs from a virtual environment in the checkout.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
OPENSTACK := .openstack
DEBIAN := conntrack dnsmasq-base haproxy iproute2 iputils-ping keepalived kmod make nftables postgresql procps python3-venv radvd udhcpc

.PHONY: help install system demo test test-lab test-others test-openstack test-keystone fuzz tempest check bench drill pictures lock clean
help:
	@echo "make demo | test | check | bench | drill | fuzz | tempest"

# Exactly what a lock file names, with the right hash; nothing is compiled, and nothing is looked up.
LOCKED := -q --disable-pip-version-check --require-hashes --no-deps --only-binary :all:

# Debian packages, only when one is missing.
system:
	@missing=$$(for p in $(DEBIAN); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing Debian packages:" $$missing; \
	  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing >/dev/null; \
	fi

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "installing the virtual environment in $(VENV)"
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/pip install $(LOCKED) -r requirements.lock
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

install: system $(VENV)/installed

# In another mode of the router: MODE=legacy, dvr or dvr-ha.
MODE ?= ha
demo: install
	@$(BIN)/deuteron demo --mode $(MODE) $(ARGS)

check: install
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# What brings up hosts comes first and alone: it measures. Status 5 is that of no tests: ARGS may name only some of
# ours, and then OpenStack's are not asked for.
PYTEST = $(BIN)/pytest -q -n 2 --dist loadfile --durations 15
test: check
	@$(MAKE) --no-print-directory -k test-lab test-others $(if $(ARGS),,test-openstack)

test-lab: install
	@$(PYTEST) -m lab $(ARGS) || [ $$? = 5 ]

test-others: install
	@$(PYTEST) -m "not lab" $(ARGS) || [ $$? = 5 ]

# Keystone and OpenStack's tests, apart from what is ours; not compiled, for most of their files nobody reads.
$(OPENSTACK)/installed: openstack.lock
	@echo "installing Keystone and tempest in $(OPENSTACK)"
	@python3 -m venv $(OPENSTACK)
	@$(OPENSTACK)/bin/pip install $(LOCKED) --no-compile -r openstack.lock
	@touch $@

# The smoke tests of OpenStack.
test-openstack: install $(OPENSTACK)/installed
	@$(BIN)/python -m tests.oracle.tempest --smoke

# A real Keystone.
test-keystone: install $(OPENSTACK)/installed
	DEUTERON_TEST_KEYSTONE=$(CURDIR)/$(OPENSTACK) $(BIN)/pytest -q -p no:xdist tests/access/real_keystone.py

# 20,000 requests that schemathesis makes of GET /openapi.json; ARGS="--examples 100 --seed 7" for more and others.
fuzz: install
	@$(BIN)/python -m tests.oracle.fuzz $(ARGS)

# OpenStack's own tests with a real Keystone, those of tests/oracle/tempest.txt; ARGS=--smoke for a part of them,
# --all for all of its suite, --neutron for that of Neutron's own plugin.
tempest: install $(OPENSTACK)/installed
	@$(BIN)/python -m tests.oracle.tempest $(ARGS)

bench: install
	@$(BIN)/deuteron bench $(ARGS)

# The ways of packets in each mode of a router, traced in a lab and drawn.
pictures: install
	@$(BIN)/python -m deuteron.lab.pictures docs/modes

# Every failure once, measured; ARGS="--rounds 100 --seed 1" walks at random.
drill: install
	@$(BIN)/deuteron drill $(ARGS)

# New versions of everything: look at the difference before you commit it.
LOCK := $(BIN)/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --python-version 3.11
lock:
	$(BIN)/pip install -q uv
	$(LOCK) --extra dev pyproject.toml -o requirements.lock
	$(LOCK) --group openstack -o openstack.lock

clean:
	rm -rf $(VENV) $(OPENSTACK) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
