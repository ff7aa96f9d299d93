"""Queries that outlive their client: a killed client leaves its streaming query running inside the Connect server.

A Connect session can be entered again by its id, and shows its queries then. Sessions that the server has forgotten
(it was restarted, or the session is over) have none.
"""

import re
from collections.abc import Callable
from typing import cast

from pyspark.sql import SparkSession


def session_id(session: SparkSession) -> str:
    """Id of a Connect session; empty for a classic one, whose queries die with the process."""
    return cast(str, getattr(session, "session_id", ""))


def notice_restarts(session: SparkSession) -> None:
    """Let a Connect session notice within seconds that its server was started anew.

    Its own pauses between two tries grow to a minute.
    """
    if session_id(session):
        from pyspark.sql.connect.client.retries import DefaultPolicy

        session.client.set_retry_policies([DefaultPolicy(max_retries=30, max_backoff=2000)])


def stop_orphans(remote: str, session: str, log: Callable[[str], None]) -> None:
    """Stop every query that still runs in a dead client's session, and wait until it has stopped."""
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    address = re.sub(r"/;.*$|/$", "", remote)
    try:
        entered = ConnectSession.builder.remote(f"{address}/;session_id={session}").create()
        try:
            for query in entered.streams.active:
                log(f"stopping the query {query.name} that it left running")
                query.stop()
            # A batch of files is no query.
            entered.interruptAll()
        finally:
            entered.stop()
    except PySparkException as error:
        if "INVALID_HANDLE" not in str(error):
            raise
