"""Subscribers and sources that take CloudEvents 1.0 over a signed webhook."""
