"""Recording: run a policy in the environments and write every decision to the ledger."""
