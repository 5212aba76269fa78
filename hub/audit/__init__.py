"""The audit log: append-only, chained by keyed hashes, so that an altered, removed or swapped row is found."""
