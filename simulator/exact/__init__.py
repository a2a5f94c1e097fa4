"""Small worlds whose optimum is known exactly, so that any agent can be reported against it.

| id | question | file |
|---|---|---|
| `kairos/ExactA-v0` | when to send to one user, and how often | `fatigue.py` |
| `kairos/ExactB-v0` | whom to send what, on which channel | `segments.py` |
| `kairos/ExactC-v0` | how long to wait between sends | `waiting.py` |
| `kairos/ExactD-v0` | who of several users gets the one send | `restless.py` |

Importing this package registers the ids. `standing.value_of(env, act)` gives an agent's exact value,
`standing.standing(env, act)` puts it beside the optimum and the best simple rule.
"""

from simulator.exact.registration import register_exact

__all__ = ["register_exact"]

register_exact()
