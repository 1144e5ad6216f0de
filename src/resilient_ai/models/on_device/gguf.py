"""What a GGUF file says of itself, read in Python before native code sees the file.

A GGUF file is input to a C++ parser. llama.cpp answers a bad one with an error that gives no reason, or with a crash, so the whole
header is walked here first: every count, length and offset is checked against the size of the file. What remains unchecked
is the content of the weights; `sha256` pins that.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from resilient_ai.errors import ConfigError

MAX_HEADER_BYTES: Final = 64 * 1024 * 1024
"""Largest header accepted. Vocabularies of 262 144 tokens with their merges take about 15 MiB."""

MAX_ENTRIES: Final = 1_000_000
"""Most metadata entries or tensors accepted; real files have some hundreds or thousands."""

_READ_BYTES: Final = 1024 * 1024
_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MAX_DIMENSIONS: Final = 4

_STRING, _ARRAY = 8, 9
_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32: Final = _SCALARS[4]
_U64: Final = _SCALARS[10]

# ggml's type number: values in a block, bytes of a block. A type that is not here is newer than this table; its tensors are
# checked by their offset only. Source: GGML_QUANT_SIZES of the gguf package, 0.19.
_BLOCKS: Final[dict[int, tuple[int, int]]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
}

# Metadata this library reads; everything else is walked and forgotten.
_WANTED: Final = re.compile(
    r"general\.(architecture|alignment)|split\.count|[^.]+\.context_length|tokenizer\.ggml\.(tokens|token_type)"
)

_UNKNOWN_TOKEN, _CONTROL_TOKEN, _USER_DEFINED_TOKEN = 2, 3, 4
# llama.cpp takes tokens that look like this for control tokens even where a file calls them something else.
_LOOKS_LIKE_CONTROL: Final = re.compile(
    r"<\|.+\|>|<\uff5c.+\uff5c>|</?s>|<(start|end)_of_turn>|_?<EOT>|\[/?[A-Z_]+\]"
)

Scalar = str | int | float | bool
Value = Scalar | list[Scalar]


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """Which file it was, so that another one under the same path is noticed."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


@final
@dataclass(frozen=True, slots=True)
class GGUFFile:
    """A checked file.

    Attributes:
        path: Where it is, absolute, links resolved.
        identity: Which file that was when it was checked.
        architecture: What llama.cpp calls its architecture.
        context_tokens: The context it was trained with, or None if it does not say.
        control_tokens: Strings its tokenizer takes for structure (`<|end|>`), wherever they stand.
    """

    path: Path
    identity: Identity
    architecture: str
    context_tokens: int | None
    control_tokens: tuple[str, ...]


class _Broken(Exception):
    """What is wrong with the bytes; becomes a `ConfigError` that names the file."""


def identify(path: Path) -> Identity:
    """Which file is at `path` now.

    Raises:
        OSError: There is none.
    """
    stat = path.stat()
    return Identity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def inspect(path: str | os.PathLike[str], *, sha256: str | None = None) -> GGUFFile:
    """Checks the file and reads what it says of itself. Blocks for the header, and for the whole file with `sha256`.

    Args:
        path: The file.
        sha256: What its content must hash to, in hexadecimal; None checks the structure only.

    Raises:
        ConfigError: It is missing, unreadable, not a GGUF file, of another version or byte order, truncated, inconsistent, one part
            of a split model, or not the file `sha256` pins. The text says how to mend it.
    """
    where = os.fspath(path)
    try:
        resolved = Path(where).resolve(strict=True)
        with resolved.open("rb") as file:
            stat = os.fstat(file.fileno())
            identity = Identity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            values = _walk(_Header(file, stat.st_size))
            if sha256 is not None:
                _pin(file, sha256)
    except FileNotFoundError:
        raise ConfigError("there is no such model file; give the path of a .gguf file", path=where) from None
    except OSError as error:
        raise ConfigError(f"the model file cannot be read ({error.strerror})", path=where) from None
    except _Broken as broken:
        raise ConfigError(f"not a usable GGUF model: {broken}", path=where) from None
    return _read(values, resolved, identity, where)


def _read(values: dict[str, Value], path: Path, identity: Identity, where: str) -> GGUFFile:
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str):
        raise ConfigError(
            "the file names no architecture (general.architecture); convert the model again", path=where
        )
    parts = values.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise ConfigError(
            f"the file is one of {parts} parts; join them with `llama-gguf-split --merge` and give the whole",
            path=where,
        )
    context = values.get(f"{architecture}.context_length")
    return GGUFFile(
        path=path,
        identity=identity,
        architecture=architecture,
        context_tokens=context if isinstance(context, int) and context > 0 else None,
        control_tokens=_control_tokens(
            values.get("tokenizer.ggml.tokens"), values.get("tokenizer.ggml.token_type")
        ),
    )


def _control_tokens(tokens: Value | None, types: Value | None) -> tuple[str, ...]:
    if not isinstance(tokens, list):
        return ()
    kinds = types if isinstance(types, list) and len(types) == len(tokens) else [0] * len(tokens)
    found = {
        token
        for token, kind in zip(tokens, kinds, strict=True)
        if isinstance(token, str)
        and token
        and (kind in (_UNKNOWN_TOKEN, _CONTROL_TOKEN) or _LOOKS_LIKE_CONTROL.fullmatch(token))
    }
    return tuple(sorted(found))


