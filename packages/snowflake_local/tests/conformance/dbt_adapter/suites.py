"""The basic, incremental and snapshot suites of dbt-tests-adapter, each of its Base classes as a test class.

pytest does not collect this file by itself. test_dbt_adapter.py runs it in a separate process, because dbt's fixtures
are a pytest plugin.
"""

import importlib
from typing import Any

import pytest

SUITES = {
    "basic": ("test_adapter_methods", "test_base", "test_docs_generate", "test_empty", "test_ephemeral",
              "test_generic_tests", "test_incremental", "test_singular_tests", "test_singular_tests_ephemeral",
              "test_snapshot_check_cols", "test_snapshot_timestamp", "test_table_materialization",
              "test_validate_connection"),
    "incremental": ("test_incremental_merge_exclude_columns", "test_incremental_microbatch",
                    "test_incremental_on_schema_change", "test_incremental_predicates",
                    "test_incremental_unique_id"),
    "simple_snapshot": ("new_record_check_mode", "new_record_dbt_valid_to_current", "new_record_timestamp_mode",
                        "test_ephemeral_snapshot_hard_deletes", "test_snapshot", "test_various_configs"),
}  # fmt: skip

#: Base classes of other base classes, and those whose expectations each adapter has to define.
LEFT_OUT = {"BaseGenerateProject", "BaseDocsGenerate", "BaseDocsGenReferences", "BaseIncrementalOnSchemaChangeSetup",
            "BaseSimpleSnapshotBase", "SubBaseIncrementalUniqueKey"}  # fmt: skip


class DeleteInsert:
    """The strategy under test, which the adapter has to choose."""

    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {"models": {"+incremental_predicates": ["id != 2"], "+incremental_strategy": "delete+insert"}}


class TimesWithoutZone:
    """Times without a zone. The suite's own have the zone `-0`, which each adapter writes differently."""

    @pytest.fixture(scope="class")
    def input_model_sql(self) -> str:
        days = (f"select {n} as id, '2020-01-0{n}'::timestamp_ntz as event_time" for n in (1, 2, 3))
        return "{{ config(materialized='table', event_time='event_time') }}\n" + "\nunion all\n".join(days)

    @pytest.fixture(scope="class")
    def insert_two_rows_sql(self, project: Any) -> str:
        table = project.adapter.Relation.create(database=project.database, schema=project.test_schema)
        return f"insert into {table}.input_model (id, event_time) values (4, '2020-01-04'), (5, '2020-01-05')"


MORE: dict[str, type] = {"BaseIncrementalPredicates": DeleteInsert, "BaseMicrobatch": TimesWithoutZone}

for suite, modules in SUITES.items():
    for module in modules:
        found = vars(importlib.import_module(f"dbt.tests.adapter.{suite}.{module}"))
        for name, base in list(found.items()):
            own = isinstance(base, type) and base.__module__.endswith(module)
            if own and name.startswith("Base") and name not in LEFT_OUT:
                bases = (MORE[name], base) if name in MORE else (base,)
                globals()[f"Test_{suite}_{name.removeprefix('Base')}"] = type(f"Test_{suite}_{name}", bases, {})
