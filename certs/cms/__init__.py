"""Signed messages: CMS, PKCS #7, GB/T 35275, and timestamps (RFC 3161)."""
