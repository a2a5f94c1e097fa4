"""Experiments: one file, one command, one folder with an answer that can be reproduced."""
