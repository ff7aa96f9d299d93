"""How a visitor behaves: the Markov chain over (page, auth, level), and what happens while a song plays.

The chain is eventsim's example configuration (github.com/Interana/eventsim, examples/example-config.json): 38 states,
198 transitions over 17 pages. Where a row adds up to less than 1, the rest is the chance that the session ends there.
The other pages (thumbs, playlist, friend, advert, Skip, Pause, Resume) happen *within* a song and do not affect the
chain: without them, what remains is exactly eventsim's chain, so its figures still apply. Where eventsim has such a
page too, its rate is from eventsim's larger configurations (configs/Guitar-config.json).
"""

from dataclasses import dataclass

#: Where songs are started from, with weights (version 3).
SOURCES = {"library": 35, "playlist": 30, "radio": 15, "search": 10, "album": 10}
#: Mean pause between two pages in seconds, multiplied by the user's own lognormal factor.
PAGE_GAP_SECONDS = 90.0
#: Mean pause between two sessions in seconds (a week), multiplied by the user's own lognormal factor.
SESSION_GAP_SECONDS = 604_800.0
#: Sigma of the lognormal factors, whose mean is 1.
FACTOR_SIGMA = 1.0
#: Minimum pause between two sessions of a user in seconds.
MIN_SESSION_GAP_SECONDS = 1800
#: A page that is a redirect follows the page before it after this many seconds.
REDIRECT_SECONDS = 1
#: Weights of (free, paid) and of (logged in, logged out) among the users at the start.
START_LEVELS = {"free": 10, "paid": 2}
START_AUTHS = {"Logged In": 10, "Logged Out": 1}
#: House moves per user and year (about one in eight Americans moves each year, US Census Bureau).
MOVES_PER_YEAR = 0.12

LEVELS = ("free", "paid")
NEXT_SONG, LOGIN, REGISTERED, CANCELLED = "NextSong", "Login", "Submit Registration", "Cancelled"

