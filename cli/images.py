"""`flumen images`: what the stores hold of one image, and the image itself."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from flumen.cli.looking_back.deleting import delete_images, restore_images
from flumen.cli.output import AsJson, how_many, iso_time, print_facts, print_json, save_bytes
from flumen.stores.errors import NoSuchImage
from flumen.stores.kudu import KuduReader
from flumen.streams.settings import load_settings

app = typer.Typer(
    help="See one image: what is known of it, and its bytes; delete images.", no_args_is_help=True
)

ImageId = Annotated[str, typer.Argument(metavar="ID", help="The image's id, as `flumen search` shows it.")]


app.command("delete")(delete_images)
app.command("restore")(restore_images)


@app.command("get")
def get_image(
    image_id: ImageId,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, and not to standard output.")
    ] = None,
    view: Annotated[
        bool, typer.Option("--view", help="What the classifier saw instead, as PGM or PPM.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
) -> None:
    """Write an image as it was published, byte for byte, put together again where it lies in pieces."""
    if output is None and sys.stdout.isatty():
        raise typer.BadParameter("a terminal shows no image; give --output FILE, or send it on with > or |")
    with _reader() as reader:
        try:
            content = reader.read_view(image_id) if view else reader.read_image(image_id)
        except KeyError:
            raise _no_such_image(image_id) from None
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        save_bytes(content, output, force)


@app.command("show")
def show_image(image_id: ImageId, *, as_json: AsJson = False) -> None:
    """Show every column of an image's row in Kudu."""
    with _reader() as reader:
        row = reader.get(image_id)
        schema = reader.schema("images")
    if row is None:
        raise _no_such_image(image_id)
    times = {name for name in schema.names if pa.types.is_timestamp(schema.field(name).type)}
    shown = {name: _shown(value) for name, value in row.items()}
    if as_json:
        print_json(shown)
        return
    print_facts(
        (name, iso_time(value) if name in times else value)
        for name, value in shown.items()
        if value is not None
    )


@contextmanager
def _reader() -> Iterator[KuduReader]:
    reader = KuduReader(load_settings().kudu_options())
    try:
        yield reader
    finally:
        reader.close()


def _no_such_image(image_id: str) -> NoSuchImage:
    return NoSuchImage(
        f"there is no image {image_id!r} in Kudu; `flumen search '*:*'` lists ids, and `flumen dead list` what "
        "was refused"
    )


def _shown(value: Any) -> Any:
    return how_many(len(value), "byte") if isinstance(value, bytes) else value
