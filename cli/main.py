"""The `flumen` command: the command line is read here, and every error ends here.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a server is down (`flumen status`), 128 and a signal's number for what a
signal ended: 130 after Ctrl-C, 143 after SIGTERM.
"""

import os
import sys
import tempfile
import traceback
from importlib.metadata import version as version_of
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Annotated, Any, NoReturn

import typer

from flumen.cli.commands import Commands
from flumen.cli.errors import OutputLost, Unexpected

app = typer.Typer(
    name="flumen",
    cls=Commands,
    help="Classify images as they arrive.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"flumen {version_of('flumen-ingest')}, Python {sys.version.split()[0]}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # noqa: ARG001 - its callback has seen it
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", metavar="", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Classify images as they arrive."""
    _log_to_standard_error()


def _log_to_standard_error() -> None:
    """Keep what is logged out of what is printed: JSON has to stay JSON. A worker sets up its own."""
    import structlog

    structlog.reset_defaults()  # whatever ran before in this process
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def run() -> None:
    """Run the command line; our own errors become one message on standard error and exit code 1."""
    _open_what_is_closed()
    _write_what_can_be_written()
    output = _watch_output()
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the last net: whatever it is, people get words and not a traceback
        _end(error, output)


def _open_what_is_closed() -> None:
    """Let an input or output that is closed lead nowhere: else the next file or connection would be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It takes the lowest number that is free, which is this one; children have it as well.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 - open as long as the program
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _write_what_can_be_written() -> None:
    """Escape what the output's encoding lacks, rather than fail at a name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Output(FileIO):
    """Standard output, which keeps the error that it failed with: the error itself does not say whose it is."""

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise


def _watch_output() -> _Output | None:
    """Let what is printed go through an `_Output`. None where something else than the system's takes it."""
    text = sys.stdout
    if not isinstance(text, TextIOWrapper):
        return None
    raw = getattr(text.buffer, "raw", text.buffer)
    if not isinstance(raw, FileIO) or raw.fileno() != 1:
        return None
    text.flush()
    output = _Output(1, "w", closefd=False)
    unbuffered = raw is text.buffer  # as PYTHONUNBUFFERED has it
    sys.stdout = TextIOWrapper(
        output if unbuffered else BufferedWriter(output),
        text.encoding,
        text.errors,
        line_buffering=text.line_buffering,
        write_through=text.write_through,
    )
    return output


def _end(error: Exception, output: _Output | None) -> NoReturn:
    from flumen.cli.failures import elsewhere, is_ours
    from flumen.cli.output import print_error
    from flumen.interceptor.open_files import exhausted

    files = exhausted(error)
    if output is not None and error is output.failure:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter tries once more at its end
        print_error(
            OutputLost(f"the output cannot be written: {error}. Make room for it, or send it elsewhere")
        )
    elif files or is_ours(error):
        print_error(error, elsewhere(error) if files is None or files in str(error) else files)
    else:
        print_error(Unexpected(_report(error)))
    sys.exit(1)


def _report(error: Exception) -> str:
    """Say what happened, and keep where it did in a file: for whoever mends it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}"  # noqa: PTH119
    said = f" ({error})" if str(error) else ""
    details = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="flumen-error-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(
                f"flumen {version_of('flumen-ingest')}, Python {sys.version}\n{' '.join(sys.argv)}\n{details}"
            )
    except OSError:
        return f"{where}{said}.\nThis is a fault of flumen. Please report it with this:\n{details}"
    return (
        f"{where}{said}.\nThis is a fault of flumen, not of what you did. Please report it with {file.name}"
    )
