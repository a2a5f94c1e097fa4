"""Baselines that a learner must beat: rules and simple models, each tuned by a small search."""
