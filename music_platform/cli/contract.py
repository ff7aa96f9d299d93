"""The release of the contract: JSON Schemas, dbt's sources and the OpenTofu module's setup, written from the code.

`python -m music_platform.cli.contract` (`make contract`) writes them, and refuses an edit that breaks what was
released. The files of a version are in `contracts/schemas/v<N>/`, one for each event kind; they are committed, and
never edited.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from music_platform.contracts import events, json_schema, reference
from music_platform.contracts.events import SNOWFLAKE_TYPES, Column
from music_platform.environment import project_root
from music_platform.errors import PlatformError

SCHEMAS = project_root() / "music_platform" / "contracts" / "schemas"
SOURCES = project_root() / "dbt_project" / "models" / "staging" / "sources.yml"
MACRO = project_root() / "dbt_project" / "macros" / "contract.sql"

#: What the OpenTofu module makes in a Snowflake account.
ACCOUNT_MODULE = project_root() / "deploy" / "tofu" / "snowflake" / "setup.json"
#: The topics that the other module makes.
TOPICS_MODULE = project_root() / "deploy" / "tofu" / "kafka-topics" / "topics.json"

#: Ledgers of OPS that models read.
OPS_SOURCES = ("loads", "load_state", "builds")


class BreakingEditError(PlatformError):
    """The definition breaks a released version."""


def released_versions(folder: Path = SCHEMAS) -> list[int]:
    """The versions that were released, ascending."""
    return sorted(int(path.name[1:]) for path in folder.glob("v*"))


def released_schema(version: int, kind: str, folder: Path = SCHEMAS) -> dict[str, Any]:
    """The schema of an event kind as it was released."""
    found: dict[str, Any] = json.loads((folder / f"v{version}" / f"{kind}.json").read_text())
    return found


def require_additive(folder: Path = SCHEMAS) -> None:
    """Raise BreakingEditError unless the definition only adds to every version that was released."""
    wrong = [
        f"{kind}, version {number}: {change}"
        for number in released_versions(folder)
        for kind in events.TOPICS
        for change in json_schema.breaking_changes(
            released_schema(number, kind, folder), json_schema.schema(kind, number)
        )
    ]
    if wrong:
        raise BreakingEditError(
            "The contract's definition breaks what was released, and with it producers or readers that rely on it:\n  "
            + "\n  ".join(wrong)
            + f"\nIn {events.__name__} take the edit back, or add a new optional field of version "
            f"{max(released_versions(folder)) + 1} beside the old one."
        )


def schema_files() -> dict[Path, str]:
    """The JSON Schema files of all versions, below `SCHEMAS`."""
    return {
        Path(f"v{number}") / f"{kind}.json": json.dumps(json_schema.schema(kind, number), indent=2) + "\n"
        for number in range(1, json_schema.version() + 1)
        for kind in events.TOPICS
    }


def sources() -> str:
    """dbt's sources: RAW, the reference tables and the ledgers that models read."""
    from music_platform.warehouse.schema import OPS_TABLES

    lines = [
        "# Written by `make contract` from music_platform/contracts and warehouse/schema.py; edit those.",
        "version: 2",
        "",
        "sources:",
        *_source("raw", "What the loader brings; rows are never changed or deleted."),
        *_table(
            "events", "One row for each Kafka record or file line, good or bad.", events.raw_columns(), freshness=True
        ),
    ]
    for table in reference.TABLES:
        lines += _table(table.name, table.description, table.columns)
    lines += _source("ops", "Ledgers of the platform.")
    for name in OPS_SOURCES:
        lines += _table(name, *OPS_TABLES[f"OPS.{name.upper()}"])
    return "\n".join(lines) + "\n"


def macro() -> str:
    """dbt's list of the fields that rows in RAW can carry in `extra`, because the contract named them later."""
    later = [
        {"column": f.column, "path": f.path, "type": SNOWFLAKE_TYPES[f.sql_type]}
        for f in events.FIELDS
        if f.since > events.FIRST_RAW_VERSION
    ]
    return (
        "{# Written by `make contract`: fields that the contract named when RAW had rows already; those carry them in "
        "`extra`. #}\n"
        f"{{% macro later_fields() %}} {{{{ return({json.dumps(later)}) }}}} {{% endmacro %}}\n"
    )


def account_module() -> str:
    """The setup of the account that `snowflake-setup` prints as SQL, for the OpenTofu module."""
    from music_platform.warehouse.account import module_setup

    return json.dumps(module_setup(), indent=2) + "\n"


def topics_module() -> str:
    """The contract's topics, for the OpenTofu module."""
    return json.dumps(list(events.TOPICS.values()), indent=2) + "\n"


def _source(name: str, description: str) -> list[str]:
    return [
        f"  - name: {name}",
        f"    description: {json.dumps(description)}",
        '    database: "{{ target.database }}"',
        f"    schema: {name.upper()}",
        "    tables:",
    ]


def _table(name: str, description: str, columns: Iterable[Column], freshness: bool = False) -> list[str]:
    rules = [
        "        config:",
        "          loaded_at_field: loaded_at",
        "          freshness:",
        "            warn_after: {count: 1, period: hour}",
        "            error_after: {count: 24, period: hour}",
    ]
    return [
        f"      - name: {name}",
        f"        description: {json.dumps(description)}",
        *(rules if freshness else []),
        "        columns:",
        *(f"          - {{name: {c.column}, description: {json.dumps(c.description)}}}" for c in columns),
    ]


def main() -> int:
    """Write the files, or say what the definition breaks."""
    try:
        require_additive()
    except BreakingEditError as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in schema_files().items():
        (SCHEMAS / name).parent.mkdir(parents=True, exist_ok=True)
        (SCHEMAS / name).write_text(text)
    SOURCES.write_text(sources())
    MACRO.write_text(macro())
    ACCOUNT_MODULE.write_text(account_module())
    TOPICS_MODULE.write_text(topics_module())
    print(
        f"contract of version {json_schema.version()}: {len(schema_files())} schemas, {SOURCES.name}, {MACRO.name} "
        f"and the setup of {ACCOUNT_MODULE.parent.parent.relative_to(project_root())}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
