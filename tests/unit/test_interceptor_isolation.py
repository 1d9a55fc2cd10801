"""What decoding must not do to its process: take memory without bound, or write on standard error."""

import struct
import subprocess
import sys
from pathlib import Path

from images import encoded, png_of_header, sample, with_size
from PIL import Image

MEMORY = """
import sys
from pathlib import Path
from images import batch, context, grey
from flumen.interceptor.decode import Decode

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

decode = Decode()
decode.intercept(batch(grey(0)), context())
content = sys.stdin.buffer.read()
before = peak()
step = decode.intercept(batch(content), context())
print(len(step.oks), peak() - before)
"""


def decode_apart(content: bytes, *options: str) -> tuple[int, int, str]:
    """Decode one image in a process of its own: how many were decoded, the bytes it took, and stderr."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, *options, "-c", MEMORY],
        input=content,
        capture_output=True,
        check=True,
        env={"PYTHONPATH": f"{here}:{here.parent}:{here.parents[1]}"},
    )
    decoded, taken = done.stdout.split()
    return int(decoded), int(taken), done.stderr.decode()


def test_a_large_image_takes_no_second_copy():
    """4,096 x 4,096 pixels with transparency: 4 bytes each in Pillow; a copy would make it 8."""
    side = 4096
    content = png_of_header(side, side, bytes((1 + 4 * side) * side), colour_type=6)
    decoded, taken, _ = decode_apart(content)
    assert decoded == 1
    assert 4 * side * side <= taken < 6 * side * side


def test_a_large_jpeg_is_never_there_in_full():
    side = 4096
    decoded, taken, _ = decode_apart(encoded(Image.new("RGB", (side, side), "navy"), "JPEG"))
    assert decoded == 1
    assert taken < side * side


def test_a_bomb_takes_no_memory():
    decoded, taken, _ = decode_apart(with_size("PNG", 100_000, 100_000))
    assert decoded == 0
    assert taken < 16_000_000


def test_warnings_of_pillow_go_nowhere():
    """Its TIFF reader warns of a tag it cannot read; as an error, that warning would reject the image."""
    content = bytearray(sample("TIFF"))
    directory = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, directory)[0]
    last = directory + 2 + (entries - 1) * 12
    struct.pack_into("<HHII", content, last, 65_000, 2, 1000, len(content) - 10)
    decoded, _, stderr = decode_apart(bytes(content), "-W", "always")
    assert (decoded, stderr) == (1, "")
    decoded, _, _ = decode_apart(bytes(content), "-W", "error")
    assert decoded == 1
