"""Agents judged in the simulator: the same users with the same luck for each."""
