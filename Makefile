# One command each, on a machine with Python 3.11 or newer and nothing else:
#   make book        environment -> notebooks run by papermill -> website; prints where it is
#   make test        environment -> lint -> tests
#   make reproduce   recompute every stored result, run every chapter again, build the site
#   make pages       write the pages that are made from docstrings and stored results
#   make pdf         print the built site by headless Chromium: one PDF a page, in book/_build/pdf
#   make bench       time and memory of training against the machine and against other ways
#   make findings    every theorem's claim beside what was measured
#   make lowest      try the library with the oldest versions that pyproject.toml admits
#   make lint | venv | clean
# Variables: SCALE=smoke|book|paper  FORCE=1 (run chapters again though current)  JOBS=n
#            BOOK_URL=... BOOK_REPOSITORY=...  (where site and source stand, see book/rerun.md)
#            PYTHON=python3.12 (used once, to make .venv)
#            TORCH_INDEX=https://download.pytorch.org/whl/cu130  (a GPU build of torch)

PYTHON ?= python3
SCALE ?= book
FORCE ?=
JOBS ?=
TORCH_INDEX ?= $(or $(shell cat .venv/.torch-index 2>/dev/null),https://download.pytorch.org/whl/cpu)

BIN := .venv/bin
STAMP := .venv/.installed
BOOK_OPTIONS = $(if $(JOBS),--jobs $(JOBS))
# The site is built from book/ alone, which is why two files stand there too; links do not travel.
PAGES = cp _config.yml _toc.yml book/ && $(BIN)/python book/paper_to_code.py && $(BIN)/python book/api.py && $(BIN)/python book/trust_lists.py && \
    $(BIN)/python book/answer.py && $(BIN)/python book/opening.py && $(BIN)/python book/story.py
BUILD = cp _config.yml _toc.yml book/ && $(BIN)/jupyter-book build book/ -W -n --keep-going

# Whatever the language of this machine, files are read and written as UTF-8.
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: ask help venv book pages pdf test reproduce findings bench lowest lint clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

venv: $(STAMP)

$(STAMP): requirements.txt pyproject.toml .venv/.torch-index .venv/.place
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
	    $$($(BIN)/python -c "$$PROBE" '$(TORCH_INDEX)') -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@

# Remembers which build of torch is installed; naming another one replaces it.
.venv/.torch-index: ask | .venv/bin/python
	@echo '$(TORCH_INDEX)' | cmp -s - $@ || { \
	    if [ -e $@ ]; then $(BIN)/python -m pip uninstall --quiet --yes torch; fi; echo '$(TORCH_INDEX)' > $@; }

# Programs in .venv name the folder they were installed in: when it is renamed, so are they.
.venv/.place: ask | .venv/bin/python
	@$(BIN)/python -c "$$SETTLE"

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: PYTHON = $(PYTHON) was not found; install Python 3.11 or newer, or name it: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: PYTHON = $(PYTHON) is $$($(PYTHON) -V 2>&1) and must be 3.11 or newer; name another one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "make: PYTHON = $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# Adds the index only where it can be reached: elsewhere torch comes from pip's own sources.
define PROBE
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1].rstrip("/") + "/torch/", timeout=5).close()
    print("--extra-index-url", sys.argv[1])
except OSError as error:
    print(f"{sys.argv[1]} not reached ({error}); torch comes from the configured index", file=sys.stderr)
endef
export PROBE

define SETTLE
import pathlib, sys
venv = pathlib.Path(".venv").resolve()
place = venv / ".place"
made = (venv / "pyvenv.cfg").read_text(encoding="utf-8").partition(" -m venv ")[2].strip()
there, here = place.read_text(encoding="utf-8") if place.exists() else made or str(venv), str(venv)
if there != here and " " in here:  # the first line of a program cannot hold that
    sys.exit(f"make: .venv was made in {there} and cannot be used here; run `make clean`, then this again")
for file in (venv / "bin").iterdir() if there != here else ():
    content = b"" if file.is_symlink() or not file.is_file() else file.read_bytes()
    if there.encode() in content and b"\0" not in content:
        file.write_bytes(content.replace(there.encode(), here.encode()))
if there != here:
    print(f"make: .venv was made in {there}; its programs now know where they are", file=sys.stderr)
if there != here or not place.exists():
    place.write_text(here, encoding="utf-8")
endef
export SETTLE

# The store is filled first: there every core works on one experiment and a bar shows the time left.
book: $(STAMP)
	$(BIN)/python -m mvlib run --scale $(SCALE)
	$(BIN)/python book/execute.py --scale $(SCALE) $(BOOK_OPTIONS) $(if $(FORCE),--force)
	$(PAGES)
	$(BUILD)
	@echo "The book: file://$(CURDIR)/book/_build/html/index.html"

reproduce: $(STAMP)
	$(BIN)/python -m mvlib run --scale $(SCALE) --recompute
	$(BIN)/python book/execute.py --scale $(SCALE) $(BOOK_OPTIONS) --force
	$(PAGES)
	$(BUILD)
	@echo "The book: file://$(CURDIR)/book/_build/html/index.html"

pages: $(STAMP)
	$(PAGES)

pdf: $(STAMP)
	$(BUILD)
	$(BIN)/python book/pdf.py

findings: $(STAMP)
	$(BIN)/python -m mvlib findings --scale $(SCALE)

# JAX is a contender, not a requirement: without it its measure is null.
bench: $(STAMP)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -r benchmarks/requirements.txt || \
	    echo "make: jax could not be installed; the benchmarks go on without it" >&2
	$(BIN)/python benchmarks/run.py

lowest:
	.ci/lowest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Files of tests side by side, one core each, in their order: the largest, of the site, comes early.
# Then those that time something, with the cores to themselves.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone

# Leaves results/ and book/chapters/ alone: they are part of the repository.
clean:
	rm -rf .venv book/_build build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
