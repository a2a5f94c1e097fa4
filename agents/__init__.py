"""Everything that learns, or that a learner is measured against."""
