"""Files: what is read, and how each kind of broken file is refused."""

from pathlib import Path

import pandas as pd
import pytest

from lossfn.comparison import DataError
from lossfn.comparison.reading import read_columns, read_frame

EXAMPLES = Path(__file__).parent.parent / "examples" / "data"


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def complaint(path, target="y", **options):
    with pytest.raises(DataError) as caught:
        read_columns(path, target, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_columns_by_their_part(write):
    path = write("a,y,w,g,b\n1,2.5,1,u,x\n3,4.5,2,v,z\n")
    columns = read_columns(path, "y", weight="w", group="g")
    assert list(columns.features.columns) == ["a", "b"]
    assert list(columns.target) == [2.5, 4.5]
    assert columns.target.name == "y"
    assert list(columns.weight) == [1, 2]
    assert list(columns.groups) == ["u", "v"]
    assert columns.dropped == 0


def test_csv_and_parquet_give_the_same_frame(write, tmp_path):
    frame = read_frame(
        write("number,whole,word,truth,hole,day\n1.5,2,a,true,,2020-01-01\n-2.5,3,b,false,7,2020-01-02\n")
    )
    frame.to_parquet(tmp_path / "data.parquet")
    again = read_frame(tmp_path / "data.parquet")
    pd.testing.assert_frame_equal(frame, again)


def test_spaces_after_commas_and_a_byte_order_mark_are_no_part_of_names(write):
    assert list(read_frame(write("\N{ZERO WIDTH NO-BREAK SPACE}a, y\n1, 2\n")).columns) == ["a", "y"]


def test_quoted_commas_and_newlines(write):
    frame = read_frame(write('a,y\n"one, two\nthree",2\n'))
    assert frame["a"].iloc[0] == "one, two\nthree"


def test_row_numbers_of_a_data_frame_are_not_a_feature(write):
    assert list(read_frame(write(",a,y\n0,1,2\n1,3,4\n")).columns) == ["a", "y"]


def test_missing_target_is_counted_and_located(write):
    path = write("a,y\n1,1\n2,\n3,NA\n4,4\n")
    message = complaint(path)
    assert "'y' is missing in 2 of 4 rows (rows 2, 3;" in message
    assert "--drop-missing" in message
    columns = read_columns(path, "y", drop_missing=True)
    assert list(columns.target) == [1, 4]
    assert columns.dropped == 2


def test_missing_weight_and_group_are_the_same_kind_of_mistake(write):
    path = write("a,y,w,g\n1,1,1,u\n2,2,,u\n3,3,1,\n")
    assert "weight 'w' is missing in 1 of 3 rows" in complaint(path, weight="w", group="g")
    assert read_columns(path, "y", weight="w", group="g", drop_missing=True).dropped == 2


def test_no_such_file_names_its_neighbours(write):
    path = write("a,y\n1,2\n", "houses.csv")
    assert "did you mean 'houses.csv'?" in complaint(path.with_name("house.csv"))
    assert "no folder" in complaint(path.parent / "nowhere" / "houses.csv")


def test_no_such_column_names_the_nearest_or_all(write):
    assert "did you mean 'price'?" in complaint(write("area,price\n1,2\n"), "Prize")
    assert "there are 'area', 'price'" in complaint(write("area,price\n1,2\n"), "zzz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("\n\n", "blank"),
        ("a,y\n", "no row"),
        ("a,y", "no row"),
        ("a,a,y\n1,2,3\n", "columns 1, 2 have the same name 'a'"),
        (",,y\n1,2,3\n", "columns 1, 2 have no name"),
        ("a,y\n1,2\n1,2,3\n", "line 3 has 3 values but the header has 2 columns"),
        ("a,y\n1,2\n\n1\n", "line 4 has 1 value "),
        ('a,y\n1,2\n"1,2\n', "broken CSV"),
        (b"a,y\n\xe9t\xe9,2\n", "byte 0xe9 in line 2"),
        ("a,y\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04 workbook", "Excel"),
        (b"PAR1 table", "name it .parquet"),
        ("a;y\n1;2\n", "semicolons"),
        ("a\ty\n1\t2\n", "tabs"),
        ("y\n1\n", "no column is left as a feature"),
        ("a,y\n1,\n2,\n", "missing in 2 of 2 rows"),
    ],
)
def test_broken_csv_is_refused_in_one_line(write, content, words):
    message = complaint(write(content))
    assert "data.csv" in message
    assert words in message


def test_nothing_left_when_all_targets_are_missing(write):
    assert "no row has 'y'" in complaint(write("a,y\n1,\n2,\n"), drop_missing=True)


def test_other_files_are_refused(write, tmp_path):
    assert ".xlsx cannot be read" in complaint(write("a", "book.xlsx"))
    assert "is a folder" in complaint(tmp_path)
    assert "not a readable Parquet file" in complaint(write("nonsense", "data.parquet"))


def test_columns_of_lists_are_refused(tmp_path):
    pd.DataFrame({"a": [[1], [2]], "y": [1, 2]}).to_parquet(tmp_path / "data.parquet")
    assert "column 'a' holds list" in complaint(tmp_path / "data.parquet")


def test_one_column_has_one_part(write):
    assert "different columns" in complaint(write("a,y\n1,2\n"), "y", weight="y")


@pytest.mark.parametrize(
    ("name", "target", "rows", "features", "positive"),
    [("engel.csv", "foodexp", 235, 1, None), ("solar_flares.csv", "flare", 1066, 9, 201)],
)
def test_example_data_are_what_their_description_says(name, target, rows, features, positive):
    columns = read_columns(EXAMPLES / name, target)
    assert columns.features.shape == (rows, features)
    assert not columns.features.isna().any().any()
    if positive is not None:
        assert columns.target.sum() == positive
    description = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{column}` |" in description for column in [*columns.features.columns, target])
