"""The xDS server, and what it knows of each proxy."""
