"""Requests that are running or have just run, by the id that the client gave them.

A client that lost its connection repeats the request with the same id. Snowflake then returns the answer of the first
one; if both ran, an INSERT would be applied twice. An abort names the request by the same id.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from snowflake_local.sessions import Session

#: Answers kept for repeated requests: how many, and how large. Statements that write have small answers.
ANSWERS_KEPT = 256
ANSWER_BYTES_KEPT = 64 * 2**10


class Requests:
    """Runs each request once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answers: OrderedDict[str, Future[bytes]] = OrderedDict()
        self._sessions: dict[str, Session] = {}

    def once(self, request_id: str, session: Session, run: Callable[[], bytes]) -> bytes:
        """The answer of `run`, or of the earlier request with the same id."""
        if not request_id:
            return run()
        with self._guard:
            earlier = self._answers.get(request_id)
            if earlier is None:
                mine: Future[bytes] = Future()
                self._answers[request_id] = mine
                self._sessions[request_id] = session
        if earlier is not None:
            return earlier.result()
        try:
            answer = run()
            mine.set_result(answer)
            return answer
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            self._finished(request_id, mine)

    def cancel(self, request_id: str) -> None:
        """Stop a running request. Does nothing if it has ended."""
        with self._guard:
            session = self._sessions.get(request_id)
        if session is not None:
            session.cancel()

    def _finished(self, request_id: str, future: Future[bytes]) -> None:
        with self._guard:
            del self._sessions[request_id]
            if future.exception() is not None or len(future.result()) > ANSWER_BYTES_KEPT:
                del self._answers[request_id]
            while len(self._answers) > ANSWERS_KEPT:
                oldest = next(iter(self._answers))
                if not self._answers[oldest].done():
                    break
                del self._answers[oldest]
