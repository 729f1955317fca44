#!/usr/bin/env bash
# A Kubernetes control plane by kubeadm on this machine (Ubuntu or Debian), which also runs pods. Run it as root.
# Workers join with utils/k8s_setup_worker.sh and the command that this prints.
set -euo pipefail
cd "$(dirname "$0")"

# Flannel's own range: it needs no settings then.
POD_CIDR=${POD_CIDR:-10.244.0.0/16}
USER_NAME=${SUDO_USER:-root}
USER_HOME=$(getent passwd "$USER_NAME" | cut -d: -f6)

./k8s_setup_worker.sh

kubeadm init --pod-network-cidr="$POD_CIDR"
install -d -o "$USER_NAME" "$USER_HOME/.kube"
install -m 600 -o "$USER_NAME" /etc/kubernetes/admin.conf "$USER_HOME/.kube/config"
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl apply -f https://github.com/flannel-io/flannel/releases/latest/download/kube-flannel.yml
kubectl taint nodes --all node-role.kubernetes.io/control-plane- || true  # it may have none
kubectl wait --for=condition=Ready node --all --timeout=300s

echo 'On each worker: utils/k8s_setup_worker.sh, and then'
kubeadm token create --print-join-command
