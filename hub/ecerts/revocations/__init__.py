"""Certificates that hold no longer by a notice: remembered, and asked about by whoever commits that one is relied on."""
