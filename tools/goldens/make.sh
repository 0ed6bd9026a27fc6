#!/bin/sh
# Remake everything under tests/data/tiny. Needs the packages that README.md names; PYTHON says which python.
# BIG_VISION, a checkout of google-research/big_vision, adds the comparison with its own model code, run by
# PYTHON_JAX.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
export HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore TRANSFORMERS_VERBOSITY=error

"$python" folders.py
"$python" golden.py
"$python" scores.py
"$python" npz.py
"$python" gguf_files.py
"$python" lora.py
"$python" train.py
if [ -n "${BIG_VISION:-}" ]; then
    "${PYTHON_JAX:-$python}" big_vision_check.py --source "$BIG_VISION"
fi
find ../../tests/data/tiny -type f -exec chmod 644 {} +
