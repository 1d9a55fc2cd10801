"""The format in which the classifier's view of an image is kept: binary PGM for grey, binary PPM for colour.

https://netpbm.sourceforge.net/doc/pgm.html and https://netpbm.sourceforge.net/doc/ppm.html
"""


def netpbm_header(width: int, height: int, channels: int) -> bytes:
    """Return what stands before the pixels (a byte a sample, row by row): kind, size, largest value."""
    magic = "P5" if channels == 1 else "P6"
    return f"{magic}\n{width} {height}\n255\n".encode("ascii")
