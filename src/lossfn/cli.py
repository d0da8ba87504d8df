"""The ``lossfn`` command: whatever goes wrong ends in one line on stderr and an exit code that says whose fault it was.

Exit codes: 0 done; 1 our fault or the machine's; 2 a mistake in the data or on the command line; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from lossfn.extras import OF_CLI

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows a question mark, instead of ending in an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    missing = [name for name in OF_CLI if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(f'the command line needs {", ".join(missing)}: pip install "lossfn[cli]"', 2)
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", INTERRUPTED)
    except BrokenPipeError:
        # Who reads our output has had enough of it, as `head` has. The interpreter would complain when it flushes.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # A full disk, a folder that has gone: neither the user's mistake nor ours.
        return _fail(": ".join(filter(None, (error.strerror or str(error), error.filename))), 1)
    except MemoryError as error:
        return _fail(str(error) or "there is not enough memory", 1)
    except Exception as error:
        return _report(error)


def _run(arguments: list[str]) -> int:
    import typer

    from lossfn.commands import command
    from lossfn.comparison.problems import DataError

    try:
        code: Any = command().main(arguments, prog_name="lossfn", standalone_mode=False)
    except DataError as error:
        return _fail(str(error), 2)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # What is wrong with a command line; typer has no public name for the class that all such mistakes share.
        if not hasattr(error, "format_message"):
            raise
        message = str(error.format_message()).rstrip(".").replace("Value error, ", "")
        # Options are read by pydantic, whose messages about numbers do not say what it was given.
        mistakes: Any = getattr(error.__cause__, "errors", list)()
        given = repr(mistakes[0]["input"]) if mistakes else ""
        if given not in message:
            message += f"; got {given}"
        context = getattr(error, "ctx", None)
        path = "lossfn" if context is None else context.command_path
        return _fail(f"{message} ({path} --help shows how to use it)", 2)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _report(error: Exception) -> int:
    if os.environ.get("LOSSFN_DEBUG"):
        traceback.print_exception(error)
    text = " ".join(str(error).split())[:300]
    advice = "a fault in lossfn: please report it, with what LOSSFN_DEBUG=1 prints"
    return _fail(f"unexpected {type(error).__name__}: {text} ({advice})", 1)


def _fail(message: str, code: int) -> int:
    """Print one line, whatever the message holds."""
    print(f"lossfn: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 (what the command says)
    return code


if __name__ == "__main__":
    sys.exit(main())
