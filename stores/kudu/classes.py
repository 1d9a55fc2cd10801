"""The Java classes beside this module: compiled once, kept in the cache, and made part of Kudu's client in the JVM."""

import functools
import hashlib
import json
import logging
import os
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from flumen.stores.artifacts.folders import cache_root
from flumen.stores.kudu.java import java
from flumen.stores.kudu.packed import pack
from flumen.stores.kudu.schema import Table, TableColumn

log = logging.getLogger(__name__)

# In the package of Kudu's client, and by its class loader: only there are the client's internals within reach.
PACKAGE = "org.apache.kudu.client"

# Each type of column, with a value, with the least of it, and null.
_SAMPLE = Table(
    "sample",
    (
        TableColumn("id", "string", nullable=False, key=True),
        TableColumn("seq", "int32", nullable=False, key=True),
        *(
            TableColumn(f"a {kind}", kind)
            for kind in ("string", "binary", "bool", "int32", "int64", "float", "double", "unixtime_micros")
        ),
        TableColumn("nothing", "int64"),
    ),
)
_SAMPLE_ROWS = (
    ["a", "ä", "c"],
    [1, -2, 3],
    ["text", "", None],
    [b"\x00\xff", b"", None],
    [True, False, None],
    [2**31 - 1, -(2**31), None],
    [2**63 - 1, -(2**63), None],
    [0.1, -0.0, None],
    [0.1, -0.0, None],
    [2**50 + 1, -1, None],
    [None, None, None],
)

_lock = threading.RLock()


@functools.cache
def defined(name: str) -> Any:
    """Return the class of the Java file of that name beside this one.

    The JRE brings no compiler, so Janino does it, in 0.3 s. What it made is kept, so that the next start has it.
    """
    # Two threads at once may both come here for the first time, and a class is defined but once.
    with _lock:
        if not _is_defined(f"{PACKAGE}.{name}"):
            _define_or_compile(_source(name))
        return java(f"{PACKAGE}.{name}")


@functools.cache
def direct_rows() -> Any:
    """Return the `DirectRows` that fill rows, or None where this Kudu client keeps its rows otherwise.

    The class reaches into the client: with another client it does not compile, or makes other rows than the client's
    own methods do. That is tried once, on rows with every type.
    """
    defined("RowWriter")
    filler = _tried("DirectRows")
    if filler is None:
        log.warning(
            "this Kudu client keeps rows otherwise than the pinned one: setting cells takes three times as long"
        )
    return filler


def _tried(name: str) -> Any:
    import jpype

    try:
        filler = defined(name)()
        return filler if _agrees(filler) else None
    except jpype.JException:
        return None


def _agrees(filler: Any) -> bool:
    kinds, builder = java("org.apache.kudu.Type"), java("org.apache.kudu.ColumnSchema").ColumnSchemaBuilder
    columns = java("java.util.ArrayList")()
    for column in _SAMPLE.columns:
        made = builder(column.name, getattr(kinds, column.type.upper()))
        columns.add(made.nullable(column.nullable).key(column.key).build())
    arrays = [pa.array(values, field.type) for values, field in zip(_SAMPLE_ROWS, _SAMPLE.arrow, strict=True)]
    cells, layout = pack(pa.RecordBatch.from_arrays(arrays, schema=_SAMPLE.arrow))
    schema = java("org.apache.kudu.Schema")(columns)
    return bool(filler.agrees(schema, list(range(len(arrays))), layout, cells, len(_SAMPLE_ROWS[0])))


def _is_defined(name: str) -> bool:
    try:
        java(name)
    except TypeError:
        return False
    return True


def _define_or_compile(source: bytes) -> None:
    import jpype

    kept = _kept_file(source)
    bytecode = _read(kept)
    if bytecode is not None:
        try:
            _define(bytecode)
        except jpype.JException:  # what was kept is of no use here
            log.warning("the Java classes in %s are not for this Kudu client; they are compiled again", kept)
        else:
            return
    bytecode = _compile(source.decode())
    _define(bytecode)
    _keep(kept, bytecode)


def _define(bytecode: Mapping[str, bytes]) -> None:
    """Load a class, and those nested in it, as part of Kudu's client."""
    handles = java("java.lang.invoke.MethodHandles")
    lookup = handles.privateLookupIn(java(f"{PACKAGE}.KuduClient").class_, handles.lookup())
    # What is nested goes first: the class itself may need it to be loaded.
    for name in sorted(bytecode, key=len, reverse=True):
        if not _is_defined(name):  # by a try that ended at another of them
            lookup.defineClass(bytecode[name])


def _source(name: str) -> bytes:
    return Path(__file__).with_name(f"{name}.java").read_bytes()


def _compile(source: str) -> Mapping[str, bytes]:
    compiler = java("org.codehaus.janino.SimpleCompiler")()
    compiler.setParentClassLoader(java(f"{PACKAGE}.KuduClient").class_.getClassLoader())
    compiler.cook(source)
    compiled = compiler.getBytecodes()
    return {str(each): bytes(compiled.get(each)) for each in compiled.keySet()}


def _kept_file(source: bytes) -> Path:
    """Return where a source's classes are kept: for that source, that JRE, that class path and that client."""
    system = java("java.lang.System")
    digest = hashlib.sha256(source)
    for name in ("java.vm.version", "java.vm.vendor"):
        digest.update(f"\0{system.getProperty(name)}".encode())
    # Where the JVM ran already, the client's jar was added to it, and is not on the class path.
    client = java(f"{PACKAGE}.KuduClient").class_.getProtectionDomain().getCodeSource().getLocation()
    paths = str(system.getProperty("java.class.path")).split(os.pathsep)
    for path in map(Path, (*paths, str(java("java.io.File")(client.toURI()).getPath()))):
        digest.update(f"\0{path.name} {_size_and_age(path)}".encode())
    return cache_root() / "classes" / f"{digest.hexdigest()}.json"


def _size_and_age(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "none"
    return f"{status.st_size} {int(status.st_mtime)}"  # an image's layer keeps whole seconds


def _read(kept: Path) -> Mapping[str, bytes] | None:
    """Return what is kept; None where it is not there, not readable, not whole, or anybody else's.

    What is loaded here runs with all rights of the worker, so nobody but its user may have written it.
    """
    try:
        with kept.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return None
            content = file.read()
        checksum, _, body = content.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            return None
        return {name: b64decode(code) for name, code in json.loads(body).items()}
    except OSError:
        return None


def _keep(kept: Path, bytecode: Mapping[str, bytes]) -> None:
    """Write it whole or not at all. Where that cannot be, the next start compiles again."""
    body = json.dumps({name: b64encode(code).decode() for name, code in bytecode.items()}).encode()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        number, path = tempfile.mkstemp(dir=kept.parent)  # which only its owner may read and write
        try:
            with os.fdopen(number, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            os.replace(path, kept)  # noqa: PTH105
        except OSError:
            Path(path).unlink(missing_ok=True)
    except OSError:
        return
