"""The law of user behaviour, one file a mechanism."""
