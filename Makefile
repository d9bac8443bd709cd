# Two commands do everything on a machine with git, make and Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/installed
TESTING := .venv/installed-for-tests
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# what tests drive besides Python: a browser, a database server for the team set-up, the sandbox's walls
PACKAGES := chromium chromium-driver postgresql bubblewrap libseccomp2
# unpacked and not installed: Debian's package would start a server on port 80
NGINX := .venv/nginx/usr/sbin/nginx
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: attack bench-asking bench-caption bench-demo bench-detection bench-grounding bench-grpo bench-judging bench-platform bench-search bench-tools bench-tower demo demote deps doctor down packages promote pull repro reproduce serve test \
  test-attack test-night test-ui up world

demo: pull ## the main job on the embedded default
	@$(BIN)/python -m flows.align

# four on two cores: much of a chain is waiting for servers and processes
PYTEST := $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(TESTING) pull packages $(NGINX) ## everything: style, types, unit tests, whole chains, kills, a browser, a team's servers
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

test-night: $(TESTING) pull packages $(NGINX) ## what takes too long for every change: kills of whole chains, DeepSpeed, two runners
	$(PYTEST) -m night

test-attack: $(TESTING) pull packages ## what a stranger would try: web pages, users, data, models, texts
	$(PYTEST) -m attack $(ATTACKS)
# named, as to collect all tests takes 20 s; the longest first
ATTACKS := tests/flows/test_attacks.py tests/tasks/reading/test_hostile_data.py tests/models/vlm tests/flows/test_gate.py \
  tests/tasks/running/test_texts.py tests/tasks/tools

attack: $(TESTING) packages ## the sandbox without each of its locks in turn: lock x promise (15 minutes)
	$(BIN)/python -m tests.tasks.tools.teeth

deps: $(STAMP) ## the code dependencies of dvc.yaml, from what the stages import
	$(BIN)/python -m tasks.running.closure

test-ui: pull packages ## a browser starts, watches, cancels and compares runs; pictures in .runtime/screenshots
	$(BIN)/python -m pytest -m ui

$(NGINX): | packages
	@cd .venv && { apt-get download -qq nginx || { $(SUDO) apt-get update -qq && apt-get download -qq nginx; }; } && \
	dpkg-deb --extract nginx_*.deb nginx || echo "Without nginx the team's servers are not tested."

packages:
	@dpkg --status $(PACKAGES) > /dev/null 2>&1 || { $(SUDO) apt-get update --quiet && \
	DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install --quiet --yes --no-install-recommends $(PACKAGES); } || \
	echo "Without $(PACKAGES) the tests that drive them are skipped."

pull: $(STAMP) ## the data and the embedded models, from store/
	@$(BIN)/python -m tasks.running.pull data.dvc base few_shot_world habits grounding_habits caption_habits judge_start page_retriever

SYSTEM ?= visual_rft
reproduce: pull ## a paper's claim on the embedded default: make reproduce SYSTEM=visual_rft (45 minutes)
	$(BIN)/dvc repro $(SYSTEM)

up: pull ## Prefect and MLflow in the browser, on 127.0.0.1
	$(BIN)/python -m flows.platform.up

JUDGE ?= outputs/judge
serve: pull ## a judge that other trainers ask, on 127.0.0.1: make serve JUDGE=outputs/judge
	$(BIN)/python -m tasks.judging.serve --judge $(JUDGE)

down: $(STAMP) ## stop them from elsewhere
	$(BIN)/python -m flows.platform.up --stop

doctor: $(STAMP) ## repair what a kill left behind, without starting anything
	$(BIN)/python -m flows.platform.doctor

promote: $(STAMP) ## make promote MODEL=models:/policy/3: what models:/policy@best names
	$(BIN)/python -m flows.platform.promote $(MODEL)

demote: $(STAMP) ## make demote MODEL=policy: the one before is the best again
	$(BIN)/python -m flows.platform.promote $(MODEL) --undo

repro: pull ## the same chain without Prefect
	$(BIN)/dvc repro report

world: $(STAMP) ## draw the embedded data set again
	$(BIN)/python -m tasks.world.shards data && $(BIN)/dvc add data

# torch is asked for by its exact version first: where a CPU build is offered it is the one taken
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -m venv .venv
	@echo "Installing into .venv; it takes some minutes."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet torch==2.13.0
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $(STAMP)

# what tests need besides: DeepSpeed, an S3 server, a browser's driver
$(TESTING): $(STAMP)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $(TESTING)

bench-asking: pull ## asking a model, shared beginnings beside whole prompts: bench/asking.json
	$(BIN)/python -m bench.asking

bench-caption: pull ## rating and writing captions, shared beginnings beside whole prompts: bench/caption.json
	$(BIN)/python -m bench.caption

bench-grounding: pull ## locating and reading back, a page read once: bench/grounding.json
	$(BIN)/python -m bench.grounding

bench-grpo: pull ## a GRPO step, stock TRL beside ours: bench/grpo.json
	$(BIN)/python -m bench.grpo

bench-detection: $(TESTING) ## average precision, both libraries beside ours: bench/detection.json
	$(BIN)/python -m bench.detection

bench-demo: pull ## the demo, twice: its figures and its time: bench/demo.json
	$(BIN)/python -m bench.demo

bench-judging: pull ## a judge behind its endpoint beside one in this process: bench/judging.json
	$(BIN)/python -m bench.judging_server

bench-search: $(TESTING) ## searching an index, ours beside colpali-engine or transformers: bench/search.json
	$(BIN)/python -m bench.search

bench-tools: $(TESTING) packages ## what a sandbox and a search of passages cost: bench/tools.json, bench/search_tools.json
	$(BIN)/python -m bench.tools
	$(BIN)/python -m bench.search_tools

bench-tower: pull ## a fine-tuning step, a frozen tower that looks each time beside one that remembers: bench/tower.json
	$(BIN)/python -m bench.tower

bench-platform: pull ## what Prefect, DVC and MLflow cost beside a plain script: bench/platform.json
	$(BIN)/python -m bench.platform

.PHONY: docs
docs: pull ## the measured tables of README.md and docs/, from bench/*.json and the base's scores
	$(BIN)/python -m bench.docs
