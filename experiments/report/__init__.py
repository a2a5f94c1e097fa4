"""Pages that a colleague can read: building blocks, pictures, and the pages of runs, comparisons and sweeps."""
