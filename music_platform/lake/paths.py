"""Paths of the lake's parts below its root."""

#: Folder of the events table below the root.
EVENTS = "events"


def events_path(root: str) -> str:
    """The Delta table of events."""
    return f"{root.rstrip('/')}/{EVENTS}"


def checkpoints_path(root: str) -> str:
    """Folder of the checkpoint and of all that is kept beside it."""
    return f"{root.rstrip('/')}/_checkpoints"


def checkpoint_path(root: str, generation: int = 0) -> str:
    """The stream's checkpoint, beside its table. Each restart of the stream at other offsets is a new generation with
    its own checkpoint."""
    return f"{root.rstrip('/')}/_checkpoints/events{f'-{generation}' if generation else ''}"


def progress_path(root: str) -> str:
    """Folder for what the checkpoint lacks: the topics' ids, and the offsets at which a new generation starts."""
    return f"{root.rstrip('/')}/_checkpoints/progress"


def intake_path(root: str) -> str:
    """Folder of the batches of intake files, each recorded before it is read."""
    return f"{root.rstrip('/')}/_checkpoints/intake"


def lease_path(root: str, name: str = "events") -> str:
    """Folder of the lease that allows a single writer."""
    return f"{root.rstrip('/')}/_checkpoints/lease-{name}"


def stage_url(root: str) -> str:
    """The lake's folder as Snowflake's external stages write it: s3://bucket/path/ or gcs://bucket/path/."""
    scheme, _, rest = root.rstrip("/").partition("://")
    return f"{'gcs' if scheme == 'gs' else 's3'}://{rest}/"
