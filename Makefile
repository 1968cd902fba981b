# The two main commands are `make train` and `make test`.
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: train test check bench

train: $(INSTALLED)  ## trains Double DQN on CartPole-v1 and exports its policy
	$(PY) -m pipelines.train_ddqn --root_dir=runs/cartpole

test: $(INSTALLED)  ## every test
	$(PY) -m pytest

check: $(INSTALLED)  ## lint, types and the fast tests
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	$(PY) -m pytest -m 'not slow'

bench: $(INSTALLED) .venv-bench/.installed  ## speed compared with the peers; takes an hour
	$(PY) -m benchmarks.cartpole_speed --peer_python=.venv-bench/bin/python
	$(PY) -m benchmarks.space_invaders_speed --peer_python=.venv-bench/bin/python
	$(PY) -m benchmarks.space_invaders_limit
	$(PY) -m benchmarks.reinforce_speed

$(INSTALLED): setup.cfg constraints.txt
	@[ "$$(uname -sm)" = "Linux x86_64" ] || { echo "error: dm-reverb exists for Linux x86-64 only; this is $$(uname -sm)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo "error: Python 3.11 is needed, and '$(PYTHON)' is not it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,atari,compare,box2d]'
	@touch $@

.venv-bench/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
