"""Bandits: agents that learn what a decision brings by itself, each a file, each with its source."""
