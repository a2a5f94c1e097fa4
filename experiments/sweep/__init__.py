"""Sweeps: one experiment under many settings and seeds, on as many processes as there are, and on after any stop."""
