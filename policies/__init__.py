"""The contract and the runtime: standard library only."""
