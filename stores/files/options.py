"""Where the files are, and what is in them."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flumen.stores.errors import StoreError


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesOptions:
    """`url` is a folder, or an fsspec URL such as `s3://bucket/images`; it is made where it is not there.

    `images`: whether the images themselves are stored, and what the classifier saw of them, or only what is known of
    them. It cannot be changed later.

    Raises:
        StoreError: the URL is none.
    """

    url: str = field(repr=False)
    images: bool = True

    def __post_init__(self) -> None:
        try:
            urlsplit(self.url)
        except ValueError as error:
            raise StoreError(
                "the URL of the files is no URL: write a folder, or one like s3://bucket/images"
            ) from error
        if not self.url.strip():
            raise StoreError("the URL of the files is empty: name a folder, or one like s3://bucket/images")

    def without_login(self, text: str) -> str:
        """Return a text that may have this URL in it, without the user and password that the URL may carry."""
        login = urlsplit(self.url).netloc.rpartition("@")[0]
        return text.replace(f"{login}@", "") if login else text

    @property
    def address(self) -> str:
        """The URL as it may be shown."""
        return self.without_login(self.url)
