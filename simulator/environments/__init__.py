"""Gymnasium environments: users to send to, one by one, side by side, or as a population."""
