"""The one error of the local stack."""

from music_platform.errors import PlatformError


class LocalStackError(PlatformError):
    """Something keeps the local stack from doing what was asked."""
