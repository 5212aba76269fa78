"""Who the holder is: a login at the identity service of the region, by a nonce of the hub, for one act of one system."""
