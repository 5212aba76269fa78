"""E-certificate library of another province: CertificateID, CertificateType, CertificateHolderCode, UseFor."""
