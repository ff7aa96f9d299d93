"""Errors that a person can fix: their messages say what is wrong, where, and what to do next."""


class PlatformError(Exception):
    """Shown as its message alone, without a traceback, on the command line and in a run's failure."""


class LocalStackError(PlatformError):
    """Something keeps the local stack from doing what was asked."""
