"""Addresses for uploads into stages."""

import hashlib
import hmac
import secrets
from urllib.parse import quote

UPLOAD_PATH = "/stage/"


class Uploads:
    """Signs the addresses of uploads, as Snowflake's stages do: only who was given one may write to it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def signed(self, base_url: str, path: str) -> str:
        """The address to which a file of this path in the stages is uploaded."""
        return f"{base_url}{UPLOAD_PATH}{quote(path)}?signature={self._signature(path)}"

    def allows(self, path: str, signature: str) -> bool:
        """Whether this server has signed the address."""
        return hmac.compare_digest(self._signature(path), signature)

    def _signature(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()
