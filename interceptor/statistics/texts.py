"""Statistics as texts: JSON and names, written once for each value where values come again."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.batch import ColumnValues
from flumen.interceptor.statistics.colours import Palette, colour_name

_DECIMALS = 10_000
_BETWEEN_ROWS = "\n"


def shares_json(shares: NDArray[np.float64]) -> list[str]:
    """Return each row of n x ... shares as a JSON array, to four decimals: few enough to be looked up."""
    texts = _decimals()
    places = np.round(shares * _DECIMALS).astype(np.intp)
    places[:, -1] += len(texts) // 2
    text = "[" + "".join(map(texts.__getitem__, places.ravel().tolist()))
    return text.split(_BETWEEN_ROWS)[:-1]


@lru_cache(maxsize=1)
def _decimals() -> Sequence[str]:
    """Return the text of each share with what follows it: first within an array, then at the end of one."""
    texts = [f"{place / _DECIMALS:g}" for place in range(_DECIMALS + 1)]
    return [f"{text}," for text in texts] + [f"{text}]{_BETWEEN_ROWS}[" for text in texts]


def palette_columns(palettes: Sequence[Palette]) -> Mapping[str, ColumnValues]:
    """Return the columns of images' dominant colours."""
    names = [tuple([colour_name(code) for code, _ in palette]) for palette in palettes]
    return {
        "dominant_color": [row[0] for row in names],
        "dominant_colors": list(map(_each_once, names)),
        "palette": [f"[{','.join(starmap(_colour_json, palette))}]" for palette in palettes],
    }


@lru_cache(maxsize=16_384)
def _colour_json(code: int, share: float) -> str:
    return f'{{"name":"{colour_name(code)}","color":"#{code:06x}","share":{share:.4f}}}'


@lru_cache(maxsize=4_096)
def _each_once(names: tuple[str, ...]) -> list[str]:
    """Return these names, each once. One list for all images that have the same: it is not to be changed."""
    return list(dict.fromkeys(names))
