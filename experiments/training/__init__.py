"""Training: from a config to an agent, its learning curve, and its policy document."""
