#!/bin/sh
# setup.sh build|test: makes sure that what the build (or the tests) needs is
# there. Says nothing when it is; else installs it with apt or brew; else
# prints the command that would and fails.
set -u
purpose=${1:-build}
oldest_cmake=3.25

have() { command -v "$1" >/dev/null 2>&1; }

os=other
if [ "$(uname)" = Darwin ]; then
    os=brew
elif have apt-get; then
    os=apt
elif have dnf; then
    os=dnf
elif have pacman; then
    os=pacman
elif have apk; then
    os=apk
fi

# need APT BREW DNF PACMAN APK: adds this system's package ("-": comes with it).
missing=
need() {
    case $os in
        apt) package=$1 ;;
        brew) package=$2 ;;
        dnf) package=$3 ;;
        pacman) package=$4 ;;
        apk) package=$5 ;;
        *) package=$1 ;;
    esac
    [ "$package" = - ] || missing="$missing $package"
}

library() { # MODULE and its packages
    module=$1
    shift
    have pkg-config && pkg-config --exists "$module" || need "$@"
}

header() { # HEADER and its packages, where there is no pkg-config module
    name=$1
    shift
    for folder in /usr/include /usr/local/include /opt/homebrew/include; do
        [ -f "$folder/$name" ] && return
    done
    echo "#include <stdio.h>
#include <$name>" | ${CC:-cc} -E - >/dev/null 2>&1 || need "$@"
}

look() {
    missing=
    optional=
    have "${CC:-cc}" || need build-essential - gcc base-devel build-base
    have cmake || need cmake cmake cmake cmake cmake
    have pkg-config || need pkg-config pkgconf pkgconf pkgconf pkgconf
    library libjpeg libjpeg-dev jpeg-turbo libjpeg-turbo-devel libjpeg-turbo libjpeg-turbo-dev
    library libpng libpng-dev libpng libpng-devel libpng libpng-dev
    library libwebp libwebp-dev webp libwebp-devel libwebp libwebp-dev
    library zlib zlib1g-dev zlib zlib-devel zlib zlib-dev
    library jansson libjansson-dev jansson jansson-devel jansson jansson-dev
    library yaml-0.1 libyaml-dev libyaml libyaml-devel libyaml yaml-dev
    header gif_lib.h libgif-dev giflib giflib-devel giflib giflib-dev
    [ "$purpose" = test ] || return 0
    library cmocka libcmocka-dev cmocka libcmocka-devel cmocka cmocka-dev
    # Build and run the kernels of processors that this one is not; those tests are skipped without them.
    [ $os = apt ] && [ "$(uname -m)" = x86_64 ] || return 0
    have qemu-x86_64 || optional=" qemu-user"
    have aarch64-linux-gnu-gcc || optional="$optional gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
}

# May we install without a question that nobody is there to answer?
may_install() {
    case $os in
        apt) [ "$(id -u)" = 0 ] || { have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; } ;;
        brew) have brew ;;
        *) false ;;
    esac
}

apt() {
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 "$@"
}

install() {
    echo "pali: installing $*" >&2
    case $os in
        apt) apt update >&2 && apt install --no-install-recommends --no-remove "$@" >&2 ;;
        brew) brew install "$@" >&2 ;;
    esac
}

look
if [ -n "$missing$optional" ] && may_install; then
    # shellcheck disable=SC2086 # one word a package
    [ -z "$missing" ] || install $missing
    # shellcheck disable=SC2086 # apart: a cross compiler does not go with gcc-multilib
    [ -z "$optional" ] || install $optional
    look
fi
[ -z "$optional" ] || echo "pali: without$optional the tests of other processors are skipped" >&2
if [ -n "$missing" ]; then
    case $os in
        apt) command="sudo apt-get update && sudo apt-get install$missing" ;;
        brew) command="brew install$missing   (brew: https://brew.sh)" ;;
        dnf) command="sudo dnf install make$missing" ;;
        pacman) command="sudo pacman -S make$missing" ;;
        apk) command="apk add make$missing" ;;
        *) command="install what Debian calls$missing" ;;
    esac
    printf 'pali: missing:%s\npali: run this, then make again:\n    %s\n' "$missing" "$command" >&2
    exit 1
fi

version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/p')
if [ "${version%%.*}" -lt "${oldest_cmake%%.*}" ] ||
    { [ "${version%%.*}" -eq "${oldest_cmake%%.*}" ] && [ "${version#*.}" -lt "${oldest_cmake#*.}" ]; }; then
    echo "pali: found CMake $version, expected $oldest_cmake or newer: https://cmake.org/download (or: pipx install cmake)" >&2
    exit 1
fi
