"""What the hub signs itself, and the certificate authority of tests and demo."""
