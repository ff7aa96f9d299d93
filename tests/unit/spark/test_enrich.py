"""What the reference data says: read as it is written, and never in the way of the stream."""

import os
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pyarrow as pa
import pytest

from music_platform.contracts import events
from music_spark.enrich import FILES_KEPT, Lookups, Reference, _loaded, enriched, lookups, read_reference
from music_spark.job import Job, lake_step
from music_spark.read import KafkaSource
from music_spark.shape import RECORD_SCHEMA


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_a_song_is_known_by_id_and_by_a_pair_that_means_one_song(tmp_path: Path) -> None:
    write(
        tmp_path,
        songs='song_id,title,artist_id,genre\n007,null,a1,Pop\ns2,Two,a1,\ns3,Two,a2,Rock\ns4,"a\nb",a3,Pop\n',
        artists="artist_id,name\na1,A\na2,A\n",
    )
    found = {
        row["song_key"]: (row["song_title"], row["song_genre"]) for row in read_reference(tmp_path).songs.to_pylist()
    }
    assert found == {
        "i007": ("null", "Pop"),
        "is2": ("Two", None),
        "is3": ("Two", "Rock"),
        "is4": ("a\nb", "Pop"),
        "nA\x1fnull": ("null", "Pop"),
    }, "two artists called A have a song called Two each; an artist without a name names none"


def test_users_and_the_places_where_they_live(tmp_path: Path) -> None:
    write(tmp_path, users="user_id,state,country\n1,OS,NO\n2,OS,DK\n3,,SE\n4,XX,\n")
    found = read_reference(tmp_path)
    assert found.users.to_pydict() == {
        "known_user_id": ["1", "2", "3", "4"],
        "user_country": ["NO", "DK", "SE", None],
    }
    assert found.places.to_pydict() == {"known_state": ["OS"], "place_country": ["DK"]}


def test_rows_without_an_id_are_nobodys(tmp_path: Path) -> None:
    """One such row gave every guest its country."""
    write(
        tmp_path,
        users="user_id,state,country\n,OS,NO\n1,XX,DK\n",
        songs="song_id,title,artist_id,genre\n,T,a1,Pop\ns1,U,,Rock\n",
        artists="artist_id,name\n,Nobody\na1,A\n",
    )
    found = read_reference(tmp_path)
    assert found.users.to_pydict() == {"known_user_id": ["1"], "user_country": ["DK"]}
    assert found.songs["song_key"].to_pylist() == ["is1"]
    lookups_of = Lookups(found)
    assert lookups_of.users.positions(pa.array([None, "1"], pa.string())).to_pylist() == [None, 0]


def test_a_damaged_file_is_said_and_stops_nothing(tmp_path: Path) -> None:
    write(tmp_path, songs="song_id,title\ns1,T,more,than,the,header\n", users="user_id,country\n1,NO\n")
    said: list[str] = []
    found = read_reference(tmp_path, said.append)
    assert (found.songs.num_rows, found.users.num_rows) == (0, 1)
    assert f"cannot read {tmp_path / 'songs.csv'}" in said[0]


def test_no_reference_data_is_none(tmp_path: Path) -> None:
    found = read_reference(tmp_path / "nowhere")
    assert (found.songs.num_rows, found.users.num_rows, found.places.num_rows) == (0, 0, 0)


def said_of(found: Reference, *rows: dict[str, str]) -> list[tuple[object, ...]]:
    """The enrichment of rows."""
    given = pa.RecordBatch.from_pylist(list(rows), RECORD_SCHEMA)
    (batch,) = enriched([given], Lookups(found))
    assert batch.schema.names == [column.column for column in events.lake_columns()]
    assert batch.select(RECORD_SCHEMA.names).equals(given)
    names = [column.column for column in events.ENRICHMENT_COLUMNS]
    return list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))


