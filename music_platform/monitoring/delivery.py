"""How a message gets to its receivers: the watch's log, and each URL of ALERT_URLS on its own.

Also the ping that tells a dead man's switch that the watch is alive.
"""

import hashlib
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from music_platform.monitoring.alerts import CRITICAL, SUCCESS, WARNING, Message
from music_platform.settings import Settings

#: Takes a message; False if that failed, so that it is sent again.
Send = Callable[[Message], bool]

#: The receiver that is always there.
LOG = "log"
#: Minimum seconds between two pings: the services that take them limit their rate.
PING_SECONDS = 60.0
_TIMEOUT_SECONDS = 10


def receivers(settings: Settings) -> dict[str, Send]:
    """Each receiver by its name. The name of a URL is a hash, because the URL holds a secret and the name is kept in a
    file."""
    urls = (settings.alert_urls or "").split()
    named = {hashlib.sha256(url.encode()).hexdigest()[:16]: url for url in urls}
    return {LOG: _to_log, **{name: partial(_to_url, url) for name, url in named.items()}}


def _to_log(message: Message) -> bool:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {message.severity}: {message.title} | {message.body!r}", flush=True)
    return True


def _to_url(url: str, message: Message) -> bool:
    import apprise

    levels = {
        CRITICAL: apprise.NotifyType.FAILURE,
        WARNING: apprise.NotifyType.WARNING,
        SUCCESS: apprise.NotifyType.SUCCESS,
    }
    receiver = apprise.Apprise()
    receiver.add(url)
    sent = receiver.notify(title=message.title, body=message.body, notify_type=levels[message.severity])
    if not sent:
        scheme = url.partition("://")[0]
        print(f"ALERT_URLS: the receiver {scheme}://… did not take the message; retrying later", file=sys.stderr)
    return bool(sent)


def ping(url: str) -> bool:
    """Tell a dead man's switch that the watch is alive: a GET, as healthchecks.io and its like expect it. Whether it
    was taken."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return bool(response.status < 300)
    except (OSError, ValueError) as error:
        # The error's own text may name the URL, which is a secret.
        print(f"WATCH_PING_URL: the ping failed ({type(error).__name__}); retrying later", file=sys.stderr)
        return False
