"""`make cost`: what each interceptor costs an image, in microseconds of one thread's processor time.

Processor time, so that another program beside it changes little; the least of several rounds. Images are the article's
digits, 28x28 and grey, 500 a batch, and photos that `bench.photos` draws, 800x600 in colour.
"""

import io
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console

from bench.machine import describe
from bench.photos import encoded
from bench.tables import make_console, show_table
from flumen.interceptor import DEFAULT_CHAIN, Batch, Context, ImageMessage, Interceptor, load_chain
from flumen.models.datasets.idx import read_idx
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED

DIGITS = Path(__file__).parent.parent / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
LIMIT_US = 40
"""Statistics and metadata together may cost a digit so much."""

_ROUNDS = 10


def main() -> None:
    console = make_console()
    console.print(describe())
    costs = measure()
    show_costs(console, costs)
    extracted = sum(costs[name][0] for name in ("statistics", "metadata"))
    console.print(f"statistics and metadata of a digit: {extracted:.1f} of {LIMIT_US} microseconds")
    sys.exit(extracted > LIMIT_US)


def measure() -> dict[str, tuple[float, float]]:
    """Return the microseconds that each interceptor takes, for a digit and for a photo."""
    context = Context(Repository(str(SHIPPED)).load("mnist", 1), 1_700_000_000_000_000)
    chain = load_chain()
    of_digits, of_photos = (
        cost(chain, images, context) for images in (digits(500), [content for _, content in encoded(20)])
    )
    return dict(zip(DEFAULT_CHAIN, zip(of_digits, of_photos, strict=True), strict=True))


def show_costs(console: Console, costs: Mapping[str, tuple[float, float]]) -> None:
    """Print them, a line an interceptor."""
    rows = [(name, f"{digit:.1f}", f"{photo:,.0f}") for name, (digit, photo) in costs.items()]
    digit, photo = (sum(column) for column in zip(*costs.values(), strict=True))
    show_table(
        console,
        "Interceptors: microseconds an image",
        "Processor time of one thread, the least of several rounds; digit: 28x28, grey, PNG; photo: 800x600 JPEG.",
        ("interceptor", "digit", "photo"),
        [*rows, ("all", f"{digit:.1f}", f"{photo:,.0f}")],
    )


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


def _encoded(image: Image.Image, image_format: str) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format)
    return out.getvalue()


if __name__ == "__main__":
    main()
