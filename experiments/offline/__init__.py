"""Policies and models judged on logged data."""
