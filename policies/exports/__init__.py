"""A policy document in other languages: one file of Python, one statement of SQL. Standard library only."""
