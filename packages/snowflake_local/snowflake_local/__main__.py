"""`python -m snowflake_local --root DIR --port N`: serve until SIGTERM."""

import argparse
import logging
import os
import signal
import socket
import sys
import warnings
from pathlib import Path

import uvicorn

from snowflake_local.versions import UnexpectedVersionError, require_expected_versions

LOOPBACK = "127.0.0.1"


def main() -> int:
    """Serve, and return the exit code."""
    arguments = _arguments()
    for noise in (".*doesn't match a supported version", "Arrow output on a DB-API result"):
        warnings.filterwarnings("ignore", message=noise)
    try:
        require_expected_versions()
    except UnexpectedVersionError as error:
        return _complain(str(error))
    # Imported late: with other versions of fakesnow the import itself may fail.
    from snowflake_local._fakesnow import keep_numeric_types
    from snowflake_local.loading import patch_copy
    from snowflake_local.server import Server
    from snowflake_local.sessions import Sessions
    from snowflake_local.storage import AlreadyOpenError, Storage

    try:
        listener = _listen(arguments.port)
    except OSError as error:
        return _complain(
            f"The local warehouse cannot listen on port {arguments.port} ({error.strerror}). "
            "Stop what uses it, or choose another one with --port."
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about every statement that it keeps as text
    keep_numeric_types()
    patch_copy()
    try:
        storage = Storage(arguments.root, arguments.memory_limit)
    except AlreadyOpenError as error:
        return _complain(str(error))
    sessions = Sessions(storage, arguments.transaction_idle_seconds)
    password, delay = _password(arguments.password_variable), arguments.statement_delay_seconds
    application = Server(storage, sessions, password, delay).app()
    server = uvicorn.Server(
        uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=5, access_log=False)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again after it has stopped, when the databases are not closed yet.
        signal.signal(number, lambda *_: None)
    print(f"Local warehouse on {LOOPBACK}:{arguments.port}, files in {storage.root}", file=sys.stderr, flush=True)
    try:
        server.run(sockets=[listener])
    finally:
        sessions.end_all()
        storage.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m snowflake_local", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder for databases and staged files")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument(
        "--password-variable",
        help="environment variable with the password that clients must give; default: any password is accepted",
    )
    parser.add_argument("--memory-limit", help="memory for the engine, such as 2GB; default: DuckDB's own")
    parser.add_argument(
        "--transaction-idle-seconds",
        type=float,
        default=300.0,
        help="roll back an open transaction after its client has been silent for this long; default: 300",
    )
    parser.add_argument(
        "--statement-delay-seconds",
        type=float,
        default=0.0,
        help="wait so long before each statement, as the way to an account and its compiler take; for measurements",
    )
    return parser.parse_args()


def _password(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        sys.exit(_complain(f"--password-variable: {variable} is not set."))
    return os.environ[variable]


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    listener.listen(1024)
    return listener


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
