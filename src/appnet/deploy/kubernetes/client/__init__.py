"""What `appnetctl` asks of a cluster, and writes there."""
