"""The kinds of policy that a document can hold: of each its fields, its strict reader, and what it prefers.

A kind is one file with a frozen dataclass (its fields are those of the JSON), a function that reads it, and a chooser
that is made ready once and then asked for preferences: a number for each action, -inf for those that are not eligible.
"""
