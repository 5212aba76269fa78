"""E-certificates: whether a fetched document may be relied on, decided here alone by asking :mod:`certs`."""
