"""Every agent on the same users: tuned baselines, bandits, reinforcement learning, and a learner that sees more."""
