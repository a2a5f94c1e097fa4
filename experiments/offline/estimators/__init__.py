"""Estimators of a policy's value from the log of another: each a short function of a log beside a target policy."""
