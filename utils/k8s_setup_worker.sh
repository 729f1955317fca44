#!/usr/bin/env bash
# What a node of a Kubernetes needs before kubeadm: containerd, kubeadm, kubelet and kubectl (Ubuntu or Debian). Run it as root.
set -euo pipefail

K8S_MINOR=${K8S_MINOR:-v1.36}
KEYS=/etc/apt/keyrings/kubernetes.gpg

swapoff -a
sed -i '/\sswap\s/ s/^#*/#/' /etc/fstab

printf 'overlay\nbr_netfilter\n' > /etc/modules-load.d/kubernetes.conf
modprobe -a overlay br_netfilter
printf '%s = 1\n' net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_forward \
    > /etc/sysctl.d/kubernetes.conf
sysctl --system > /dev/null

apt-get update
apt-get install -y ca-certificates containerd curl gpg
mkdir -p /etc/containerd "$(dirname "$KEYS")"
containerd config default | sed 's/SystemdCgroup = false/SystemdCgroup = true/' > /etc/containerd/config.toml
systemctl restart containerd

curl -fsSL "https://pkgs.k8s.io/core:/stable:/$K8S_MINOR/deb/Release.key" | gpg --dearmor --yes -o "$KEYS"
echo "deb [signed-by=$KEYS] https://pkgs.k8s.io/core:/stable:/$K8S_MINOR/deb/ /" > /etc/apt/sources.list.d/kubernetes.list
apt-get update
apt-get install -y kubeadm kubectl kubelet
apt-mark hold kubeadm kubectl kubelet
