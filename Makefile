# The front door: installs what is missing, then hands over to CMake and its
# presets (CMakePresets.json), which can be used directly as well.

JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PREFIX ?= /usr/local

# Ninja where there is one; CMake's own default elsewhere.
ifneq ($(shell command -v ninja 2>/dev/null),)
export CMAKE_GENERATOR ?= Ninja
endif

# $(call build,PRESET,[TARGET]): configure silently (the log stays in build/), then compile.
define build
	@mkdir -p build
	@cmake --preset $(1) >build/configure-$(1).log 2>&1 || { cat build/configure-$(1).log; exit 1; }
	@cmake --build --preset $(1) -j $(JOBS) $(if $(2),--target $(2))
endef

.PHONY: help demo test bench bench-kernels install clean setup setup-tests

help:
	@echo 'make demo     build pali and let the nano model answer about a few pictures'
	@echo 'make test     build with all warnings as errors and run every test'
	@echo 'make bench    measure this machine, with random weights of PaliGemma 3B (6.5 GB of memory)'
	@echo 'make bench-kernels   measure the inner loops one by one'
	@echo 'make install  install headers, library, program and the nano model under PREFIX=$(PREFIX)'
	@echo 'make clean    remove build/'
	@echo 'Missing packages are installed with apt or brew, or named. JOBS=$(JOBS) compilers at a time.'

demo: setup
	$(call build,release)
	@sh examples/demo.sh build/release

test: setup-tests
	$(call build,dev)
	@ctest --preset dev -j $(JOBS)

bench: setup
	$(call build,release)
	@build/release/apps/pali bench

bench-kernels: setup
	$(call build,release,bench)
	@sh tools/bench.sh build/release

install: setup
	@mkdir -p build && cmake --preset release -DCMAKE_INSTALL_PREFIX='$(PREFIX)' >build/configure-release.log 2>&1 || { cat build/configure-release.log; exit 1; }
	$(call build,release)
	@cmake --install build/release --prefix '$(PREFIX)'

clean:
	@rm -rf build

setup:
	@sh tools/setup.sh build

setup-tests:
	@sh tools/setup.sh test
