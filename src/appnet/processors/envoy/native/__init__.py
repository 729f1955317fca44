"""Native modules: the loader that Envoy opens."""
