#!/usr/bin/env bash
# Istio without sidecars (ambient) in the cluster of kubectl; NAMESPACE gets a waypoint, which its calls pass.
set -euo pipefail

NAMESPACE=${NAMESPACE:-default}
GATEWAY_API=${GATEWAY_API:-v1.4.0}
ISTIOCTL=$("$(dirname "$0")/istioctl.sh")

kubectl apply --server-side \
    -f "https://github.com/kubernetes-sigs/gateway-api/releases/download/$GATEWAY_API/standard-install.yaml"
"$ISTIOCTL" install --skip-confirmation --set profile=ambient
kubectl create namespace "$NAMESPACE" --dry-run=client -o yaml | kubectl apply --server-side -f -
kubectl label namespace "$NAMESPACE" istio.io/dataplane-mode=ambient istio-injection- --overwrite
"$ISTIOCTL" waypoint apply --namespace "$NAMESPACE" --enroll-namespace --overwrite --wait
"$ISTIOCTL" version
