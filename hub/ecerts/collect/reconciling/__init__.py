"""Reconciling with the library: what differs is found, kept, listed, and sent again."""
