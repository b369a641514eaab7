"""QEMU's firmware configuration device: named blobs that firmware reads, by bytes or by DMA (docs/specs/fw_cfg)."""

from __future__ import annotations

from runtime.hw.device import Device, DeviceError
from runtime.hw.device_tree import Node
from runtime.hw.dma import DmaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.device import Platform
    from runtime.hw.device_tree import Place

SIGNATURE, ID, FILE_DIRECTORY, FIRST_FILE = 0x00, 0x01, 0x19, 0x20
_TRADITIONAL, _DMA = 1, 2
_ERROR, _READ, _SKIP, _SELECT, _WRITE = 1, 2, 4, 8, 16
_DMA_SIGNATURE = int.from_bytes(b"QEMU CFG", "big")
_MOST_FILES, _LONGEST_NAME = 0x1000, 55
#: bits of the selector that name an item: all but that of a channel for writing; 0x8000 are those of one architecture
_ENTRY = 0xBFFF
_PIECE = 1 << 20


class FwCfg(Device):
    """The items, and where a reader stands in the chosen one; its registers are a face of it (memory or ports)."""

    STATE = ("selected", "position", "dma_address")

    def __init__(self, name: str, size: int, platform: Platform) -> None:
        super().__init__(name, size)
        self.items: dict[int, bytes | bytearray] = {
            SIGNATURE: b"QEMU",
            ID: (_TRADITIONAL | _DMA).to_bytes(4, "little"),
        }
        self.selected = 0
        self.position = 0
        self.dma_address = 0
        self._platform = platform
        self._files: dict[str, int] = {}
        self._writers: dict[int, Callable[[], None]] = {}

    def add(self, key: int, data: bytes) -> None:
        """An item by its number."""
        self.items[key] = data

    def add_file(self, name: str, data: bytes | bytearray, written: Callable[[], None] | None = None) -> None:
        """An item by its name; one with `written` may be written by DMA (its data is a bytearray)."""
        if len(name) > _LONGEST_NAME or not name.isascii():
            raise DeviceError(f"{self.name}: {name} is no name for a file: at most {_LONGEST_NAME} ASCII characters")
        if name in self._files:
            raise DeviceError(f"{self.name}: there are two files {name}")
        if len(self._files) >= _MOST_FILES:
            raise DeviceError(f"{self.name}: more than {_MOST_FILES} files")
        key = FIRST_FILE + len(self._files)
        self._files[name] = key
        self.items[key] = data
        if written is not None:
            self._writers[key] = written
        directory = len(self._files).to_bytes(4, "big")
        for file, number in sorted(self._files.items()):
            directory += len(self.items[number]).to_bytes(4, "big") + number.to_bytes(2, "big") + bytes(2)
            directory += file.encode("ascii").ljust(56, b"\0")
        self.items[FILE_DIRECTORY] = directory

    # ------------------------------------------------------------ what the faces do

    def select(self, key: int) -> None:
        """Choose an item and go to its beginning."""
        self.selected, self.position = key & 0xFFFF, 0

    def take(self, count: int) -> bytes:
        """The next bytes; zeros behind the item's end."""
        item = self.items.get(self.selected & _ENTRY, b"")
        data = bytes(item[self.position : self.position + count])
        self.position = min(self.position + count, len(item))
        return data.ljust(count, b"\0")

    def dma_high(self, value: int) -> None:
        self.dma_address = value << 32

    def dma_low(self, value: int) -> None:
        """The address is complete: do what the structure there says."""
        address, self.dma_address = self.dma_address | value, 0
        memory = self._platform.memory
        try:
            command = memory.read(address, 16)
            memory.write(address, self._transfer(command).to_bytes(4, "big"))
        except DmaError as error:
            self.complain(str(error))

    def dma_signature(self) -> bytes:
        return _DMA_SIGNATURE.to_bytes(8, "big")

    def _transfer(self, command: bytes) -> int:
        control, length = int.from_bytes(command[:4], "big"), int.from_bytes(command[4:8], "big")
        address = int.from_bytes(command[8:], "big")
        if control & _SELECT:
            self.select(control >> 16)
        try:
            if control & _READ:
                self._read(address, length)
            elif control & _WRITE:
                self._write(address, length)
            elif control & _SKIP:
                item = self.items.get(self.selected & _ENTRY, b"")
                self.position = min(self.position + length, len(item))
        except DmaError as error:
            self.complain(str(error))
            return _ERROR
        return 0

    def _read(self, address: int, length: int) -> None:
        memory = self._platform.memory
        memory.check(address, length)
        while length:
            count = min(length, _PIECE)
            memory.write(address, self.take(count))
            address, length = address + count, length - count

    def _write(self, address: int, length: int) -> None:
        written = self._writers.get(self.selected & _ENTRY)
        item = self.items.get(self.selected & _ENTRY)
        if written is None or not isinstance(item, bytearray) or self.position + length > len(item):
            raise DmaError(address, length)
        item[self.position : self.position + length] = self._platform.memory.read(address, length)
        self.position += length
        written()

    def reset(self) -> None:
        self.select(0)
        self.dma_address = 0

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        if self.position < 0 or self.selected < 0:
            raise DeviceError(f"{self.name}: the saved position is negative")

    def describe(self) -> str:
        return f"files: {' '.join(sorted(self._files)) or 'none'}"


class FwCfgMmio(FwCfg):
    """In memory: data at 0, selector at 8, DMA at 16, the latter two big-endian."""

    kind = "fw_cfg_mem"

    def __init__(self, name: str, platform: Platform) -> None:
        super().__init__(name, 0x18, platform)

    def read(self, offset: int, size: int) -> int:
        if offset < 8:
            return int.from_bytes(self.take(size), "little")  # a string of bytes, in order
        if offset >= 16:
            return int.from_bytes(self.dma_signature()[offset - 16 : offset - 16 + size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        data = value.to_bytes(size, "little")
        if offset == 8 and size >= 2:
            self.select(int.from_bytes(data[:2], "big"))
        elif offset == 16 and size == 8:
            self.dma_high(int.from_bytes(data[:4], "big"))
            self.dma_low(int.from_bytes(data[4:], "big"))
        elif offset == 16 and size == 4:
            self.dma_high(int.from_bytes(data, "big"))
        elif offset == 20 and size == 4:
            self.dma_low(int.from_bytes(data, "big"))

    def device_tree_node(self, place: Place) -> Node:
        return place.node("fw-cfg", "qemu,fw-cfg-mmio").set("dma-coherent")


class FwCfgPorts(FwCfg):
    """At I/O ports: selector at 0 (two bytes, little-endian), data at 1, DMA at 4 (big-endian)."""

    kind = "fw_cfg_io"

    def __init__(self, name: str, platform: Platform) -> None:
        super().__init__(name, 12, platform)

    def read(self, offset: int, size: int) -> int:
        if offset == 1:
            return int.from_bytes(self.take(1), "little") | (~0xFF if size > 1 else 0)
        if offset >= 4:
            return int.from_bytes(self.dma_signature()[offset - 4 : offset - 4 + size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0 and size == 2:
            self.select(value)
        elif offset == 4 and size == 4:
            self.dma_high(int.from_bytes(value.to_bytes(4, "little"), "big"))
        elif offset == 8 and size == 4:
            self.dma_low(int.from_bytes(value.to_bytes(4, "little"), "big"))
