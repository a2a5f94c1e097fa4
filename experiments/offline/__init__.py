"""Offline evaluation: what a policy would be worth, from the log of another."""
