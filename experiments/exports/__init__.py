"""Exports: documents in other forms, with a certificate of what was lost on the way."""
