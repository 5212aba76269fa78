"""What only grows, and how long it is kept (docs/operations/README.md)."""
