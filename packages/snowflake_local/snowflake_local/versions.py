"""The versions that the mends were written against.

The mends reach into fakesnow's inside and rely on what DuckDB and sqlglot do with its SQL. Another version may take
them silently out of effect, and then data is lost rather than a sentence shown; so nothing starts with one.
"""

from importlib.metadata import PackageNotFoundError, version

EXPECTED = {"fakesnow": "0.12.1", "duckdb": "2.0.0", "sqlglot": "30.22.0"}


class UnexpectedVersionError(RuntimeError):
    """A package that the local warehouse stands on has a version it was not tried with."""


def require_expected_versions() -> None:
    """Raise `UnexpectedVersionError`, saying what to install, unless all of `EXPECTED` are installed as they stand."""
    wrong = [
        f"{package} {found or 'is not installed'} (needs {expected})"
        for package, expected in EXPECTED.items()
        if (found := _installed(package)) != expected
    ]
    if wrong:
        wanted = " ".join(f"{package}=={expected}" for package, expected in EXPECTED.items())
        raise UnexpectedVersionError(
            f"The local warehouse was not tried with {', '.join(wrong)}. "
            f"Install the tested ones (pip install {wanted}), or change snowflake_local/versions.py "
            "after tests/conformance passes."
        )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
