"""X.509: certificates, names and extensions over raw DER, paths, revocation (RFC 5280, RFC 6960)."""
