"""Data in a page of Dagster's UI is text, whatever it looks like."""

from music_platform.orchestration.assets.markdown import markdown_table


def test_data_in_a_table_is_no_markup() -> None:
    rows = [("[click](https://elsewhere)|*x*", None), ("two\nlines <b>`c`", 3)]
    assert markdown_table(["file", "rows"], rows).splitlines()[2:] == [
        r"\[click\](https://elsewhere)\|\*x\* | ",
        r"two lines \<b\>\`c\` | 3",
    ]
