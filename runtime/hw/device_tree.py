"""Flattened device trees: nodes with properties, written as the binary that kernels read, and read back.

The format is the Devicetree Specification's, chapter 5; `dtc` makes and shows the same.
"""

from __future__ import annotations

import struct

from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC, _VERSION, _COMPATIBLE = 0xD00DFEED, 17, 16
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9
_HEADER = struct.Struct(">10I")
_MOST_DEPTH = 64


class DeviceTreeError(ValueError):
    """A device tree that cannot be read, or cannot be made; one line for the user."""


class Node:
    """A node: properties in their order, and children.

    A property's values are put one behind the other: a number is a 32-bit cell, a string ends with a zero, bytes are
    themselves, a node is its phandle (which it gets that way).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.properties: dict[str, list[int | str | bytes | Node]] = {}
        self.children: list[Node] = []
        self.phandle = 0

    def set(self, name: str, *values: int | str | bytes | Node) -> Node:
        """Set a property; the node itself, so that calls chain."""
        self.properties[name] = list(values)
        return self

    def add(self, child: Node | str) -> Node:
        """A child; it is returned."""
        node = Node(child) if isinstance(child, str) else child
        self.children.append(node)
        return node

    def child(self, name: str) -> Node:
        """The child of that name, made unless there is one."""
        found = self.get(name)
        return self.add(name) if found is None else found

    def get(self, path: str) -> Node | None:
        """A descendant by its path; names may leave out what comes behind the @."""
        node = self
        for part in path.strip("/").split("/"):
            if not part:
                continue
            for child in node.children:
                if child.name == part or ("@" not in part and child.name.partition("@")[0] == part):
                    node = child
                    break
            else:
                return None
        return node

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    # ------------------------------------------------------------ reading properties

    def bytes(self, name: str) -> bytes:
        """A property as it is in the binary; empty if there is none."""
        return b"".join(_encoded(value) for value in self.properties.get(name, ()))

    def cells(self, name: str) -> list[int]:
        """A property of 32-bit cells."""
        data = self.bytes(name)
        return [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data) - 3, 4)]

    def strings(self, name: str) -> list[str]:
        """A property of strings."""
        return self.bytes(name).decode("utf-8", "replace").split("\0")[:-1]


@record
class Place:
    """Where a device stands in a machine: what it needs to know to describe itself.

    interrupts   for each of its lines, the cells that name it to `parent`
    extended     for a device whose lines go to several controllers: the controller and its cell, line by line
    """

    address: int
    size: int
    parent: Node | None = None
    interrupts: tuple[tuple[int, ...], ...] = ()
    extended: tuple[tuple[Node, int], ...] = ()

    def node(self, name: str, *compatible: str) -> Node:
        """A node with `compatible`, `reg` and interrupts."""
        node = Node(f"{name}@{self.address:x}")
        node.set("compatible", *compatible)
        node.set("reg", *wide(self.address), *wide(self.size))
        if self.parent is not None and self.interrupts:
            node.set("interrupts", *[cell for cells in self.interrupts for cell in cells])
            node.set("interrupt-parent", self.parent)
        if self.extended:
            node.set("interrupts-extended", *[cell for pair in self.extended for cell in pair])
        return node


def wide(number: int) -> tuple[int, int]:
    """A 64-bit number as two cells."""
    return number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF


def _encoded(value: int | str | bytes | Node) -> bytes:
    if isinstance(value, int):
        if not -(1 << 31) <= value < 1 << 32:
            raise DeviceTreeError(f"{value:#x} does not fit a cell")
        return (value & 0xFFFFFFFF).to_bytes(4, "big")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") + b"\0"
    if isinstance(value, Node):
        return value.phandle.to_bytes(4, "big")
    return value


# -------------------------------------------------------------------- writing


def flatten(root: Node, boot_cpu: int = 0, reserved: list[tuple[int, int]] | None = None) -> bytes:
    """The binary; `reserved` are memory ranges (address, size) that the kernel shall leave alone."""
    _number(root)
    strings: dict[str, int] = {}
    names = bytearray()
    structure = bytearray()

    def write(node: Node) -> None:
        structure.extend(_BEGIN_NODE.to_bytes(4, "big") + _padded(node.name.encode("ascii") + b"\0"))
        for name, values in node.properties.items():
            if name not in strings:
                strings[name] = len(names)
                names.extend(name.encode("ascii") + b"\0")
            data = b"".join(_encoded(value) for value in values)
            structure.extend(struct.pack(">3I", _PROPERTY, len(data), strings[name]) + _padded(data))
        for child in node.children:
            write(child)
        structure.extend(_END_NODE.to_bytes(4, "big"))

    write(root)
    structure.extend(_END.to_bytes(4, "big"))
    ranges = b"".join(struct.pack(">2Q", *item) for item in [*(reserved or ()), (0, 0)])
    structure_at = _HEADER.size + len(ranges)
    strings_at = structure_at + len(structure)
    total = strings_at + len(names)
    header = _HEADER.pack(
        _MAGIC,
        -(-total // 4) * 4,
        structure_at,
        strings_at,
        _HEADER.size,
        _VERSION,
        _COMPATIBLE,
        boot_cpu,
        len(names),
        len(structure),
    )
    return _padded(header + ranges + bytes(structure) + bytes(names))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _number(root: Node) -> None:
    """Give phandles to the nodes that properties name."""
    taken = {node.phandle for node in root.walk()}
    last = 0
    for node in root.walk():
        for values in node.properties.values():
            for value in values:
                if isinstance(value, Node) and not value.phandle:
                    last += 1
                    while last in taken:
                        last += 1
                    value.phandle = last
    for node in root.walk():
        if node.phandle:
            node.set("phandle", node.phandle)


# -------------------------------------------------------------------- reading


def read_tree(data: bytes) -> Node:
    """A binary's root node; DeviceTreeError says what is wrong with it."""
    if len(data) < _HEADER.size:
        raise DeviceTreeError(f"{len(data)} bytes are too few for a device tree")
    magic, total, structure_at, strings_at, _, version, compatible, _, strings_size, size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise DeviceTreeError("it is no flattened device tree: the first bytes are not d00dfeed")
    if compatible > _VERSION or version < _COMPATIBLE:
        raise DeviceTreeError(f"it is of version {version}, and {_COMPATIBLE} to {_VERSION} can be read")
    if total > len(data) or structure_at + size > total or strings_at + strings_size > total:
        raise DeviceTreeError(f"it is cut short: {len(data)} bytes of {total}")
    return _Reader(data[structure_at : structure_at + size], data[strings_at : strings_at + strings_size]).read()


