"""A believable music-streaming service: users, catalogue, sessions, events, and the truth about them.

The folder is called `simulator`, the package `music_simulator`, which nobody else installs. Does not belong here: the
platform's own computations. The truth is independent of them, or it would prove nothing.
"""
