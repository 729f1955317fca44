"""What RPCs cost in a real Envoy."""
