"""How the hub and each endpoint are: one overview for the console, the metrics and the alerts alike."""
