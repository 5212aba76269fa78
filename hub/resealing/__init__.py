"""Bringing what rests sealed under a new key, beside a running hub."""
