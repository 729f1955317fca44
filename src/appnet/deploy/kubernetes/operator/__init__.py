"""The controller of a cluster: AppNetConfigs in, what proxies run and a status out."""
