#!/usr/bin/env bash
# A Kubernetes on this machine, by minikube (https://minikube.sigs.k8s.io), with AppNet's image if docker has it.
set -euo pipefail

PROFILE=${PROFILE:-appnet}
IMG=${IMG:-appnet:latest}

minikube start --profile "$PROFILE" --cpus "${CPUS:-4}" --memory "${MEMORY:-8g}" --wait all
if docker image inspect "$IMG" > /dev/null 2>&1; then
    minikube image load "$IMG" --profile "$PROFILE"
fi
echo "Delete it with: minikube delete --profile $PROFILE"
