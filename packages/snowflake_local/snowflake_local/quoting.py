"""Identifiers and string literals in DuckDB's SQL."""


def quoted(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def full_name(*parts: str) -> str:
    """A quoted, dotted name."""
    return ".".join(quoted(part) for part in parts)


def literal(text: str) -> str:
    """`text` as a string literal."""
    return "'" + text.replace("'", "''") + "'"
