#!/bin/sh
# Installs the peers (README.md) into a folder outside the project: PALI_PEERS, or pali-peers in the user's cache.
# PALI_PEERS_TORCH names a Python that has torch and transformers already; without it PyPI's torch is installed, which
# brings several gigabytes for GPUs along.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${PALI_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pali-peers}
python=$home/venv/bin/python

fail() {
    echo "setup.sh: $1" >&2
    exit 1
}

# gcc 12 builds a ggml that dies in its AMX kernels: clang, 19 where there is one, else the newest from 16 on.
find_clang() {
    for version in 19 22 21 20 18 17 16; do
        if command -v "clang++-$version" >/dev/null; then
            echo "$version"
            return
        fi
    done
}

clang=$(find_clang)
if [ -z "$clang" ]; then
    { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || fail "missing clang 16 or newer; run: sudo apt-get install clang-19 libomp-19-dev"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends clang-19 libomp-19-dev
    clang=$(find_clang)
fi
echo "setup.sh: llama.cpp is compiled with clang $clang"

mkdir -p "$home"
home=$(cd "$home" && pwd)
[ -x "$python" ] || python3 -m venv "$home/venv"

# All of ggml's CPU libraries, one for each kind of processor. ggml takes the best that it finds in the folder it was
# built for, so they are moved aside and the one that is wanted is linked there when it runs (llama_peer.py).
rm -rf "$home/ggml" "$home/ggml-libraries"
CC=clang-$clang CXX=clang++-$clang CMAKE_BUILD_PARALLEL_LEVEL=$(getconf _NPROCESSORS_ONLN) \
CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_BACKEND_DIR=$home/ggml" \
    "$python" -m pip install --no-cache-dir --no-binary llama-cpp-python -r "$here/requirements.txt"
mv "$home/ggml" "$home/ggml-libraries"

if [ -n "${PALI_PEERS_TORCH:-}" ]; then
    torch=$(command -v "$PALI_PEERS_TORCH") || fail "PALI_PEERS_TORCH: found '$PALI_PEERS_TORCH', expected a Python"
else
    torch=$python
    "$torch" -m pip install -r "$here/requirements-torch.txt"
fi
"$torch" -c 'import torch, transformers' || fail "$torch: has no torch and transformers"
# No link: a Python of a virtual environment is known by where it is called.
printf '#!/bin/sh\nexec "%s" "$@"\n' "$torch" >"$home/torch-python"
chmod +x "$home/torch-python"
