"""OFD documents and electronic seals (GB/T 33190, GB/T 38540, GM/T 0031)."""
