#!/usr/bin/env bash
# Istio with sidecars in the cluster of kubectl; pods of NAMESPACE get one when they start.
set -euo pipefail

NAMESPACE=${NAMESPACE:-default}
ISTIOCTL=$("$(dirname "$0")/istioctl.sh")

"$ISTIOCTL" install --skip-confirmation --set profile=default
kubectl create namespace "$NAMESPACE" --dry-run=client -o yaml | kubectl apply --server-side -f -
kubectl label namespace "$NAMESPACE" istio-injection=enabled istio.io/dataplane-mode- --overwrite
"$ISTIOCTL" version
