"""The item catalogue kept: imported from and exported to CSV and Excel, stored by version, asked by REST."""
