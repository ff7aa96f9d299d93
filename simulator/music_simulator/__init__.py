"""A realistic simulated music-streaming service: users, catalogue, sessions, events, and the truth about them.

The folder is `simulator`, the package `music_simulator`, a name that no other package has. Does not belong here: the
platform's own computations. The truth is independent of them, or it would prove nothing.
"""
