"""What is learned from listens: pure functions from arrays to models, rankings and verdicts.

Here belongs: the model's formulas, its baselines, how it is measured, and the rule by which it is published. Does not
belong here: where listens come from and where results go (the assets), Dagster, the warehouse, settings.

Everything is deterministic: the same rows, in whatever order, give the same bytes. The input is sorted, the seed is
fixed, and one thread computes (implicit's own advice, and the only way in which floating-point sums repeat).
"""

from importlib.util import find_spec

#: Modules of the extra `learning`.
NEEDED = ("implicit", "scipy", "sklearn", "threadpoolctl")


def is_installed() -> bool:
    """Whether the extra `learning` is; only then can the other modules here be imported."""
    return all(find_spec(name) is not None for name in NEEDED)
