"""What the gold marts must contain after a run, by the formulas of docs/marts.md.

Computed from the simulator's own log of what it delivered (`log`), by statements of its own (`compute` and the .sql
files beside it, one for each mart), never from the wire and through none of the platform's code.
"""
