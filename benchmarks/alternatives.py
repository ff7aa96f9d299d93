"""What people would use instead of the platform for Kafka → table, each on the same topics, as short as its tutorial.

None of them does all that the platform does: `LACKS` says what each leaves out. Each runs in a process of its own:

    python -m benchmarks.alternatives NAME FOLDER

The settings of the broker come from the environment, as for the platform's own command line.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from music_platform.settings import Settings, load_settings
from music_platform.topics import open_consumer, topic_names, topic_offsets

#: Records that are taken from the client, and written, at once.
AT_ONCE = 50_000

#: Fields that every kind of event has, and their types in SQL.
FIELDS = {"ts": "BIGINT", "userId": "VARCHAR", "sessionId": "BIGINT", "level": "VARCHAR", "city": "VARCHAR",
          "state": "VARCHAR"}  # fmt: skip

#: By alternative: what it leaves out of what the platform does.
LACKS = {
    "confluent-kafka, read only": "everything but reading",
    "confluent-kafka → DuckDB": "no exactly-once, no validation, one process, malformed records lost",
    "confluent-kafka → polars → Parquet": "no exactly-once, no validation, one process, malformed records lost",
    "dlt → DuckDB": "at least once, no validation against a contract, one process",
}


def messages(settings: Settings) -> Iterator[list[KafkaMessage]]:
    """All records that the topics hold now, some thousand at a time."""
    config = settings.kafka_client_config()
    offsets = topic_offsets(config, topic_names(settings).values())
    left = {(topic, part) for topic, ends in offsets.end.items() for part, end in ends.items()
            if end > offsets.first[topic][part]}  # fmt: skip
    consumer = open_consumer(config, "music-platform-benchmark")
    try:
        consumer.assign([TopicPartition(topic, part, offsets.first[topic][part]) for topic, part in left])
        while left:
            found = []
            for message in consumer.consume(AT_ONCE, 0.5):
                if (error := message.error()) is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
            if found:
                yield found
    finally:
        consumer.close()


def parsed(found: list[KafkaMessage]) -> Iterator[dict[str, object]]:
    """The records that are JSON objects."""
    for message in found:
        try:
            record = json.loads(message.value() or b"")
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def read_only(settings: Settings, _folder: Path) -> int:
    """Every byte is read, and nothing is done with it."""
    return sum(len(found) for found in messages(settings))


def into_duckdb(settings: Settings, folder: Path) -> int:
    """A table of the common fields and the payload, appended through Arrow."""
    session = duckdb.connect(str(folder / "events.duckdb"))
    columns_of = ", ".join(f"{name} {kind}" for name, kind in FIELDS.items())
    session.execute(f"CREATE TABLE events ({columns_of}, payload VARCHAR)")
    rows = 0
    for found in messages(settings):
        records = list(parsed(found))
        columns: dict[str, list[object]] = {
            name: [(_whole if kind == "BIGINT" else _text)(record.get(name)) for record in records]
            for name, kind in FIELDS.items()
        }
        columns["payload"] = [json.dumps(record) for record in records]
        batch = pa.table(columns)  # noqa: F841  DuckDB finds it by its name.
        session.execute("INSERT INTO events SELECT * FROM batch")
        rows += len(records)
    session.close()
    return rows


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < 2**63 else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def into_parquet(settings: Settings, folder: Path) -> int:
    """A Parquet file for each batch, parsed by polars."""
    rows = 0
    schema = {name: pl.Int64 if kind == "BIGINT" else pl.String for name, kind in FIELDS.items()}
    for number, found in enumerate(messages(settings)):
        try:
            frame = pl.read_ndjson(b"\n".join(message.value() or b"" for message in found), schema=schema)
        except pl.exceptions.ComputeError:  # A malformed record: polars says nothing about the others then.
            frame = pl.DataFrame([{n: r.get(n) for n in schema} for r in parsed(found)], schema=schema, strict=False)
        frame.write_parquet(folder / f"{number}.parquet")
        rows += len(frame)
    return rows


def through_dlt(settings: Settings, folder: Path) -> int:
    """dlt's pipeline: extract, normalize, load."""
    import dlt

    def events() -> Iterator[list[dict[str, object]]]:
        for found in messages(settings):
            yield list(parsed(found))

    pipeline = dlt.pipeline("events", destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
                            dataset_name="raw", pipelines_dir=str(folder))  # fmt: skip
    pipeline.run(dlt.resource(events, name="events", write_disposition="append", max_table_nesting=0))
    ((rows,),) = duckdb.connect(str(folder / "dlt.duckdb")).sql("SELECT COUNT(*) FROM raw.events").fetchall()
    return int(rows)


ALTERNATIVES: dict[str, Callable[[Settings, Path], int]] = dict(
    zip(LACKS, (read_only, into_duckdb, into_parquet, through_dlt), strict=True)
)


def main() -> None:
    """Entry point: prints the rows that arrived."""
    name, folder = sys.argv[1:]
    print(ALTERNATIVES[name](load_settings(), Path(folder)))


if __name__ == "__main__":
    main()
