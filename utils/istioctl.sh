#!/usr/bin/env bash
# Prints the path of istioctl in ISTIO_VERSION; where it is not on this machine yet, downloads it below ~/.cache.
set -euo pipefail

export ISTIO_VERSION=${ISTIO_VERSION:-1.31.0}
FOLDER=${XDG_CACHE_HOME:-$HOME/.cache}/appnet-istio
PROGRAM=$FOLDER/istio-$ISTIO_VERSION/bin/istioctl

if [ ! -x "$PROGRAM" ]; then
    mkdir -p "$FOLDER"
    (cd "$FOLDER" && curl -fsSL https://istio.io/downloadIstio | sh - >&2)
fi
echo "$PROGRAM"
