"""What a person can mend: errors whose message says what is wrong, where, and what to do next."""


class PlatformError(Exception):
    """Shown as its message alone, without a traceback, on the command line and in a run's failure."""