def test_each_row_stays_one_row_with_what_is_known_of_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        songs="song_id,title,artist_id,genre\ns1,One,a1,Pop\ns2,Two,a1,\n",
        artists="artist_id,name\na1,A\n",
        users="user_id,state,country\n1,OS,NO\n",
    )
    found = said_of(
        read_reference(tmp_path),
        {"song_id": "s1", "user_id": "1", "state": "OS"},
        {"artist": "A", "song": "Two", "user_id": "2", "state": "XX"},
        {"song_id": "unheard of", "artist": "A", "song": "Two"},
        {"artist": "A"},
    )
    assert found == [
        (True, "One", "Pop", "NO", "NO"),
        (True, "Two", None, None, None),
        (False, None, None, None, None),
        (None, None, None, None, None),
    ]


def test_without_a_catalogue_nobody_can_say_whether_a_song_is_known() -> None:
    assert said_of(Reference(), {"song_id": "s1", "user_id": "1", "state": "OS"}) == [(None,) * 5]


def test_a_worker_makes_the_reference_data_ready_once_for_each_state_of_it(tmp_path: Path) -> None:
    def kept(songs: str) -> Lookups:
        write(tmp_path, songs=f"song_id,title,artist_id,genre\n{songs}")
        found = read_reference(tmp_path)
        return lookups(found.name, found.content)

    first = kept("s1,One,a1,Pop\n")
    assert kept("s1,One,a1,Pop\n") is first
    assert first.songs.positions(pa.array(["is1", "is2"])).to_pylist() == [0, None]
    assert kept("s1,One,a1,Pop\ns2,Two,a1,\n").songs.positions(pa.array(["is1", "is2"])).to_pylist() == [0, 1]


def test_files_that_have_not_changed_are_not_read_again(tmp_path: Path) -> None:
    write(tmp_path, songs="song_id,title,artist_id,genre\ns1,One,a1,Pop\n")
    first = read_reference(tmp_path)
    assert read_reference(tmp_path) is first
    write(tmp_path, songs="song_id,title,artist_id,genre\n")
    assert read_reference(tmp_path).songs.num_rows == 0


def test_a_query_carries_a_file_name_and_not_the_reference_data(tmp_path: Path) -> None:
    """Spark Connect keeps the plan of each query for an hour: megabytes of users in each filled the server's memory."""
    write(tmp_path, users="user_id,country\n" + "".join(f"{n},Country {n}\n" for n in range(50_000)))
    found, shared = read_reference(tmp_path), tmp_path / "shared"
    job = Job(KafkaSource("", (), 1), {}, {}, "", "", 1, found, shared)
    assert len(found.content) > 1_000_000
    assert len(cloudpickle.dumps(lake_step(job))) < 100_000
    assert len(cloudpickle.dumps(lake_step(replace(job, shared=None)))) > 1_000_000
    (file,) = shared.iterdir()
    by_file = lookups(found.name, file)
    _loaded.clear()
    by_content = lookups(found.name, found.content)
    users = pa.array(["7", "49999", "nobody"])
    assert by_file.users.positions(users) == by_content.users.positions(users)
    for n in range(FILES_KEPT + 3):
        write(tmp_path, users=f"user_id,country\n1,Other {n}\n")
        newest = read_reference(tmp_path).for_workers(shared)
    assert len(list(shared.iterdir())) == FILES_KEPT
    assert newest in shared.iterdir()
    # Data that come back are in use again, and as new as any.
    for path in shared.iterdir():
        os.utime(path, (1_000, 1_000) if path == newest else (2_000, 2_000))
    assert read_reference(tmp_path).for_workers(shared) == newest
    write(tmp_path, users="user_id,country\n1,Yet another\n")
    read_reference(tmp_path).for_workers(shared)
    assert newest in shared.iterdir()


def test_a_worker_refuses_a_file_whose_content_is_not_what_its_name_says(tmp_path: Path) -> None:
    write(tmp_path, users="user_id,country\n1,Here\n")
    found = read_reference(tmp_path)
    file = found.for_workers(tmp_path / "shared")
    assert isinstance(file, Path)
    assert Reference.of(file.read_bytes()).users == found.users
    file.write_bytes(file.read_bytes() + b"x")
    _loaded.clear()
    with pytest.raises(ValueError, match="was changed"):
        lookups(found.name, file)
