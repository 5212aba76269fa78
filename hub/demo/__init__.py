"""``hub demo``: the hub, registries, a certificate library and their callers as real processes on loopback, and a scenario."""