#: (auth, level) → page → next page → probability. "page | auth | level" leads to another auth or level.
TRANSITIONS: dict[tuple[str, str], dict[str, dict[str, float]]] = {
    ("Guest", "free"): {
        "About": {"About": 0.05, "Help": 0.05, "Home": 0.3, "Register": 0.1, "Error": 0.001},
        "Help": {"About": 0.0025, "Help": 0.1, "Home": 0.2, "Register": 0.03, "Error": 0.001},
        "Home": {"About": 0.1, "Help": 0.05, "Home": 0.1, "Register": 0.3, "Error": 0.001},
        "Register": {
            "About": 0.01, "Help": 0.02, "Home": 0.1, "Register": 0.05,
            "Submit Registration | Logged In | free": 0.7, "Error": 0.001,
        },
        "Error": {"About": 0.01, "Help": 0.05, "Home": 0.5, "Error": 0.1},
    },
    ("Logged In", "free"): {
        "Submit Registration": {"Error | Guest | free": 0.001, "Home": 0.999},
        "About": {
            "About": 0.05, "Help": 0.01, "Home": 0.2, "Settings": 0.01, "NextSong": 0.3, "Logout": 0.01,
            "Error": 0.001,
        },
        "Help": {
            "About": 0.002, "Help": 0.1, "Home": 0.2, "Settings": 0.05, "Upgrade": 0.01, "NextSong": 0.32,
            "Logout": 0.01, "Error": 0.001,
        },
        "Home": {
            "About": 0.002, "Help": 0.002, "Home": 0.01, "Settings": 0.02, "Upgrade": 0.01, "NextSong": 0.6,
            "Logout": 0.01, "Error": 0.001,
        },
        "Settings": {
            "About": 0.002, "Help": 0.05, "Home": 0.1, "Settings": 0.1, "Upgrade": 0.01, "NextSong": 0.3,
            "Cancel": 0.005, "Logout": 0.01, "Save Settings": 0.2, "Error": 0.001,
        },
        "Upgrade": {
            "About": 0.002, "Help": 0.006, "Home": 0.1, "Upgrade": 0.07, "NextSong": 0.325, "Logout": 0.01,
            "Submit Upgrade": 0.3, "Error": 0.001,
        },
        "NextSong": {
            "About": 0.002, "Help": 0.005, "Home": 0.02, "Settings": 0.005, "Upgrade": 0.01, "NextSong": 0.5,
            "Logout": 0.02, "Error": 0.001,
        },
        "Cancel": {"Cancellation Confirmation | Cancelled | free": 0.999, "Error": 0.001},
        "Logout": {"Home | Logged Out | free": 1},
        "Save Settings": {"Home": 0.65, "Settings": 0.1, "Error": 0.001},
        "Submit Upgrade": {"Home | Logged In | paid": 1},
        "Error": {"About": 0.001, "Help": 0.002, "Home": 0.1, "NextSong": 0.3, "Logout": 0.01, "Error": 0.01},
    },
    ("Logged Out", "free"): {
        "About": {"About": 0.05, "Help": 0.025, "Home": 0.3, "Login": 0.4, "Error": 0.001},
        "Help": {"About": 0.0025, "Help": 0.1, "Home": 0.3, "Login": 0.5, "Error": 0.001},
        "Home": {"About": 0.1, "Help": 0.05, "Home": 0.1, "Login": 0.5, "Error": 0.001},
        "Login": {"Home | Logged In | free": 0.9, "Home": 0.099, "Error": 0.001},
        "Error": {"About": 0.01, "Help": 0.05, "Home": 0.5, "Login": 0.1, "Error": 0.01},
    },
    ("Logged In", "paid"): {
        "About": {
            "About": 0.05, "Help": 0.01, "Home": 0.2, "Settings": 0.01, "NextSong": 0.4, "Logout": 0.01,
            "Error": 0.001,
        },
        "Downgrade": {
            "About": 0.002, "Downgrade": 0.07, "Help": 0.006, "Home": 0.1, "NextSong": 0.63, "Logout": 0.01,
            "Submit Downgrade": 0.01, "Error": 0.001,
        },
        "Help": {
            "About": 0.002, "Downgrade": 0.01, "Help": 0.05, "Home": 0.1, "Settings": 0.02, "NextSong": 0.75,
            "Logout": 0.01, "Error": 0.001,
        },
        "Home": {
            "About": 0.002, "Downgrade": 0.01, "Help": 0.002, "Home": 0.01, "Settings": 0.02, "NextSong": 0.85,
            "Logout": 0.01, "Error": 0.001,
        },
        "Settings": {
            "About": 0.002, "Downgrade": 0.01, "Help": 0.05, "Home": 0.05, "Settings": 0.05, "NextSong": 0.6,
            "Cancel": 0.005, "Logout": 0.01, "Save Settings": 0.2, "Error": 0.001,
        },
        "NextSong": {
            "About": 0.002, "Downgrade": 0.01, "Help": 0.005, "Home": 0.02, "Settings": 0.005, "NextSong": 0.925,
            "Logout": 0.01, "Error": 0.001,
        },
        "Cancel": {"Cancellation Confirmation | Cancelled | paid": 0.999, "Error": 0.001},
        "Logout": {"Error": 0.001, "Home | Logged Out | paid": 0.999},
        "Save Settings": {"Home": 0.8, "Settings": 0.1, "Error": 0.001},
        "Submit Downgrade": {"Home | Logged In | free": 0.999, "Error": 0.001},
        "Error": {"About": 0.001, "Help": 0.01, "Home": 0.1, "NextSong": 0.2, "Logout": 0.01, "Error": 0.001},
    },
    ("Logged Out", "paid"): {
        "About": {"About": 0.05, "Help": 0.05, "Home": 0.3, "Login": 0.1, "Error": 0.001},
        "Help": {"About": 0.0025, "Help": 0.1, "Home": 0.2, "Login": 0.03, "Error": 0.001},
        "Home": {"About": 0.1, "Help": 0.05, "Home": 0.1, "Login": 0.3, "Error": 0.001},
        "Login": {"Home | Logged In | paid": 0.9, "Home": 0.099, "Error": 0.001},
        "Error": {"Help": 0.05, "Home": 0.3, "Login": 0.1, "Error": 0.01},
    },
}  # fmt: skip

