"""Models that estimates rest on, cross-fitted: of rewards, of propensities, of values."""
