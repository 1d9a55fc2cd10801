"""Where Solr is, and how it is reached."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from flumen.stores.addresses import check_host
from flumen.stores.errors import StoreError


@dataclass(frozen=True, kw_only=True, slots=True)
class SolrOptions:
    """Where the index is: `url` ends in `/solr`, without the core; on SolrCloud `core` names a collection.

    A document is visible to queries at most `commit_within_ms` after it was written; under load, where more than a
    thousand come a second, `commit_under_load_ms`. `config_set` is the name of the config set on the server. `ca_file`
    holds the authority to trust for https, in PEM.
    """

    url: str
    core: str = "images"
    config_set: str = "flumen"
    commit_within_ms: int = 1000
    commit_under_load_ms: int = 5000
    timeout_s: float = 60
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what would only show at the first request, or would show a password in messages.

        Raises:
            StoreError: the URL is none, or carries a user name.
        """
        try:
            parts = urlsplit(self.url)
            is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            check_host(parts.hostname or "")
        except ValueError:  # brackets, a port or a host that are none
            is_whole = False
        if "@" in self.url:
            raise StoreError(
                "the Solr URL carries a user name; set the Solr user name and password on their own "
                "(solr_username, solr_password)"
            )
        if not is_whole:
            raise StoreError(f"the Solr URL {self.url!r} must be like http://host:8983/solr")
