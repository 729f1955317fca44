"""The machine below: addresses, child processes, caches, the C compiler."""
