"""The command: what it prints and writes, and that every mistake ends in one line, an exit code and no file."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lossfn.cli import main
from lossfn.commands import read_losses
from lossfn.comparison import DataError
from lossfn.comparison.terminal import Screen

EXAMPLES = Path(__file__).parent.parent / "examples" / "data"
QUICK = ["--folds", "2", "--repeats", "1", "--l2", "0.01", "--losses", "absolute_error"]


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


@pytest.fixture
def outputs(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def refused(capsys, *arguments):
    """Run a command that must be refused and return its one line."""
    assert main(["compare", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("lossfn: ")
    assert complaint.count("\n") == 1
    return complaint


NUMBERS = "x,y\n" + "".join(f"{i},{i * i % 17}\n" for i in range(30))

WORDS = "x,y\n" + "".join(f"{i},{'abc'[i % 3]}\n" for i in range(30))

MISTAKES = {
    "no such column": (NUMBERS, ["--target", "z"], "no column 'z'"),
    "no such weight": (NUMBERS, ["--target", "y", "--weight", "X"], "did you mean 'x'?"),
    "duplicate names": ("x,x,y\n1,2,3\n", ["--target", "y"], "same name 'x'"),
    "words as numbers": ("x,y\n1,a\n2,b\n3,c\n", ["--target", "y", "--task", "regression"], "not numeric"),
    "three classes": ("x,y\n1,a\n2,b\n3,c\n", ["--target", "y", "--task", "binary"], "3 classes"),
    "three words": ("x,y\n1,a\n2,b\n3,c\n", ["--target", "y", "--folds", "2"], "class 'a' of target 'y'"),
    "binary loss of three classes": (WORDS, ["--target", "y", "--losses", "hinge"], "the task is multiclass"),
    "probabilities of classes": (
        WORDS,
        ["--target", "y", "--losses", "CrossEntropy(inputs='probabilities')"],
        "use inputs='logits'",
    ),
    "prior of two of three classes": (WORDS, ["--target", "y", "--losses", "logit_adjusted"], "prior has 2 entries"),
    "thresholds as scores": (WORDS, ["--target", "y", "--losses", "coral"], "not those of classes"),
    "rows for numbers": (NUMBERS, ["--target", "y", "--losses", "mixture_density"], "a row of scores"),
    "a teacher": (WORDS, ["--target", "y", "--losses", "distillation"], "target.teacher"),
    "constant target": ("x,y\n1,5\n2,5\n3,5\n", ["--target", "y"], "constant"),
    "missing target": ("x,y\n1,1\n2,\n3,3\n", ["--target", "y"], "rows (row 2; row 1 follows the header)"),
    "fewer rows than folds": ("x,y\n1,1\n2,2\n3,3\n", ["--target", "y", "--folds", "5"], "3 rows are fewer than 5"),
    "unknown loss": (NUMBERS, ["--target", "y", "--losses", "hubber"], "did you mean huber"),
    "unknown parameter": (NUMBERS, ["--target", "y", "--losses", "Huber(gamma=2)"], "no parameter 'gamma'"),
    "impossible parameter": (NUMBERS, ["--target", "y", "--losses", "Huber(delta=-1)"], "delta"),
    "loss of another task": (NUMBERS, ["--target", "y", "--losses", "hinge"], "binary"),
    "loss with two heads": (NUMBERS, ["--target", "y", "--losses", "gaussian_nll"], "2 predictions"),
    "unclosed parenthesis": (NUMBERS, ["--target", "y", "--losses", "Huber(delta=2"], "Huber(delta=2"),
    "no loss": (NUMBERS, ["--target", "y", "--losses", " , "], "names no loss"),
    "unreadable encoding": (b"x,y\n1,\xe9\n", ["--target", "y"], "not UTF-8"),
    "empty file": ("", ["--target", "y"], "empty"),
    "header only": ("x,y\n", ["--target", "y"], "no row"),
    "broken line": ("x,y\n1,2\n1,2,3\n", ["--target", "y"], "line 3"),
    "no feature": ("y\n1\n2\n", ["--target", "y"], "no column is left"),
    "one fold": (NUMBERS, ["--target", "y", "--folds", "1"], "--folds"),
    "folds in words": (NUMBERS, ["--target", "y", "--folds", "five"], "'five'"),
    "no repeats": (NUMBERS, ["--target", "y", "--repeats", "0"], "--repeats"),
    "negative penalty": (NUMBERS, ["--target", "y", "--l2", "-1"], "--l2"),
    "endless penalty": (NUMBERS, ["--target", "y", "--l2", "inf"], "l2"),
    "unknown task": (NUMBERS, ["--target", "y", "--task", "ranking"], "--task"),
    "no target": (NUMBERS, [], "--target"),
    "unknown option": (NUMBERS, ["--target", "y", "--foldz", "3"], "--foldz"),
    "words as weight": ("x,y,w\n1,1,a\n2,2,b\n3,4,c\n", ["--target", "y", "--weight", "w"], "weight"),
    "too few groups": (NUMBERS.replace("x,y", "g,y"), ["--target", "y", "--group", "g"], "feature"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_line_and_no_file(name, write, outputs, capsys):
    content, arguments, words = MISTAKES[name]
    files = ["--out", str(outputs / "report.html"), "--json", str(outputs / "result.json")]
    assert words in refused(capsys, write(content), *arguments, *files)
    assert list(outputs.iterdir()) == []


def test_no_such_file_and_folder(write, tmp_path, capsys):
    path = write(NUMBERS, "numbers.csv")
    assert "did you mean 'numbers.csv'?" in refused(capsys, path.replace("numbers", "number"), "--target", "y")
    assert "is a folder" in refused(capsys, str(tmp_path), "--target", "y")


def test_output_is_refused_before_any_work(write, outputs, capsys):
    # The data do not exist either, so that the complaint shows what is looked at first.
    arguments = ["nothing.csv", "--target", "y"]
    assert "no folder" in refused(capsys, *arguments, "--out", str(outputs / "missing" / "report.html"))
    assert "is a folder" in refused(capsys, *arguments, "--json", str(outputs))
    assert "not an ordinary file" in refused(capsys, *arguments, "--out", os.devnull)
    same = str(outputs / "same")
    assert "same file" in refused(capsys, *arguments, "--out", same, "--json", same)
    data = write(NUMBERS)
    assert "is the data" in refused(capsys, data, "--target", "y", "--out", data)
    assert Path(data).read_text() == NUMBERS


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(outputs, capsys):
    outputs.chmod(0o500)
    message = refused(capsys, "nothing.csv", "--target", "y", "--out", str(outputs / "report.html"))
    assert "permission" in message


def test_compare_prints_a_table_and_writes_both_files(outputs, capsys):
    report, numbers = outputs / "report.html", outputs / "result.json"
    data = str(EXAMPLES / "engel.csv")
    code = main(["compare", data, "--target", "foodexp", *QUICK, "--out", str(report), "--json", str(numbers)])
    printed = capsys.readouterr()
    assert code == 0
    assert printed.err == ""
    assert "engel.csv: 235 rows, 1 feature" in printed.out
    assert "AbsoluteError" in printed.out
    assert str(report) in printed.out
    assert sorted(path.name for path in outputs.iterdir()) == ["report.html", "result.json"]
    content = json.loads(numbers.read_text(encoding="utf-8"))
    assert content["seed"] == 0
    assert content["rows"] == 235
    assert set(content["versions"]) >= {"lossfn", "numpy", "scikit-learn"}
    assert [loss["key"] for loss in content["losses"]] == ["SquaredError", "AbsoluteError"]
    page = report.read_text(encoding="utf-8")
    assert "--target foodexp --task regression" in page
    assert "--folds 2 --repeats 1 --seed 0" in page


@pytest.mark.usefixtures("capsys")
def test_same_seed_same_numbers_from_csv_and_parquet(tmp_path):
    pd.read_csv(EXAMPLES / "engel.csv").to_parquet(tmp_path / "engel.parquet")
    texts = []
    for place, (data, seed) in enumerate(
        [(EXAMPLES / "engel.csv", 3), (tmp_path / "engel.parquet", 3), (EXAMPLES / "engel.csv", 4)]
    ):
        numbers = tmp_path / f"{place}.json"
        arguments = [str(data), "--target", "foodexp", *QUICK, "--seed", str(seed), "--json", str(numbers)]
        assert main(["compare", *arguments]) == 0
        texts.append(numbers.read_text())
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_weights_groups_and_dropped_rows(write, tmp_path, capsys):
    rows = "".join(f"{i},{i * i % 17},{1 + i % 2},{i % 6}\n" for i in range(30))
    data = write(f"x,y,w,g\n{rows}7,,1,1\n")
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    arguments = ["--target", "y", "--weight", "w", "--group", "g", "--drop-missing"]
    assert main(["compare", data, *arguments, *QUICK, "--out", str(report), "--json", str(numbers)]) == 0
    assert "30 rows, 1 feature, 1 row left out" in capsys.readouterr().out
    content = json.loads(numbers.read_text())
    note = "Left out: 1 row without target, weight or group."
    assert content["notes"][0] == note
    assert note in report.read_text(encoding="utf-8")
    assert content["groups"] == 6
    assert content["weighted"]


def test_losses_are_split_outside_parentheses_only():
    text = 'squared_error, Huber(delta=2) ,BinaryCrossEntropy(inputs="logits", pos_weight=2),'
    assert read_losses(text) == [
        "squared_error",
        "Huber(delta=2)",
        'BinaryCrossEntropy(inputs="logits", pos_weight=2)',
    ]
    with pytest.raises(DataError, match="hubber"):
        read_losses("squared_error,hubber")


def test_list_show_version_and_help(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^  huber\s+regression\s+M-location", listed, re.MULTILINE)
    assert main(["show", "Huber(delta=2)"]) == 0
    shown = capsys.readouterr().out
    assert "Huber(delta=2.0)" in shown
    assert "δ (|r| − δ/2)" in shown
    assert main(["--version"]) == 0
    assert re.fullmatch(r"lossfn \d+\.\d+.*\n", capsys.readouterr().out)
    assert main(["compare", "--help"]) == 0
    assert "--drop-missing" in capsys.readouterr().out
    assert main([]) == 0
    assert "compare" in capsys.readouterr().out
    assert main(["show", "hubber"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(monkeypatch, outputs, capsys):
    def fail(*_, **__):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.delenv("LOSSFN_DEBUG", raising=False)
    monkeypatch.setattr("lossfn.comparison.report.render_html", fail)
    files = ["--out", str(outputs / "report.html"), "--json", str(outputs / "result.json")]
    assert main(["compare", str(EXAMPLES / "engel.csv"), "--target", "foodexp", *QUICK, *files]) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "RuntimeError: first line second line" in complaint
    assert "report" in complaint
    assert list(outputs.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(monkeypatch, outputs, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device", str(outputs / "report.html"))

    monkeypatch.setattr(Path, "replace", fail)
    arguments = ["--target", "foodexp", *QUICK, "--out", str(outputs / "report.html")]
    assert main(["compare", str(EXAMPLES / "engel.csv"), *arguments]) == 1
    assert re.fullmatch(r"lossfn: No space left on device: .*report\.html\n", capsys.readouterr().err)
    assert list(outputs.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "line"), [(MemoryError("use fewer"), "use fewer"), (MemoryError(), "not enough memory")]
)
def test_memory_that_runs_out_is_one_line(error, line, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("lossfn.comparison.compare", fail)
    assert main(["compare", str(EXAMPLES / "engel.csv"), "--target", "foodexp", *QUICK]) == 1
    assert re.fullmatch(rf"lossfn: .*{line}\n", capsys.readouterr().err)


def test_without_the_extra_one_line_says_what_to_install():
    program = "import sys; sys.modules['typer'] = None; from lossfn.cli import main; sys.exit(main(['list']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'lossfn: the command line needs typer: pip install "lossfn[cli]"\n'


@pytest.fixture
def heard_interrupts():
    """Let interrupts be heard where the tests run in the background of a shell, which ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.usefixtures("heard_interrupts")
