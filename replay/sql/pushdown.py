"""What of a DuckDB filter Kudu can test itself.

DuckDB hands its filter over as a pyarrow expression, which shows nothing of its inside but a text for people. Its
serialised form does: an Arrow file whose schema metadata lists the expression in prefix order (`call`, `field_ref`,
`literal`, `options`, `end`), and whose columns hold the literals and options by number. That form is read here.
"""

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flumen.stores.kudu import Predicate

_COMPARISONS = {"equal": "=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Field:
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: pa.Scalar


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to arguments."""

    function: str
    arguments: tuple["Node", ...]
    options: dict[str, Any]


Node = Field | Literal | Call


@dataclass(frozen=True, slots=True)
class Pushdown:
    """Every column a filter reads, and those of its conditions that Kudu can test; never more than the filter says."""

    columns: tuple[str, ...]
    predicates: tuple[Predicate, ...]


def push_down(expression: Any, schema: pa.Schema) -> Pushdown:
    """Take apart a filter.

    Args:
        expression: a pyarrow.dataset.Expression, or None.
        schema: the table's columns.

    Returns:
        The columns it reads and the predicates for Kudu. All columns and no predicates, where it is of a form that is
        not known here: the filter itself is still applied to what Kudu returns, so the result stays right.
    """
    if expression is None:
        return Pushdown((), ())
    try:
        tree = parse(expression)
        names = dict.fromkeys(_fields(tree))
        predicates = [_predicate(node, schema) for node in _conjuncts(tree)]
    except (LookupError, ValueError, RecursionError, pa.ArrowException):
        return Pushdown(tuple(schema.names), ())
    return Pushdown(tuple(names), tuple(each for each in predicates if each is not None))


def parse(expression: Any) -> Node:
    """Return a pyarrow expression as a tree.

    Raises:
        LookupError: it holds something else than columns, constants and calls.
    """
    _, (serialized,) = expression.__reduce__()
    file = pa.ipc.open_file(serialized)
    values = [column[0] for column in file.get_batch(0).columns]
    whole: list[Node] = []
    unfinished: list[tuple[str, list[Node], dict[str, Any]]] = [("", whole, {})]
    for kind, text in _metadata(file.schema):
        _, arguments, options = unfinished[-1]
        if kind == "field_ref":
            arguments.append(Field(text))
        elif kind == "literal":
            arguments.append(Literal(values[int(text)]))
        elif kind == "options":
            options.update(values[int(text)].items())
        elif kind == "call":
            unfinished.append((text, [], {}))
        elif kind == "end":
            function, arguments, options = unfinished.pop()
            unfinished[-1][1].append(Call(function, tuple(arguments), options))
        else:
            raise LookupError(f"an expression with {kind} {text!r}")
    return whole[0]


class _ArrowSchema(ctypes.Structure):
    """The beginning of `struct ArrowSchema` of the Arrow C data interface."""

    _fields_ = (("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_void_p))


def _metadata(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Yield a schema's metadata in order. `Schema.metadata` is a dict and keeps one of the many equal keys.

    The layout is the Arrow C data interface's: an int32 count, then for each key and value its int32 length and bytes.
    """
    capsule = schema.__arrow_c_schema__()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    position = _ArrowSchema.from_address(pointer(capsule, b"arrow_schema")).metadata
    if position is None:
        return

    def number() -> int:
        nonlocal position
        value = ctypes.c_int32.from_address(position).value
        position += ctypes.sizeof(ctypes.c_int32)
        return value

    def text() -> str:
        nonlocal position
        length = number()
        value = ctypes.string_at(position, length).decode()
        position += length
        return value

    for _ in range(number()):
        yield text(), text()


def _fields(node: Node) -> Iterator[str]:
    if isinstance(node, Field):
        yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _fields(argument)


def _conjuncts(node: Node) -> Iterator[Node]:
    """Yield the conditions that must all hold."""
    match node:
        case Call("and_kleene" | "and", arguments):
            for argument in arguments:
                yield from _conjuncts(argument)
        case Call("if_else", (Call("is_valid"), condition, Literal(value))) if not value.is_valid:
            # DuckDB's IN: a null is neither in the list nor out of it. A filter drops both.
            yield from _conjuncts(condition)
        case _:
            yield node


def _predicate(node: Node, schema: pa.Schema) -> Predicate | None:
    match node:
        case Call("is_valid", (Field(name),)):
            return Predicate(name, "is not null")
        case Call("is_null", (Field(name),), options) if not _truth(options.get("nan_is_null")):
            return Predicate(name, "is null")
        case Call(function, (Field(name), Literal(value))) if function in _COMPARISONS:
            return _comparison(name, _COMPARISONS[function], [value], schema)
        case Call(function, (Literal(value), Field(name))) if function in _COMPARISONS:
            return _comparison(name, _MIRRORED[_COMPARISONS[function]], [value], schema)
        case Call("is_in", (Field(name),), {"value_set": values}):
            return _comparison(name, "in", list(values), schema)
    return None


def _truth(option: pa.Scalar | None) -> bool:
    return option is not None and bool(option.as_py())


def _comparison(name: str, operator: str, values: Sequence[pa.Scalar], schema: pa.Schema) -> Predicate | None:
    """Return the predicate where Kudu compares as DuckDB does: the column's own type, no null, no NaN."""
    kind = schema.field(name).type
    if pa.types.is_binary(kind) or any(value.type != kind or not value.is_valid for value in values):
        return None
    if pa.types.is_timestamp(kind):
        return Predicate(name, operator, tuple(value.value for value in values))
    plain = tuple(value.as_py() for value in values)
    if any(isinstance(value, float) and not math.isfinite(value) for value in plain):
        return None
    return Predicate(name, operator, plain)