#: (auth, level) → page → weight of sessions that start with it.
SESSION_STARTS: dict[tuple[str, str], dict[str, int]] = {
    ("Guest", "free"): {"About": 20, "Help": 10, "Home": 100, "Register": 30, "Error": 5},
    ("Logged In", "free"): {"About": 5, "Help": 10, "Home": 1000, "NextSong": 1500, "Error": 1},
    ("Logged Out", "free"): {"About": 10, "Help": 10, "Home": 1000, "Login": 500, "Error": 1},
    ("Logged In", "paid"): {"About": 5, "Help": 5, "Home": 1000, "NextSong": 1750, "Error": 1},
    ("Logged Out", "paid"): {"About": 10, "Help": 10, "Home": 1000, "Login": 500, "Error": 1},
}

#: Reactions to a song and their chance per song; at most one happens. Adverts are almost only for free users.
_REACTIONS = {"Thumbs Up": 0.05, "Thumbs Down": 0.01, "Add to Playlist": 0.025, "Add Friend": 0.01}
REACTIONS: dict[str, dict[str, float]] = {
    "free": {**_REACTIONS, "Roll Advert": 0.08},
    "paid": {**_REACTIONS, "Roll Advert": 0.001},
}
#: Chance that a song is paused and resumed once, and mean and maximum length of the pause in seconds.
PAUSE_CHANCE, PAUSE_MEAN_SECONDS, MAX_PAUSE_SECONDS = 0.03, 120.0, 1200
#: Chance that a song followed by another one is skipped at some point before its end.
SKIP_CHANCE = 0.06

#: Chance that the last song of a session is stopped at some point before its end.
LEAVE_CHANCE = 0.25

#: The page with which version 3 reports the end of a song that nothing else ends.
PLAYBACK_END = "Playback End"
#: Moments: pages that happen within a song. Those about the song carry its id.
MOMENTS = (
    "Thumbs Up", "Thumbs Down", "Add to Playlist", "Add Friend", "Roll Advert", "Skip", "Pause", "Resume", PLAYBACK_END,
)  # fmt: skip
ABOUT_A_SONG = frozenset(MOMENTS) - {"Add Friend", "Roll Advert"}

_REDIRECTS = {
    LOGIN, "Logout", REGISTERED, "Submit Upgrade", "Submit Downgrade", "Cancel", "Save Settings",
    "Thumbs Up", "Thumbs Down", "Add Friend",
}  # fmt: skip
_PUT = _REDIRECTS | {NEXT_SONG, "Add to Playlist", "Skip", "Pause", "Resume", PLAYBACK_END}


@dataclass(frozen=True)
class State:
    """A page as one kind of visitor sees it."""

    page: str
    auth: str
    level: str

    @property
    def method(self) -> str:
        """HTTP method."""
        return "PUT" if self.page in _PUT else "GET"

    @property
    def status(self) -> int:
        """HTTP status."""
        return 404 if self.page == "Error" else 307 if self.page in _REDIRECTS else 200

    @property
    def knows_user(self) -> bool:
        """Whether events of this state name the user."""
        return self.auth in ("Logged In", CANCELLED)


def _destination(text: str, auth: str, level: str) -> State:
    page, *rest = text.split(" | ")
    return State(page, *(rest or (auth, level)))


def _chain() -> dict[State, dict[State, float]]:
    chain: dict[State, dict[State, float]] = {}
    for (auth, level), pages in TRANSITIONS.items():
        for page, row in pages.items():
            chain[State(page, auth, level)] = {_destination(to, auth, level): p for to, p in row.items()}
    for following in list(chain.values()):
        for state in following:
            chain.setdefault(state, {})
    return chain


#: State → next state → probability. Nothing follows the confirmation of a cancellation.
CHAIN = _chain()
#: All states: those of the chain, then the moments within a song.
STATES: tuple[State, ...] = (*CHAIN, *(State(page, "Logged In", level) for page in MOMENTS for level in LEVELS))
NUMBER = {state: i for i, state in enumerate(STATES)}
