"""`make cost`: what each interceptor costs an image, in microseconds of one thread's processor time.

Processor time, so that another program beside it changes little; the least of several rounds. Images are the article's
digits, 28x28 and grey, 500 a batch, and photos that it draws, 800x600 in colour.
"""

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.machine import describe
from flumen.interceptor import DEFAULT_CHAIN, Batch, Context, ImageMessage, Interceptor, load_chain
from flumen.models.idx import read_idx
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED

DIGITS = Path(__file__).parent.parent / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
LIMIT_US = 40
"""Statistics and metadata together may cost a digit so much."""

_ROUNDS = 10


def main() -> None:
    model = Repository(str(SHIPPED)).load("mnist", 1)
    context = Context(model, 1_700_000_000_000_000)
    chain = load_chain()
    console = Console()
    console.print(describe())
    table = Table(title="Microseconds an image", title_justify="left")
    for name in ("interceptor", "28x28 grey", "800x600 colour"):
        table.add_column(name, justify="left" if name == "interceptor" else "right")
    costs = [cost(chain, images, context) for images in (digits(500), photos(20))]
    for name, digit, photo in zip(DEFAULT_CHAIN, *costs, strict=True):
        table.add_row(name, f"{digit:.1f}", f"{photo:,.0f}")
    console.print(table)
    extracted = sum(costs[0][DEFAULT_CHAIN.index(name)] for name in ("statistics", "metadata"))
    console.print(f"statistics and metadata of a digit: {extracted:.1f} of {LIMIT_US} microseconds")
    sys.exit(extracted > LIMIT_US)


def cost(chain: Sequence[Interceptor], images: Sequence[bytes], context: Context) -> list[float]:
    """Return the microseconds an image that each interceptor takes."""
    messages = [ImageMessage(str(row), content, 0) for row, content in enumerate(images)]
    least = [float("inf")] * len(chain)
    for _ in range(_ROUNDS):
        batch = Batch(messages)
        for position, step in enumerate(chain):
            started = time.thread_time()
            batch = step.intercept(batch, context).oks
            least[position] = min(least[position], time.thread_time() - started)
    return [seconds / len(images) * 1e6 for seconds in least]


def digits(count: int) -> list[bytes]:
    return [_encoded(Image.fromarray(pixels), "PNG") for pixels in read_idx(DIGITS)[:count]]


def photos(count: int) -> list[bytes]:
    """Clouds of colour: neither flat, which would be too easy, nor noise, which no camera makes."""
    random = np.random.default_rng(1)
    return [
        _encoded(
            Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((800, 600)), "JPEG"
        )
        for _ in range(count)
    ]


def _encoded(image: Image.Image, image_format: str) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format)
    return out.getvalue()


if __name__ == "__main__":
    main()
