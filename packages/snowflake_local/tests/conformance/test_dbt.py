"""dbt-snowflake runs unchanged: a small project with every kind of model, test and snapshot."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conformance.conftest import Connect
from conformance.launcher import LOOPBACK, LocalWarehouse

pytestmark = pytest.mark.local_only

FILES = {
    "dbt_project.yml": """
        name: trial
        version: "1.0"
        profile: trial
        models: {+persist_docs: {relation: true, columns: true}}
        snapshots: {+target_schema: SNAPSHOTS}
    """,
    "seeds/plays.csv": """
        id,song,played_at
        1,one,2024-05-01 10:00:00
        2,two,2024-05-02 11:00:00
        3,three,2024-05-03 12:00:00
    """,
    "models/staged.sql": "select id, song, played_at from {{ ref('plays') }}",
    "models/merged.sql": """
        {{ config(materialized='incremental', unique_key='id', on_schema_change='append_new_columns') }}
        select id, song, played_at, {{ var('round', 1) }} as round
        {% if var('round', 1) > 1 %}, 'new' as added {% endif %}
        from {{ ref('staged') }} {% if is_incremental() %} where id >= 3 {% endif %}
        {% if var('round', 1) > 1 %} union all select 4, 'four', '2024-05-04'::timestamp_ntz, 2, 'new' {% endif %}
    """,
    "models/replaced_days.sql": """
        {{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='day') }}
        select played_at::date as day, count(*) as plays from {{ ref('staged') }} group by 1
    """,
    "models/by_day.sql": """
        {{ config(materialized='incremental', incremental_strategy='microbatch', event_time='played_at',
                  begin='2024-05-01', batch_size='day') }}
        select id, played_at from {{ ref('timed') }}
    """,
    "models/timed.sql": "{{ config(materialized='table') }} select * from {{ ref('staged') }}",
    "models/checked.sql": "{{ config(materialized='table') }} select id, song from {{ ref('staged') }}",
    "models/models.yml": """
        version: 2
        models:
          - name: timed
            config: {event_time: played_at}
          - name: checked
            description: It's checked, and "quoted".
            config: {contract: {enforced: true}}
            constraints: [{type: primary_key, columns: [id]}]
            columns:
              - {name: id, description: The song's id, data_type: "number(38,0)", constraints: [{type: not_null}],
                 data_tests: [unique, not_null]}
              - {name: song, description: "Its title: 100 %", data_type: varchar}
          - name: staged
            description: Plays as they came.
            columns: [{name: id, description: A view's column.}]
        unit_tests:
          - name: days_are_counted
            model: replaced_days
            overrides: {macros: {is_incremental: false}}
            given:
              - input: ref('staged')
                rows:
                  - {id: 1, song: a, played_at: "2024-01-01 01:00:00"}
                  - {id: 2, song: b, played_at: "2024-01-01 02:00:00"}
            expect: {rows: [{day: "2024-01-01", plays: 2}]}
    """,
    "models/broken/broken.sql": "{{ config(materialized='table', enabled=var('broken', false)) }} "
    "select null::number(38,0) as id",
    "models/broken/broken.yml": """
        version: 2
        models:
          - name: broken
            config: {contract: {enforced: true}}
            columns: [{name: id, data_type: "number(38,0)", constraints: [{type: not_null}]}]
    """,
    "snapshots/songs.sql": """
        {% snapshot songs %}
        {{ config(strategy='check', unique_key='id', check_cols=['song'], hard_deletes='invalidate') }}
        select id, song || '{{ var("round", 1) }}' as song from {{ ref('staged') }}
        where id <> {{ '1' if var('round', 1) > 1 else '0' }}
        {% endsnapshot %}
    """,
}


#: Runs a list of commands in one process, so that dbt is started only once.
RUN = """
import json, sys
from dbt.cli.main import dbtRunner
for command in json.loads(sys.argv[1]):
    done = dbtRunner().invoke(["--no-use-colors", "--no-send-anonymous-usage-stats", *command, "--profiles-dir", "."])
    print("RESULT", done.success, flush=True)
"""
DAYS = ("--event-time-start", "2024-05-01", "--event-time-end", "2024-05-04")


def run_dbt(project: Path, *commands: tuple[str, ...]) -> tuple[list[bool], str]:
    """(whether each command succeeded, the output of all)."""
    command = [sys.executable, "-c", RUN, json.dumps(commands)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    return [line == "RESULT True" for line in done.stdout.splitlines() if line.startswith("RESULT")], output


@pytest.fixture
def project(tmp_path: Path, server: LocalWarehouse, database: str) -> Path:
    """The project's files, and a profile for the test's database."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).strip() + "\n")
    profile = {
        "type": "snowflake", "account": "local", "host": LOOPBACK, "port": server.port, "protocol": "http",
        "user": "dbt", "password": "any", "database": database, "schema": "TRIAL", "threads": 2, "query_tag": "trial",
    }  # fmt: skip
    (tmp_path / "profiles.yml").write_text(json.dumps({"trial": {"target": "t", "outputs": {"t": profile}}}))
    return tmp_path


def test_a_dbt_project_builds_twice_and_documents_itself(project: Path, connect: Connect) -> None:
    succeeded, output = run_dbt(
        project,
        ("build", *DAYS),
        ("build", "--vars", "{round: 2, broken: true}", *DAYS),
        ("docs", "generate", "--no-compile"),
    )
    assert succeeded == [True, False, True], output
    assert "NULL result in a non-nullable column" in output, "from the model that breaks its contract"
    assert output.count("ERROR=1") == 1, output

    cursor = connect(schema="TRIAL").cursor()
    merged = cursor.execute("select id, round, added from merged order by id").fetchall()
    assert merged == [(1, 1, None), (2, 1, None), (3, 2, "new"), (4, 2, "new")]
    assert cursor.execute("select count(*), sum(plays) from replaced_days").fetchall() == [(3, 3)]
    assert cursor.execute("select count(*), count(distinct id) from by_day").fetchall() == [(3, 3)]
    history = "select id, song, dbt_valid_to is null from SNAPSHOTS.songs order by id, dbt_valid_from"
    assert cursor.execute(history).fetchall() == [
        (1, "one1", False), (2, "two1", False), (2, "two2", True), (3, "three1", False), (3, "three2", True)
    ]  # fmt: skip

    catalog = json.loads((project / "target" / "catalog.json").read_text())["nodes"]
    checked = catalog["model.trial.checked"]
    assert checked["metadata"]["comment"] == 'It\'s checked, and "quoted".'
    assert checked["columns"]["SONG"]["comment"] == "Its title: 100 %"
    assert checked["columns"]["ID"]["type"] == "NUMBER"
    assert catalog["model.trial.staged"]["metadata"]["type"] == "VIEW"
    assert catalog["model.trial.staged"]["columns"]["ID"]["comment"] == "A view's column."
