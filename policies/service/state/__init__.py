"""Where users, decisions and outcomes are kept."""