def _pin(file: io.BufferedReader, expected: str) -> None:
    file.seek(0)
    actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected.strip().lower():
        raise _Broken(f"its sha256 is {actual}, not the one pinned; fetch the file again or pin this one")


@final
class _Header:
    """Reads forward from the start of a file, never past its end nor past `MAX_HEADER_BYTES`."""

    __slots__ = ("_at", "_data", "_file", "size_bytes")

    def __init__(self, file: io.BufferedReader, size_bytes: int) -> None:
        self._file = file
        self._data = bytearray()
        self._at = 0
        self.size_bytes = size_bytes

    @property
    def at(self) -> int:
        return self._at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            self._fill(end)
        piece = bytes(self._data[self._at : end])
        self._at = end
        return piece

    def u32(self) -> int:
        value: int = _U32.unpack(self.take(4))[0]
        return value

    def u64(self) -> int:
        value: int = _U64.unpack(self.take(8))[0]
        return value

    def string(self) -> str:
        return self.take(self.u64()).decode("utf-8", errors="replace")

    def _fill(self, end: int) -> None:
        if end > self.size_bytes:
            raise _Broken("it ends inside its header: it is truncated; fetch it again")
        if end > MAX_HEADER_BYTES:
            raise _Broken(f"its header is larger than {MAX_HEADER_BYTES} bytes: it is corrupt")
        self._data += self._file.read(max(end - len(self._data), _READ_BYTES))
        if end > len(self._data):
            raise _Broken("it ends inside its header: it is truncated; fetch it again")


def _walk(header: _Header) -> dict[str, Value]:
    """The wanted metadata, after a look at every entry and every tensor.

    Raises:
        _Broken: Something does not fit.
    """
    if header.size_bytes < 24 or header.take(4) != b"GGUF":
        raise _Broken(
            "it does not begin with GGUF; give a .gguf file, not safetensors, a link page or an LFS pointer"
        )
    version = header.u32()
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if swapped in _VERSIONS:
            raise _Broken("it is big-endian; convert it for little-endian machines")
        raise _Broken(f"it is of version {version}; versions {_VERSIONS} are read; convert the model again")
    tensors = _count(header.u64(), "tensors")
    if tensors == 0:
        raise _Broken("it holds no tensors: it is a vocabulary only")
    values: dict[str, Value] = {}
    for _ in range(_count(header.u64(), "metadata entries")):
        name, kind = header.string(), header.u32()
        if _WANTED.fullmatch(name):
            values[name] = _value(header, kind)
        else:
            _skip(header, kind)
    _check_tensors(header, tensors, values.get("general.alignment", _DEFAULT_ALIGNMENT))
    return values


def _count(value: int, what: str) -> int:
    if value > MAX_ENTRIES:
        raise _Broken(f"it claims {value} {what}: it is corrupt")
    return value


def _value(header: _Header, kind: int) -> Value:
    if kind != _ARRAY:
        return _elements(header, kind, 1)[0]
    kind, count = _array_head(header)
    return _elements(header, kind, count)


def _skip(header: _Header, kind: int) -> None:
    """Steps over a value without building it; the merges of a vocabulary alone are hundreds of thousands."""
    count = 1
    if kind == _ARRAY:
        kind, count = _array_head(header)
    if kind == _STRING:
        for _ in range(count):
            header.take(header.u64())
    else:
        header.take(_scalar(kind).size * count)


def _array_head(header: _Header) -> tuple[int, int]:
    kind, count = header.u32(), header.u64()
    # The shortest element is a byte: a count beyond the file's size is a lie whatever the type.
    if count > header.size_bytes:
        raise _Broken(f"an array claims {count} elements: it is corrupt or truncated")
    return kind, count


def _elements(header: _Header, kind: int, count: int) -> list[Scalar]:
    if kind == _STRING:
        return [header.string() for _ in range(count)]
    scalar = _scalar(kind)
    return [value for (value,) in scalar.iter_unpack(header.take(scalar.size * count))]


def _scalar(kind: int) -> struct.Struct:
    scalar = _SCALARS.get(kind)
    if scalar is None:
        raise _Broken(f"a metadata value is of the unusable type {kind}: it is corrupt")
    return scalar


def _check_tensors(header: _Header, count: int, alignment: Value) -> None:
    """Every tensor must lie inside the file, on the alignment the file declares."""
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise _Broken("its alignment is not a power of two: it is corrupt")
    ends: list[tuple[int, int]] = []
    for _ in range(count):
        header.take(header.u64())
        dimensions = header.u32()
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise _Broken(f"a tensor has {dimensions} dimensions: it is corrupt")
        values = 1
        for _ in range(dimensions):
            values *= header.u64()
        kind, offset = header.u32(), header.u64()
        if offset % alignment:
            raise _Broken("a tensor is not aligned: it is corrupt")
        per_block, block_bytes = _BLOCKS.get(kind, (1, 0))
        if values <= 0 or values % per_block:
            raise _Broken("a tensor's shape does not fit its type: it is corrupt")
        ends.append((offset, values // per_block * block_bytes))
    start = -(-header.at // alignment) * alignment
    missing = max(start + offset + size for offset, size in ends) - header.size_bytes
    if missing > 0:
        raise _Broken(f"it is truncated: {missing} bytes are missing at its end; fetch it again")
