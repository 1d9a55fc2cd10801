"""What settings may not say together, each of them being right by itself."""

from collections.abc import Mapping
from typing import Any

from flumen.streams.settings.wrong import PREFIX


def disagreements(settings: Mapping[str, Any], max_message_bytes: int) -> list[str]:
    """Return a sentence for each disagreement among the settings, which are given by name."""
    return [*_same_topics(settings), *_too_little_room(settings["max_in_flight_bytes"], max_message_bytes)]


# Results in the topic of images would be read as images, and a worker's status as an order.
def _same_topics(settings: Mapping[str, Any]) -> list[str]:
    named: dict[str, list[str]] = {}
    for name, topic in settings.items():
        if name.endswith("_topic") and topic is not None:
            named.setdefault(topic, []).append(name)
    return [
        f"{' and '.join(names)} are one topic, {topic!r}, and each needs its own; set others in flumen.toml or as "
        f"{', '.join(f'{PREFIX}{name.upper()}' for name in names)}"
        for topic, names in named.items()
        if len(names) > 1
    ]


def _too_little_room(max_in_flight_bytes: int, max_message_bytes: int) -> list[str]:
    least = 2 * max_message_bytes
    if max_in_flight_bytes >= least:
        return []
    wrong = (
        f"max_in_flight_bytes is {max_in_flight_bytes:,}; allowed: at least {least:,}, which is twice max_image_bytes "
        "and 2 MiB. Raise it, or lower max_image_bytes"
    )
    return [wrong]
