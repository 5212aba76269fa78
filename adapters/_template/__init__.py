"""The template of a new adapter: ``make adapter name=x`` copies it. It works as it stands; FILL IN marks what is to be replaced."""
