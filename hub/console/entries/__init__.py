"""Pages of what the e-certificate rooms keep: requests, batches, codes, consents, notices."""
