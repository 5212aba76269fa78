"""Codes that the provincial library issued and a holder shows: handed to the hub, agreed to by the holder, used once as a basis."""
