"""The evidence service: one call names the item, the right certificates come back. See docs/protocol/evidence-service.md."""
