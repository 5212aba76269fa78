"""Each thing to send is a delivery: leased, attempted with no transaction open, and recorded only if the lease still holds."""
