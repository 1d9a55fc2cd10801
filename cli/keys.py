"""`flumen keys`: who may swap models."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flumen.cli.output import AsJson, console, print_json
from flumen.streams.control.keys import key_id, new_key_pair
from flumen.streams.errors import BadKey

app = typer.Typer(help="Make the keys that control records are signed with.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Make the keys that control records are signed with."""


@app.command("new")
def new(
    file: Annotated[
        Path, typer.Option("--out", help="Where the private key goes. A file that is there stays as it is.")
    ] = Path("flumen.key"),
    *,
    as_json: AsJson = False,
) -> None:
    """Make an Ed25519 key pair: the private key into a file that you alone can read, the public one printed."""
    pair = new_key_pair()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode: a file that is closed to others only afterwards was open for a moment.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, 0o600)  # whatever the umask
                stream.write(pair.private)
        except OSError:
            file.unlink()  # half a key, of a full disk, would be in the way of the next try
            raise
    except FileExistsError as error:
        raise BadKey(
            f"{file} is there already, and is not overwritten; name another file by --out"
        ) from error
    except OSError as error:
        raise BadKey(f"{file} cannot be written: {error.strerror}; name another file by --out") from error
    if as_json:
        print_json({"private_key_file": str(file), "public_key": pair.public, "key_id": key_id(pair.public)})
        return
    lines = (
        f"The private key is in {file}; nobody but you can read it. Keep it where models are swapped from.",
        f"Its public key, {key_id(pair.public)} for short, is",
        "",
        f"  {pair.public}",
        "",
        "Workers: they refuse every control record that no such key has signed. In flumen.toml, then start them again:",
        f'  control_public_keys = ["{pair.public}"]',
        "Operators: their commands sign with it. In flumen.toml beside the line above, or in the environment:",
        f'  control_private_key_file = "{file.absolute()}"',
        f"  FLUMEN_CONTROL_PRIVATE_KEY_FILE={file.absolute()}",
    )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
