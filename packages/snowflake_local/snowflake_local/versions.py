"""The versions of fakesnow, DuckDB and sqlglot that this package works with.

It replaces functions inside fakesnow and relies on how DuckDB and sqlglot treat its SQL. With another version a fix
might silently stop working and lose data. So the warehouse refuses to start with one.
"""

from importlib.metadata import PackageNotFoundError, version

EXPECTED = {"fakesnow": "0.12.1", "duckdb": "2.0.0", "sqlglot": "30.22.0"}


class UnexpectedVersionError(RuntimeError):
    """A package has a version that was not tested with the local warehouse."""


def require_expected_versions() -> None:
    """Raise `UnexpectedVersionError`, which says what to install, unless the versions in `EXPECTED` are installed."""
    wrong = [
        f"{package} {found or 'is not installed'} (needs {expected})"
        for package, expected in EXPECTED.items()
        if (found := _installed(package)) != expected
    ]
    if wrong:
        wanted = " ".join(f"{package}=={expected}" for package, expected in EXPECTED.items())
        raise UnexpectedVersionError(
            f"The local warehouse was not tested with {', '.join(wrong)}. Install the tested versions "
            f"(pip install {wanted}), or run tests/conformance and then change snowflake_local/versions.py."
        )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
