"""Applications as Kubernetes objects, in files."""