def test_interrupt_leaves_nothing_behind(outputs):
    data = shutil.copy(EXAMPLES / "engel.csv", outputs)
    arguments = [data, "--target", "foodexp", "--repeats", "500", "--out", str(outputs / "report.html")]
    program = [sys.executable, "-u", "-m", "lossfn.cli", "compare", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # The first line says that the work begins.
        assert "235 rows" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            _, complaint = process.communicate(timeout=60)
        finally:
            process.kill()
    # Where the interrupt has passed through exec, CPython ends by the signal itself, which shells show as 130, too.
    assert process.returncode in {130, -signal.SIGINT}
    assert complaint == "lossfn: interrupted; nothing was written\n"
    assert [path.name for path in outputs.iterdir()] == ["engel.csv"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.usefixtures("heard_interrupts")
def test_an_interrupt_that_a_library_swallows_is_raised_again():
    with Screen().progress() as move:
        move(1, 10)
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            move(2, 10)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_was_left_out_is_said_in_the_terminal(write, capsys):
    data = write("x,k,y\n" + "".join(f"{i},1,{i % 7 - 3}.5\n" for i in range(30)))
    arguments = ["--folds", "2", "--repeats", "1", "--l2", "0.01", "--losses", "squared_error,poisson"]
    assert main(["compare", data, "--target", "y", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "30 rows, 1 of 2 features" in printed
    assert "Note: Left out as features: 'k' (constant)." in printed
    assert "Note: Poisson was left out: " in printed
    assert "penalty l2 was given" not in printed


@pytest.mark.parametrize("column", ["x", "y"])
def test_rows_are_counted_as_in_the_file(column, write, capsys):
    # Rows left out before, for a missing or a zero weight, count too.
    cells = {"x": [str(i) for i in range(30)], "y": [str(i) for i in range(30)]}
    cells[column][6] = "inf"
    weights = ["0", "", *["1"] * 28]
    data = write("x,y,w\n" + "".join(f"{x},{y},{w}\n" for x, y, w in zip(*cells.values(), weights, strict=True)))
    complaint = refused(capsys, data, "--target", "y", "--weight", "w", "--drop-missing")
    assert "(row 7; row 1 follows the header)" in complaint


def test_an_option_given_twice_is_refused(write, capsys):
    data = write(NUMBERS)
    assert "--target is given 2 times; give it once" in refused(capsys, data, "--target", "y", "--target", "x")
    losses = ["--losses", "huber", "--losses", "squared_error"]
    assert "--losses is given 2 times" in refused(capsys, data, "--target", "y", *losses)
    assert main(["list", "--task", "binary", "--task", "regression"]) == 2


@pytest.mark.skipif(not os.access("/proc", os.W_OK), reason="needs a folder that permits files and takes none")
def test_a_folder_that_takes_no_files(capsys):
    complaint = refused(capsys, "nothing.csv", "--target", "y", "--out", "/proc/r.html")
    assert "--out: /proc/r.html cannot be written" in complaint


def test_mistakes_of_usage_name_the_command(write, capsys):
    complaint = refused(capsys, write(NUMBERS), "--target", "y", "--task", "regresion")
    assert "'--task': 'regresion' is not one of" in complaint
    assert complaint.endswith("(lossfn compare --help shows how to use it)\n")
    assert main(["compar"]) == 2
    assert "(lossfn --help shows how to use it)" in capsys.readouterr().err


def test_binary_data_are_told_from_text(write, capsys):
    assert "is no text but binary data" in refused(capsys, write(bytes(range(256)) * 4), "--target", "y")
    assert "is no text but binary data" in refused(capsys, write(b"x,y\n1,\0\0\n"), "--target", "y")
