"""What chains cost in a gRPC library, measured."""
