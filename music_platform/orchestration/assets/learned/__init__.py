"""What is learned from gold.streams, an asset for each model. Without the extra `learning` there are none.

A module here has what is particular to one model: its table, its rows, and what it says of them. What all have in
common is in `publication`; the models themselves are in `music_platform.learning`.
"""

import dagster as dg

from music_platform.learning import is_installed
from music_platform.settings import Settings


def build_learned_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group `ml`; none without the extra `learning`."""
    if not is_installed():
        return []
    from music_platform.orchestration.assets.learned import (
        churn_risk,
        listener_segments,
        recommendations,
        songs_heard_together,
        suspicious_streams,
    )
    from music_platform.orchestration.assets.learned.publication import build_asset

    models = (recommendations, churn_risk, suspicious_streams, listener_segments, songs_heard_together)
    return [build_asset(model.LEARNER, settings) for model in models]
