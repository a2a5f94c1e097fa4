"""Promises about the shape of the project, read from its files rather than from its behaviour."""
