"""One folder per system product: manifest, mapping, client, simulator. The registry is :mod:`adapters.registry`."""
