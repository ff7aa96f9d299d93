"""The secret of a home, which its broker, Spark server, warehouse and web pages require from clients.

Local ports are open to every user and every program on the machine. `up` creates the secret once, in a file that only
this user can read. Services inherit it, and clients read it with the other settings. To get a new one, delete the file
while the stack is down.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from dotenv import dotenv_values

from music_platform.environment import settings_environment
from music_platform.settings import Settings
from music_platform.sources import SECRET_FILE

_NAME = "MUSIC_SECRET"


def with_secret(settings: Settings, *, make: bool = False) -> Settings:
    """The settings with the secret of their home. With `make`, create one if there is none."""
    if settings.music_secret is not None:
        return settings
    path = settings.home / SECRET_FILE
    if make and not path.exists():
        _write(path)
    found = dotenv_values(path).get(_NAME) if path.is_file() else None
    return settings.model_copy(update={"music_secret": found}) if found else settings


def _write(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"# Created by `music-platform up`. Anyone who has it can use this home's services.\n{_NAME}=")
        file.write(secrets.token_urlsafe(32) + "\n")
    draft.replace(path)


def fingerprint(settings: Settings) -> str:
    """A fingerprint that changes with any secret setting and reveals none of them."""
    everything = settings_environment(settings, secrets=True)
    known = settings_environment(settings, secrets=False)
    private = sorted((name, value) for name, value in everything.items() if name not in known)
    return hmac.new((settings.music_secret or "").encode(), repr(private).encode(), hashlib.sha256).hexdigest()[:16]
