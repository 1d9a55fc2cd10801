"""The images in the files that were found, one at a time, ready to be published."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flumen.interceptor import Limits
from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources.files import Content, FoundFile, OnUnreadable, read_file
from flumen.streams.publishing.sources.idx import count_idx, is_idx, is_label_file, read_idx_images
from flumen.streams.publishing.sources.tars import is_tar, read_tar
from flumen.streams.publishing.sources.zips import count_zip, is_zip, read_zip
from flumen.streams.wire import SourceImage, content_type_of


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read images.

    `labels` is the label file of the one IDX file; without it, the label file beside each is taken.
    `label_from_name`: an image's name begins with its known label, as in `7_0001.png`. `stopped` says whether reading
    has to end, also in the midst of an archive.
    """

    labels: Path | None = None
    label_from_name: bool = False
    max_image_bytes: int = Limits().max_image_bytes
    stopped: Callable[[], bool] = lambda: False


def count_images(files: Sequence[FoundFile]) -> int | None:
    """Return how many images there are, without reading them; None with a tar, which has no index."""
    if any(is_tar(file.path) for file in files):
        return None
    return sum(_count(file) for file in files)


def _count(file: FoundFile) -> int:
    if is_idx(file.path):
        return count_idx(file)
    return count_zip(file) if is_zip(file.path) else 1


def read_images(
    files: Sequence[FoundFile], options: SourceOptions, on_unreadable: OnUnreadable
) -> Iterator[SourceImage]:
    """Return the images in these files, read one at a time as they are asked for.

    What cannot be read is told to `on_unreadable`, and the others go on. IDX files of labels are left out. A
    file that is no image is published as well: it ends in the dead letters, where it can be seen. Of several images
    with one id, as an archive can hold them, the first is published and the others are told: they would replace it.

    Raises:
        SourceUnreadable: labels are given, and there is not exactly one IDX file of images for them.
    """
    if options.labels is not None:
        _check_labels(files, options.labels)
    return _read_images(files, options, on_unreadable)


def _check_labels(files: Sequence[FoundFile], labels: Path) -> None:
    idx_files = [file for file in files if is_idx(file.path) and not is_label_file(file)]
    if len(idx_files) != 1:
        raise SourceUnreadable(
            f"the labels in {str(labels)!r} belong to one IDX file of images, not to {len(idx_files)}. "
            "Nothing was published"
        )


def _read_images(
    files: Sequence[FoundFile], options: SourceOptions, on_unreadable: OnUnreadable
) -> Iterator[SourceImage]:
    seen: set[int] = set()  # hashes: a tenth of the memory of the ids
    for file in files:
        for item in _read(file, options):
            if isinstance(item, SourceUnreadable):
                on_unreadable(item)
            elif hash(item.id) in seen:
                on_unreadable(_second_of(item))
            else:
                seen.add(hash(item.id))
                yield SourceImage(
                    id=item.id,
                    content=item.content,
                    name=item.name,
                    source=file.source,
                    content_type=content_type_of(item.content),
                    known_label=_known_label(item, options),
                    time=datetime.now(UTC),
                )


def _read(file: FoundFile, options: SourceOptions) -> Iterator[Content | SourceUnreadable]:
    if is_idx(file.path):
        if not is_label_file(file):
            labels = options.labels
            yield from read_idx_images(file, None if labels is None else FoundFile(labels, labels.name, ""))
    elif is_zip(file.path):
        yield from read_zip(file, options.max_image_bytes)
    elif is_tar(file.path):
        yield from read_tar(file, options.max_image_bytes, options.stopped)
    else:
        try:
            yield read_file(file, options.max_image_bytes)
        except SourceUnreadable as error:
            yield error


def _second_of(item: Content) -> SourceUnreadable:
    return SourceUnreadable(
        f"an image before it is called {item.id!r} as well, and was published; give each a name of its own and "
        "publish them again"
    )


def _known_label(item: Content, options: SourceOptions) -> int | None:
    if options.label_from_name and item.known_label is None and item.name[:1] in set("0123456789"):
        return int(item.name[0])
    return item.known_label
