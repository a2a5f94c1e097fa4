"""Logs as estimators read them: checked, frozen, from tables, ledgers and public data."""
