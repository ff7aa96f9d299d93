"""What the gold marts must contain after a run, by the formulas of docs/reference/marts.md.

Computed from the simulator's own log of what it delivered (`log`), by its own SQL (`compute` and the .sql files next to
it, one for each mart). Neither the wire format nor any code of the platform's pipeline takes part.
"""
