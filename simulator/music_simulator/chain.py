"""The Markov chain as arrays, indexed by state number, for looking up many users at once."""

import numpy as np

from music_simulator.behaviour import (
    ABOUT_A_SONG,
    CANCELLED,
    CHAIN,
    LEVELS,
    LOGIN,
    NEXT_SONG,
    NUMBER,
    PLAYBACK_END,
    REACTIONS,
    REGISTERED,
    SESSION_STARTS,
    STATES,
    State,
)
from music_simulator.randomness import F64, cumulative_shares

#: All probabilities of the chain are multiples of 1 / RESOLUTION.
RESOLUTION = 2000
END = -1


def _transitions() -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    table = np.full((len(CHAIN), RESOLUTION), END, dtype=np.int16)
    for state, row in CHAIN.items():
        at = 0
        for to, p in row.items():
            width = round(p * RESOLUTION)
            if abs(width - p * RESOLUTION) > 1e-9 or at + width > RESOLUTION:
                raise ValueError(f"{state}: probabilities must be multiples of 1/{RESOLUTION} and add up to at most 1")
            table[NUMBER[state], at : at + width] = NUMBER[to]
            at += width
    return table


def _session_starts() -> dict[tuple[str, str], tuple[np.ndarray[tuple[int], np.dtype[np.int16]], F64]]:
    """(auth, level) → numbers of the states that a session starts with, and their cumulative shares."""
    return {
        (auth, level): (
            np.array([NUMBER[State(page, auth, level)] for page in weights], dtype=np.int16),
            cumulative_shares(list(weights.values())),
        )
        for (auth, level), weights in SESSION_STARTS.items()
    }


_PAGES = [state.page for state in STATES]
#: Properties of each state.
IS_SONG = np.array([page == NEXT_SONG for page in _PAGES])
IS_LOGIN = np.array([page == LOGIN for page in _PAGES])
REGISTERS = np.array([page == REGISTERED for page in _PAGES])
HAS_SONG = np.array([page == NEXT_SONG or page in ABOUT_A_SONG for page in _PAGES])
STOPS_SONG = np.array([page in ("Logout", "Cancel") for page in _PAGES])
IS_LOGGED_IN = np.array([state.auth == "Logged In" for state in STATES])
IS_CANCELLED = np.array([state.auth == CANCELLED for state in STATES])
IS_REDIRECT = np.array([300 <= state.status < 400 for state in STATES])
LEVEL = np.array([LEVELS.index(state.level) for state in STATES])

#: Next state by (state, ⌊u · RESOLUTION⌋) for a uniform u; END where the session ends.
TRANSITIONS = _transitions()
_STARTS = _session_starts()
#: Kinds of visitors, (auth, level); the kind of each state, as an index into them; for each kind, the states that a
#: session starts with and their cumulative shares.
VISITORS = list(_STARTS)
VISITOR = np.array([VISITORS.index((s.auth, s.level)) if (s.auth, s.level) in _STARTS else 0 for s in STATES])
_WIDTH = max(len(numbers) for numbers, _ in _STARTS.values())
FIRST = np.array([np.resize(numbers, _WIDTH) for numbers, _ in _STARTS.values()])
FIRST_SHARES = np.array([np.r_[shares, np.ones(_WIDTH - len(shares))] for _, shares in _STARTS.values()])
#: By level: the states of the reactions to a song, their cumulative chances, NextSong, Cancel and the other moments.
REACTION = np.array([[NUMBER[State(page, "Logged In", level)] for page in REACTIONS[level]] for level in LEVELS])
ADVERT = list(REACTIONS["free"]).index("Roll Advert")
REACTION_SHARES = np.array([np.cumsum(list(REACTIONS[level].values())) for level in LEVELS])
SONG = np.array([NUMBER[State(NEXT_SONG, "Logged In", level)] for level in LEVELS])
CANCEL = np.array([NUMBER[State("Cancel", "Logged In", level)] for level in LEVELS])
MOMENT = {
    page: np.array([NUMBER[State(page, "Logged In", level)] for level in LEVELS])
    for page in ("Skip", "Pause", "Resume", PLAYBACK_END)
}
