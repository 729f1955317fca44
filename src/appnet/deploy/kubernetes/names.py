"""What AppNet calls its own in a cluster. Installed clusters have these names: changing one orphans what has it."""

from __future__ import annotations

SYSTEM = "appnet-system"
"""The namespace that AppNet is installed to."""

CONTROLLER = "appnet-controller"
"""The controller's Deployment, Service, Secret and Lease, and what it signs its objects with."""

MANAGED_BY = "app.kubernetes.io/managed-by"
"""Label of everything that the controller or a compilation makes."""

FINALIZER = "api.core.appnet.io/controller"
"""Keeps an AppNetConfig until nothing is left of what was made for it."""

LEASE_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{CONTROLLER}"
"""Where the API server says which controller leads."""
