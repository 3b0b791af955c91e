# What people do with a checkout. Each of these first makes .venv, or brings it up to date.
#
#   make run                          start Portolan here; PORTOLAN_ variables are its settings; Ctrl-C ends it
#   make test                         all tests
#   make test ARGS="tests/cas -k x"   some of them
#   make check                        style, types, direction of imports, dead links in the documentation
#   make lock                         write requirements/*.lock anew (ARGS=--upgrade: with the newest versions)
#   make clean                        remove .venv and what was built
#
# PYTHON=python3.12 chooses the Python that .venv is made with; where there is one already, `make clean` first.

PYTHON ?= python3
ARGS ?=

bin := .venv/bin
# Touched last, so that an installation that was interrupted is done again.
installed := .venv/.installed
locks := requirements/portolan.lock requirements/test.lock
pip := $(bin)/python -m pip --disable-pip-version-check --no-input
compile := $(bin)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	--no-emit-find-links --no-header

.PHONY: help run test check lock clean

help:
	@sed -n 's/^#   //p' Makefile

run: $(installed)
	@exec $(bin)/portolan serve

test: $(installed)
	$(bin)/python -m pytest $(ARGS)

check: $(installed)
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/python -m tests.docs.links

lock: $(installed)
	$(compile) $(ARGS) --output-file=requirements/portolan.lock pyproject.toml
	$(compile) $(ARGS) --extra=test --constraint=requirements/portolan.lock --output-file=requirements/test.lock \
		pyproject.toml
	$(compile) $(ARGS) --only-build-deps --build-deps-for=wheel --constraint=requirements/test.lock \
		--output-file=requirements/build.lock pyproject.toml
	$(compile) $(ARGS) --output-file=requirements/scanners.lock requirements/scanners.in

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(installed): $(locks) pyproject.toml
	@$(PYTHON) -c 'import sys; found = sys.version_info; ok = found >= (3, 11); \
		ok or print("Portolan needs Python 3.11 or newer, and $(PYTHON) is %d.%d.%d." % tuple(found[:3]), file=sys.stderr); \
		sys.exit(not ok)' || \
		{ echo 'Name another one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(bin)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv || \
		{ rm -rf .venv; echo 'Cannot make .venv; on Debian the package python3-venv is needed.' >&2; exit 1; }
	$(pip) install --quiet --require-hashes -r requirements/test.lock
	$(pip) install -qq --no-deps --no-build-isolation --editable .
	@touch $@
