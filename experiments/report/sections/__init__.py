"""The parts of a run's page, one a file: each takes the run and returns a section, or says what is missing."""
