"""Chains inside an application, run by interceptors of its own gRPC library."""
