"""Experiments on people, planned and judged: how many users, for how long, when to look, and when to stop."""
