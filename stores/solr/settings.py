"""The settings of Solr: the fields of its options, each with `solr_` before it."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from flumen.stores.errors import StoreError
from flumen.stores.names import check_name
from flumen.stores.solr.options import SolrOptions


def _check_url(url: str) -> str:
    try:
        SolrOptions(url=url)
    except StoreError as error:
        raise ValueError(str(error)) from error
    return url


SolrUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://",
        json_schema_extra={"allowed": "a URL that begins with http:// or https://"},
    ),
    AfterValidator(_check_url),
]
CoreName = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9._-]+$", json_schema_extra={"allowed": "letters, digits, dots, _ and -"}),
    AfterValidator(check_name),
]


class SolrSettings(BaseModel):
    """Where Solr is, how it is entered, and how soon what is written is found."""

    solr_url: SolrUrl = Field("http://127.0.0.1:8983/solr", description="Solr's URL, without the core.")
    solr_core: CoreName = Field("images", description="Core or collection.")
    solr_commit_within_ms: int = Field(1000, ge=1, description="Milliseconds until a document is visible.")
    solr_commit_under_load_ms: int = Field(
        5000, ge=1, description="Milliseconds until then where over 1,000 documents come a second, at most."
    )
    solr_timeout_s: float = Field(60, gt=0, le=600, description="Seconds until a whole answer is there.")
    solr_username: str | None = Field(None, description="User for basic authentication.")
    solr_password: SecretStr | None = Field(None, description="That user's password.")
    solr_password_file: Path | None = Field(None, description="File that holds solr_password.")
    solr_ca_file: Path | None = Field(
        None, description="Certificate authorities to trust for https, in PEM; the system's if unset."
    )
