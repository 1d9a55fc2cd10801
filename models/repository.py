"""The model repository: `<root>/<name>/<version>/{model.onnx, manifest.json}`, and aliases of versions."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from flumen.models.errors import (
    AliasInvalid,
    BadModelName,
    ManifestInvalid,
    ModelDiffers,
    ModelNotFound,
    RepositoryUnavailable,
)
from flumen.models.limits import DEFAULT_LIMITS, VerifyLimits
from flumen.models.manifest import Manifest, from_json, to_json
from flumen.models.names import as_version, check_name, check_version, parse_reference
from flumen.models.processes.verifier import SHARED, Verifier
from flumen.models.runtime import OnnxClassifier
from flumen.models.storage import FolderTaken, open_storage
from flumen.models.verify import MAX_MODEL_BYTES, WARM_UP_SIZES, warm_up

CHAMPION = "champion"
"""The alias of the version that classifies."""

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
ALIASES = "aliases"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
MAX_ALIAS_BYTES = 100
REGISTER_ATTEMPTS = 20


class Repository:
    """Models by name and version. A version never changes; an alias may name another one later.

    Every method raises RepositoryUnavailable where the storage does not answer, and BadModelName for a
    name or a version that is not allowed: so no name leads outside of the root.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        max_model_bytes: int = MAX_MODEL_BYTES,
        *,
        limits: VerifyLimits = DEFAULT_LIMITS,
        verifier: Verifier = SHARED,
    ) -> None:
        """Open a repository in a folder or at any fsspec URL; registering creates what is not there.

        `limits`: what verifying one model may take. `verifier`: does it.
        """
        self.url = os.fspath(url)
        self._storage = open_storage(url)
        self._max_model_bytes = max_model_bytes
        self._limits = limits
        self._verifier = verifier

    def names(self) -> list[str]:
        """Return the names of all models that have a version, sorted."""
        return sorted(
            name for name in self._storage.entries("") if _is_name(name) and self._has_versions(name)
        )

    def versions(self, name: str) -> list[int]:
        """Return a model's versions, oldest first; none if there is no such model."""
        return [version for version in self._numbers(name) if self._is_complete(name, version)]

    def manifest(self, name: str, version: int) -> Manifest:
        """Read a version's manifest.

        Raises:
            ModelNotFound: there is no such version.
            ManifestInvalid: the manifest is damaged, or is another version's.
        """
        path = f"{_folder(name, version)}/{MANIFEST_FILE}"
        content = self._storage.read(path, MAX_MANIFEST_BYTES + 1)
        if content is None:
            known = ", ".join(map(str, self.versions(name))) or "none"
            raise ModelNotFound(
                f"there is no {name}@{version} in {self.url}; versions of {name!r} there: {known}. "
                "See `flumen models list`, or make one with `flumen train`"
            )
        if len(content) > MAX_MANIFEST_BYTES:
            raise ManifestInvalid(f"{self.url}/{path} has more than {MAX_MANIFEST_BYTES:,} bytes")
        manifest = from_json(content, f"{self.url}/{path}")
        if (manifest.name, manifest.version) != (name, version):
            raise ManifestInvalid(f"{self.url}/{path} is the manifest of {manifest}; it was copied by hand")
        return manifest

    def load(
        self,
        name: str,
        version: int,
        *,
        threads: int = 1,
        batch_sizes: Sequence[int] = WARM_UP_SIZES,
        sha256: str | None = None,
        throttle: Callable[[], None] = lambda: None,
    ) -> OnnxClassifier:
        """Read a version, have it verified, and only then load it here and warm it up.

        Args:
            name: of the model.
            version: of the model.
            threads: of ONNX Runtime, for one batch.
            batch_sizes: images a batch, to verify it with.
            sha256: of the file that is meant; any, if None.
            throttle: called between two steps; may take its time.

        Raises:
            ModelNotFound: there is no such version.
            ManifestInvalid: its manifest is damaged.
            ModelRefused: its file is damaged, unsafe or not what its manifest says; the subclass says which.
            VerifierUnavailable: it cannot be verified now.
        """
        # The bytes that passed are the bytes that are loaded: the file may be another one by then.
        content, manifest = self._verified(name, version, threads, batch_sizes, sha256, throttle)
        classifier = OnnxClassifier(content, manifest, threads)
        throttle()
        # One image readies its kernels. What it does with more is known, and memory for them costs a few milliseconds.
        warm_up(classifier, (1,), throttle=throttle)
        return classifier

    def verify(self, name: str, version: int, *, sha256: str | None = None) -> None:
        """Read a version and have it verified, without loading it here.

        Raises:
            ModelNotFound, ManifestInvalid, ModelRefused, VerifierUnavailable: as `load`.
        """
        self._verified(name, version, 1, WARM_UP_SIZES, sha256, lambda: None)

    def register(self, content: bytes, manifest: Manifest, *, version: int | None = None) -> int:
        """Verify a model and store it as the next version of its name; return that version.

        The manifest's own version is not looked at. Nothing is stored if anything is refused. With `version`, it is
        stored as that one; where somebody else has made it meanwhile, theirs stays.

        Raises:
            ManifestInvalid: the manifest cannot be stored and read back.
            ModelRefused: the subclass is the reason.
            VerifierUnavailable: it cannot be verified now.
        """
        check_name(manifest.name)
        numbered = self._next(manifest) if version is None else replace(manifest, version=version)
        kept = from_json(to_json(numbered))
        self._verifier.verify(content, kept, self._limits, max_bytes=self._max_model_bytes)
        for _ in range(REGISTER_ATTEMPTS):
            files = {MODEL_FILE: content, MANIFEST_FILE: to_json(numbered)}
            try:
                self._storage.publish(_folder(numbered.name, numbered.version), files)
            except FolderTaken:
                if version is not None and self._is_complete(numbered.name, version):
                    return version
                numbered = self._next(manifest)
            else:
                return numbered.version
        raise RepositoryUnavailable(
            f"others were faster to register a version of {manifest.name!r} in {self.url}, "
            f"{REGISTER_ATTEMPTS} times; try again"
        )

    def aliases(self, name: str, version: int) -> list[str]:
        """Return the aliases that name this version, sorted."""
        known = sorted(self._storage.entries(f"{check_name(name)}/{ALIASES}"))
        return [alias for alias in known if _is_name(alias) and self._names(name, alias, version)]

    def alias(self, name: str, alias: str) -> int | None:
        """Return the version that an alias names, or None if there is no such alias.

        Raises:
            AliasInvalid: the alias's file does not hold a version.
        """
        path = _alias_path(name, alias)
        content = self._storage.read(path, MAX_ALIAS_BYTES)
        if content is None:
            return None
        version = as_version(content.decode("ascii", errors="replace").strip())
        if version is None:
            raise AliasInvalid(
                f"{self.url}/{path} does not hold a version but {content!r}; set the alias again"
            )
        return version

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias name a version from now on.

        Raises:
            ModelNotFound: there is no such version.
        """
        path = _alias_path(name, alias)
        self.manifest(name, version)
        self._storage.replace(path, f"{version}\n".encode())

    def resolve(self, reference: str) -> Manifest:
        """Return the manifest of `NAME@VERSION`, `NAME@ALIAS` or `NAME` (its champion, else its latest).

        Raises:
            ModelNotFound: there is no such model, version or alias.
            ManifestInvalid, AliasInvalid: it is there, and damaged.
        """
        name, tail = parse_reference(reference)
        version = tail if isinstance(tail, int) else self.alias(name, tail or CHAMPION)
        if version is None and tail is None:
            version = max(self.versions(name), default=None)
        if version is None:
            raise ModelNotFound(f"there is no {reference!r} in {self.url}; see `flumen models list`")
        return self.manifest(name, version)

    def _verified(
        self,
        name: str,
        version: int,
        threads: int,
        batch_sizes: Sequence[int],
        sha256: str | None,
        throttle: Callable[[], None],
    ) -> tuple[bytes, Manifest]:
        manifest = self.manifest(name, version)
        if sha256 not in (None, manifest.sha256):
            raise ModelDiffers(
                f"{manifest} in {self.url} has sha256 {manifest.sha256}, and {sha256} was asked for: this is "
                "another repository, or the version was replaced by hand. See `flumen models list`"
            )
        throttle()
        path = f"{_folder(name, version)}/{MODEL_FILE}"
        content = self._storage.read(path, self._max_model_bytes + 1, throttle)
        if content is None:
            raise ModelNotFound(
                f"{manifest} in {self.url} has a manifest and no {MODEL_FILE}; register it again"
            )
        throttle()
        self._verifier.verify(
            content,
            manifest,
            self._limits,
            threads=threads,
            max_bytes=self._max_model_bytes,
            batch_sizes=batch_sizes,
            throttle=throttle,
        )
        throttle()
        return content, manifest

    def _next(self, manifest: Manifest) -> Manifest:
        # Incomplete versions count: their number is claimed by whoever is writing them, or was.
        return replace(manifest, version=max(self._numbers(manifest.name), default=0) + 1)

    def _numbers(self, name: str) -> list[int]:
        entries = self._storage.entries(check_name(name))
        return sorted(version for entry in entries if (version := as_version(entry)) is not None)

    def _has_versions(self, name: str) -> bool:
        try:
            return bool(self.versions(name))
        except ModelNotFound:  # a link that leads outside hides no model but itself
            return False

    def _names(self, name: str, alias: str, version: int) -> bool:
        try:
            return self.alias(name, alias) == version
        except ModelNotFound:  # a link that is not followed hides no other alias
            return False

    def _is_complete(self, name: str, version: int) -> bool:
        try:
            return self._storage.read(f"{_folder(name, version)}/{MANIFEST_FILE}", 0) is not None
        except ModelNotFound:
            return False


def _folder(name: str, version: int) -> str:
    return f"{check_name(name)}/{check_version(version)}"


def _alias_path(name: str, alias: str) -> str:
    return f"{check_name(name)}/{ALIASES}/{check_name(alias, 'alias')}"


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except BadModelName:
        return False
    return True
