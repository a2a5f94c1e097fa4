"""Policies learned from logs alone, kept near what the logs know."""
