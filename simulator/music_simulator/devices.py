"""Browsers and devices: the User-Agent headers that users send, and what kind of device each one is.

Version 1 of the wire format carries only a User-Agent. The first pattern that it matches, in order of priority, gives
its device type and operating system. The patterns are the dbt seed `device_patterns.csv`, read here too so that the
simulator and the models know the same devices. A pattern is a SQL LIKE pattern, case-sensitive, with `%` only.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from music_simulator.randomness import F64, I64, cumulative_shares

PATTERNS_CSV = Path(__file__).parents[2] / "dbt_project" / "seeds" / "device_patterns.csv"
OTHER = "Other"


@dataclass(frozen=True)
class Device:
    """A kind of device."""

    type: str
    os: str


#: User-Agent header → weight. The headers are the kind that eventsim sends: most are in literal double quotes.
USER_AGENTS: dict[str, int] = {
    '"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/36.0.1985.143 '
    'Safari/537.36"': 150,
    '"Mozilla/5.0 (Windows NT 6.3; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/36.0.1985.125 '
    'Safari/537.36"': 60,
    "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:31.0) Gecko/20100101 Firefox/31.0": 90,
    "Mozilla/5.0 (Windows NT 6.3; WOW64; Trident/7.0; rv:11.0) like Gecko": 30,
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)": 10,
    '"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 '
    'Safari/537.36"': 90,
    '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4) AppleWebKit/537.36 (KHTML, like Gecko) '
    'Chrome/36.0.1985.143 Safari/537.36"': 90,
    '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4) AppleWebKit/537.78.2 (KHTML, like Gecko) '
    'Version/7.0.6 Safari/537.78.2"': 70,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.9; rv:31.0) Gecko/20100101 Firefox/31.0": 40,
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:31.0) Gecko/20100101 Firefox/31.0": 25,
    '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/36.0.1985.125 Safari/537.36"': 20,
    '"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 '
    'Safari/537.36"': 10,
    '"Mozilla/5.0 (iPhone; CPU iPhone OS 7_1_2 like Mac OS X) AppleWebKit/537.51.2 (KHTML, like Gecko) '
    'Version/7.0 Mobile/11D257 Safari/9537.53"': 60,
    '"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) '
    'Version/17.5 Mobile/15E148 Safari/604.1"': 90,
    '"Mozilla/5.0 (iPad; CPU OS 7_1_2 like Mac OS X) AppleWebKit/537.51.2 (KHTML, like Gecko) '
    'Version/7.0 Mobile/11D257 Safari/9537.53"': 40,
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Mobile Safari/537.36": 90,
    "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Safari/537.36": 20,
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063": 5,
    "Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73 (KHTML, like Gecko)": 6,
    "Roku/DVP-9.10 (519.10E04111A)": 4,
}  # fmt: skip

#: Devices that only version 2 can report, and the share of users who have one of them.
UNSEEN_DEVICES = (Device("speaker", "Linux"), Device("tv", "Tizen"), Device("car", "QNX"), Device("watch", "watchOS"))
UNSEEN_SHARE = 0.15
CONNECTIONS = ("wifi", "4g", "5g", "ethernet")


def patterns(path: Path = PATTERNS_CSV) -> list[tuple[re.Pattern[str], Device]]:
    """The seed's patterns in order of priority, as regular expressions."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["priority"]))
    return [(_like(row["pattern"]), Device(row["device_type"], row["os"])) for row in rows]


def _like(pattern: str) -> re.Pattern[str]:
    """A SQL LIKE pattern as a regular expression for the whole text."""
    return re.compile(".*".join(map(re.escape, pattern.split("%"))), re.DOTALL)


def recognised(user_agent: str, known: list[tuple[re.Pattern[str], Device]]) -> Device:
    """The device of a User-Agent; `Other` if no pattern matches."""
    return next((device for pattern, device in known if pattern.fullmatch(user_agent)), Device(OTHER, OTHER))


class Devices:
    """The User-Agents with the device of each. Other modules refer to a device by its index in `kinds`."""

    def __init__(self) -> None:
        known = patterns()
        self.user_agents = list(USER_AGENTS)
        self.shares: F64 = cumulative_shares(list(USER_AGENTS.values()))
        of_agent = [recognised(agent, known) for agent in self.user_agents]
        self.kinds = list(dict.fromkeys([*of_agent, *UNSEEN_DEVICES]))
        self.kind_of_agent: I64 = np.array([self.kinds.index(device) for device in of_agent], dtype=np.int64)
        self.unseen: I64 = np.array([self.kinds.index(device) for device in UNSEEN_DEVICES], dtype=np.int64)
