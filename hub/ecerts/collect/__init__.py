"""Collecting (归集): e-certificates from issuing systems, checked and passed on to the provincial library."""
