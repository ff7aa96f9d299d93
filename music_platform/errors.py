"""Errors that a person can fix. Their messages say what is wrong, where, and what to do next."""


class PlatformError(Exception):
    """Shown as its message only, without a traceback, on the command line and in a run's failure.

    `exit_code` is the command line's; 2 is for a command that was called wrongly.
    """

    exit_code = 1


class LocalStackError(PlatformError):
    """The local stack cannot do what was asked."""
