"""Random numbers that depend only on (seed, who, which draw).

A counter-based generator: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
2014), whose n-th output is a hash of key + n·γ. Each user has their own key, so what a user does is independent of the
order, the batch and the process in which users are simulated. All functions work on whole arrays.
"""

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_TO_UNIT = 2.0**-53


def mix(values: U64) -> U64:
    """SplitMix64's output function: a bijection of 64-bit words."""
    z = values ^ (values >> _S30)
    z *= _MIX_1
    z ^= z >> _S27
    z *= _MIX_2
    z ^= z >> _S31
    return z


def key_of(seed: int, purpose: str) -> np.uint64:
    """One key for one purpose of a run."""
    text = int.from_bytes(purpose.encode(), "little") % (1 << 64)
    words = np.array([seed % (1 << 64), text], dtype=np.uint64)
    return np.uint64(mix(mix(words[:1]) ^ words[1:])[0])


def keys(seed: int, purpose: str, who: npt.ArrayLike) -> U64:
    """Keys of the individuals `who` (any integers)."""
    return hashed(key_of(seed, purpose), who)


def hashed(key: np.uint64 | U64, which: npt.ArrayLike) -> U64:
    """64 random bits for each number in `which`, under one key or one key each."""
    counters = np.atleast_1d(np.asarray(which)).astype(np.uint64)
    return mix(key + (counters + np.uint64(1)) * _GAMMA)


def unit(bits: U64) -> F64:
    """Uniform numbers in [0, 1) from 64 random bits each."""
    return (bits >> _S11).astype(np.float64) * _TO_UNIT


def uniform(key: np.uint64 | U64, which: npt.ArrayLike) -> F64:
    """Uniform numbers in [0, 1), one for each counter in `which`."""
    return unit(hashed(key, which))


def exponential(u: F64) -> F64:
    """Exponential numbers of mean 1 from uniform ones."""
    out: F64 = -np.log1p(-u)
    return out


def normal(u: F64, v: F64) -> F64:
    """Standard normal numbers from two uniform ones each (Box and Muller)."""
    out: F64 = np.sqrt(-2.0 * np.log1p(-u)) * np.cos(2.0 * np.pi * v)
    return out


def weighted(cumulative: F64, u: F64) -> I64:
    """Index drawn by the cumulative shares `cumulative` (the last is 1) for each uniform number."""
    return np.minimum(np.searchsorted(cumulative, u, side="right"), len(cumulative) - 1)


def cumulative_shares(weights: npt.ArrayLike) -> F64:
    """Cumulative shares of weights, ending at exactly 1."""
    total: F64 = np.cumsum(np.asarray(weights, dtype=np.float64))
    total /= total[-1]
    total[-1] = 1.0
    return total
