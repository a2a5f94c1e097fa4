"""What bandits know and how they forget: sums, posteriors, and the probability that a draw is the highest."""
