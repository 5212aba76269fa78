"""Verification of documents, messages and X.509 paths: no network, no clock, no database.

Time, trust store, policy and fetchers are arguments. ``verify`` in :mod:`certs.verify` is the front door;
:mod:`certs.report` is the shape of every answer.
"""
