# A 64-bit Arm build on another machine: Debian's gcc-aarch64-linux-gnu, with
# qemu-aarch64 to run the tests (the kernels' own do by themselves, as tests
# kernels_arm_*). For all of pali the libraries come from the arm64 packages
# (dpkg --add-architecture arm64; libpng-dev:arm64 ...) unless PKG_CONFIG_LIBDIR
# and PKG_CONFIG_SYSROOT_DIR name another place.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
if(NOT DEFINED ENV{PKG_CONFIG_LIBDIR})
  set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
endif()
