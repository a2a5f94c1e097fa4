"""Where simulator, agents and policies meet: configs, runs, comparisons, the command line."""