class _Reader:
    def __init__(self, structure: bytes, strings: bytes) -> None:
        self._data = structure
        self._strings = strings
        self._at = 0

    def read(self) -> Node:
        root: Node | None = None
        open_nodes: list[Node] = []
        while True:
            token = self._cell()
            if token == _BEGIN_NODE:
                node = Node(self._string(self._data, self._at))
                self._skip(len(node.name.encode("utf-8")) + 1)
                if open_nodes:
                    open_nodes[-1].children.append(node)
                elif root is not None:
                    raise DeviceTreeError("it has two roots")
                else:
                    root = node
                if len(open_nodes) == _MOST_DEPTH:
                    raise DeviceTreeError(f"its nodes are nested more than {_MOST_DEPTH} deep")
                open_nodes.append(node)
            elif token == _END_NODE and open_nodes:
                open_nodes.pop()
            elif token == _PROPERTY and open_nodes:
                length, name_at = self._cell(), self._cell()
                if self._at + length > len(self._data):
                    raise DeviceTreeError("a property runs over its end")
                value = self._data[self._at : self._at + length]
                name = self._string(self._strings, name_at)
                open_nodes[-1].properties[name] = [value]
                if name in ("phandle", "linux,phandle") and length == 4:
                    open_nodes[-1].phandle = int.from_bytes(value, "big")
                self._skip(length)
            elif token == _END and root is not None and not open_nodes:
                return root
            elif token != _NOP:
                raise DeviceTreeError(f"there is a wrong word {token:#x} at {self._at - 4:#x} of its structure")

    def _cell(self) -> int:
        if self._at + 4 > len(self._data):
            raise DeviceTreeError("its structure has no end")
        self._at += 4
        return int.from_bytes(self._data[self._at - 4 : self._at], "big")

    def _skip(self, length: int) -> None:
        self._at += -(-length // 4) * 4

    @staticmethod
    def _string(data: bytes, at: int) -> str:
        end = data.find(b"\0", at) if at < len(data) else -1
        if end < 0:
            raise DeviceTreeError("a name has no end")
        try:
            return data[at:end].decode("ascii")
        except UnicodeDecodeError:
            raise DeviceTreeError("a name is not ASCII") from None
