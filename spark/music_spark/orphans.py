"""Stops queries that outlive their client: a killed client leaves its streaming query running in the Connect server.

A Connect session can be joined again by its id, and then shows its queries. Sessions that the server has forgotten
(it was restarted, or the session has ended) have none.
"""

from collections.abc import Callable
from typing import cast

from pyspark.sql import SparkSession

from music_spark.session import SparkUnreachableError, away, open_session


def session_id(session: SparkSession) -> str:
    """Id of a Connect session; empty for a classic one, whose queries die with the process."""
    return cast(str, getattr(session, "session_id", ""))


def notice_restarts(session: SparkSession) -> None:
    """Make a Connect session notice within seconds that its server was restarted.

    By default its pauses between retries grow to a minute.
    """
    if session_id(session):
        from pyspark.sql.connect.client.retries import DefaultPolicy

        session.client.set_retry_policies([DefaultPolicy(max_retries=30, max_backoff=2000)])


def stop_orphans(url: str, token: str | None, session: str, log: Callable[[str], None]) -> None:
    """Stop every query that is still running in a dead client's session, and wait until it has stopped.

    The session is found by its id and by the user in the address (`user_id`), as the dead client entered it. Raises
    SparkUnreachableError within seconds if the server does not answer.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy

    try:
        joined = open_session(url, token, session)
        # By default the client tries again for ten minutes.
        joined.client.set_retry_policies([DefaultPolicy(max_retries=3, max_backoff=1000)])
        try:
            for query in joined.streams.active:
                log(f"stopping query {query.name}, which was left running")
                query.stop()
            # A batch of files is not a streaming query.
            joined.interruptAll()
        finally:
            joined.stop()
    except PySparkException as error:
        if any(word in str(error) for word in ("RETRIES_EXCEEDED", "UNAVAILABLE")):
            raise SparkUnreachableError(away(url)) from error
        if "INVALID_HANDLE" not in str(error):
            raise
