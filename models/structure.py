"""Reading a model file without running it: it keeps to itself, and reads and answers as its manifest says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flumen.interceptor.reasons import shortened
from flumen.models.errors import CustomOperator, ExternalData, NotOnnx, WrongLabelCount, WrongSignature
from flumen.models.manifest import MAX_EMBEDDING, Manifest

_MOST_NAMES = 10
_EXPORT = "Copy it again, or export it again with a tool that writes ONNX"

_WITHOUT_MAPS = (
    "a model answers with a tensor here. Export it again without ZipMap, for scikit-learn by "
    "to_onnx(model, options={'zipmap': False})"
)

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file says of its tensors. `shape`: one image's, without the batch axis; None for a size left open."""

    input: str
    shape: tuple[int | None, ...]
    outputs: tuple[str, ...]


def check_structure(content: bytes, manifest: Manifest) -> None:
    """Check that a file is ONNX, needs no other file and no custom operator, and is as its manifest says.

    Raises:
        NotOnnx, ExternalData, CustomOperator, WrongSignature, WrongLabelCount.
    """
    import onnx

    model = _parse(content, f"the file of {manifest}")
    for tensor in _find(model, onnx.TensorProto):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ExternalData(
                f"{manifest} keeps the tensor {_quoted(tensor.name)} in another file, {_location(tensor)}, and no "
                "other file is ever read, wherever it lies. "
                "Save it again with its weights inside (onnx.save without save_as_external_data)"
            )
    for node in _find(model, onnx.NodeProto):
        if node.domain not in STANDARD_DOMAINS:
            raise CustomOperator(
                f"{manifest} uses the operator {_quoted(node.op_type)} of the domain {_quoted(node.domain)}; only the "
                "standard domains ai.onnx and ai.onnx.ml are loaded. Export it without custom operators"
            )
    _check_input(model, manifest)
    _check_output(model, manifest)
    _check_embedding(model, manifest)


def read_signature(content: bytes, source: str) -> Signature:
    """Return what an ONNX file says of its input and its outputs. Nothing of it is run.

    Raises:
        NotOnnx: it is not ONNX, or is cut short.
        WrongSignature: it has not one input, does not say the sizes of its tensors, or answers with maps.
    """
    model = _parse(content, source)
    inputs = _inputs(model)
    if len(inputs) != 1:
        names = _names(value.name for value in inputs)
        raise WrongSignature(f"{source} has the inputs {names}; a model that classifies images has one")
    sizes = _sizes(inputs[0])
    if sizes is None:
        raise WrongSignature(
            f"{source} reads {_describe(inputs[0])}; export it with sizes, only the first open"
        )
    maps = [output for output in model.graph.output if _is_map(output)]
    if maps and not any(_is_float(output) for output in model.graph.output):
        raise WrongSignature(f"{source} answers {_describe(maps[0])}; {_WITHOUT_MAPS}")
    return Signature(inputs[0].name, sizes[1:], tuple(output.name for output in model.graph.output))


def _inputs(model: Any) -> list[Any]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _parse(content: bytes, subject: str) -> Any:  # protobuf's classes have no types
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise NotOnnx(f"{subject} is not ONNX, or is cut short: {error}. {_EXPORT}") from error
    # Protobuf takes many files for an empty message.
    if not model.ir_version or not model.graph.node:
        raise NotOnnx(f"{subject} is not ONNX, or is cut short: it has no graph. {_EXPORT}")
    return model


def _check_input(model: Any, manifest: Manifest) -> None:
    inputs = _inputs(model)
    sizes = ", ".join(map(str, manifest.input.shape))
    expected = f"its manifest says one input, {manifest.input.tensor!r} float [n, {sizes}] with n not fixed"
    if [value.name for value in inputs] != [manifest.input.tensor]:
        names = _names(value.name for value in inputs)
        raise WrongSignature(f"{manifest} has the inputs {names}; {expected}")
    if not _is_float(inputs[0]) or not _takes(_sizes(inputs[0]), manifest.input.shape):
        raise WrongSignature(f"{manifest} reads {_describe(inputs[0])}; {expected}")


