#!/usr/bin/env bash
# A Kubernetes in containers of this machine, by kind (https://kind.sigs.k8s.io), with AppNet's image if docker has it.
set -euo pipefail

CLUSTER=${CLUSTER:-appnet}
IMG=${IMG:-appnet:latest}

kind create cluster --name "$CLUSTER" --wait 300s
if docker image inspect "$IMG" > /dev/null 2>&1; then
    kind load docker-image "$IMG" --name "$CLUSTER"
fi
echo "Delete it with: kind delete cluster --name $CLUSTER"