def _check_output(model: Any, manifest: Manifest) -> None:
    outputs = {value.name: value for value in model.graph.output}
    output = outputs.get(manifest.output.tensor)
    labels = len(manifest.labels)
    expected = f"its manifest says {manifest.output.tensor!r} float [n, {labels}] with n not fixed"
    if output is None:
        names = _names(outputs)
        raise WrongSignature(f"{manifest} has the outputs {names}; {expected}")
    match _sizes(output):
        # A size that the file leaves open is found out by the golden images.
        case (None, answers) if _is_float(output):
            if answers not in (None, labels):
                raise WrongLabelCount(
                    f"{manifest} answers with {answers} values an image; its manifest has {labels} labels"
                )
        case _:
            raise WrongSignature(
                f"{manifest} answers {_describe(output)}; {_WITHOUT_MAPS if _is_map(output) else expected}"
            )


def _check_embedding(model: Any, manifest: Manifest) -> None:
    wanted = manifest.output.embedding
    if wanted is None:
        return
    outputs = {value.name: value for value in model.graph.output}
    expected = (
        f"an embedding is float [n, dimensions] with n not fixed, and 1 to {MAX_EMBEDDING:,} dimensions that the file "
        "says"
    )
    if wanted not in outputs:
        raise WrongSignature(
            f"{manifest} has the outputs {_names(outputs)}, and its manifest says that {_quoted(wanted)} is the "
            f"embedding; {expected}"
        )
    match _sizes(outputs[wanted]):
        case (None, int(size)) if 1 <= size <= MAX_EMBEDDING and _is_float(outputs[wanted]):
            return
    raise WrongSignature(f"{manifest} gives {_describe(outputs[wanted])} as the embedding; {expected}")


def _takes(sizes: tuple[int | None, ...] | None, image: tuple[int, ...]) -> bool:
    """Return whether any number of images goes into a tensor; sizes that the file leaves open are the manifest's."""
    return (
        sizes is not None
        and len(sizes) == len(image) + 1
        and sizes[0] is None
        and all(size in (None, needed) for size, needed in zip(sizes[1:], image, strict=True))
    )


def _is_float(value: Any) -> bool:
    import onnx

    return bool(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)


def _sizes(value: Any) -> tuple[int | None, ...] | None:
    """Return a tensor's sizes, None for one that is not fixed; None if not even their number is said."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _is_map(value: Any) -> bool:
    """Return whether it is what ZipMap makes, which scikit-learn's exporter adds: for each image, labels to numbers."""
    kind = value.type.WhichOneof("value")
    if kind == "sequence_type":
        kind = value.type.sequence_type.elem_type.WhichOneof("value")
    return bool(kind == "map_type")


def _describe(value: Any) -> str:
    import onnx

    if _is_map(value):
        return f"{_quoted(value.name)}, a map of labels and probabilities for each image (ZipMap)"
    if value.type.WhichOneof("value") not in (None, "tensor_type"):
        return f"{_quoted(value.name)}, which is no tensor but a {value.type.WhichOneof('value').removesuffix('_type')}"
    kind = value.type.tensor_type.elem_type
    name = (
        onnx.TensorProto.DataType.Name(kind).lower() if kind in onnx.TensorProto.DataType.values() else kind
    )
    sizes = _sizes(value)
    listed = shortened(", ".join("n" if size is None else str(size) for size in sizes or ()))
    return f"{_quoted(value.name)} {name} {'of any shape' if sizes is None else f'[{listed}]'}"


def _location(tensor: Any) -> str:
    places = [entry.value for entry in tensor.external_data if entry.key == "location"]
    return _quoted(places[0]) if places else "which it does not name"


def _names(names: Iterable[str]) -> str:
    some = list(islice(names, _MOST_NAMES + 1))
    return (
        ", ".join(map(_quoted, some[:_MOST_NAMES])) + (", ..." if len(some) > _MOST_NAMES else "") or "none"
    )


def _quoted(name: str) -> str:
    """Quote a name of the file's, which can hold anything and be of any length."""
    return repr(shortened(name))


def _find(message: Any, kind: type[Any]) -> Iterator[Any]:
    """Yield every message of this kind, however deep: subgraphs, functions and attributes hold them too."""
    import onnx

    if isinstance(message, kind):
        yield message
    if isinstance(message, onnx.TensorProto):
        return  # nothing is nested in it, and listing its fields would copy its weights
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _find(part, kind)
