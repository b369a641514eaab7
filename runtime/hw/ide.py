"""An ATA channel with up to two disks: programmed I/O, and DMA where there is a bus master (ide_dma.py).

The sections are those of ATA/ATAPI-6 (T13 1410D).
"""

from __future__ import annotations

from runtime.hw.block.backend import BlockError
from runtime.hw.device import Device, DeviceError, give_state, take_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.block.backend import BlockBackend
    from runtime.hw.irq import Line

SECTOR = 512
_ERROR, _DATA, _SEEKED, _READY, _BUSY = 0x01, 0x08, 0x10, 0x40, 0x80
_ABORTED, _NOT_FOUND, _UNCORRECTABLE = 0x04, 0x10, 0x40
_NO_INTERRUPT, _RESET = 0x02, 0x04
_LBA, _SECOND = 0x40, 0x10
_HEADS, _SECTORS = 16, 63
_MOST_MULTIPLE = 16
#: commands that move data: (to the device, with 48-bit addresses, several sectors at a time)
_TRANSFERS = {
    0x20: (False, False, False),
    0x21: (False, False, False),
    0x24: (False, True, False),
    0xC4: (False, False, True),
    0x29: (False, True, True),
    0x30: (True, False, False),
    0x31: (True, False, False),
    0x34: (True, True, False),
    0xC5: (True, False, True),
    0x39: (True, True, True),
}
#: those whose data a bus master moves: (to the device, with 48-bit addresses)
_DMA = {
    0xC8: (False, False),
    0xC9: (False, False),
    0x25: (False, True),
    0xCA: (True, False),
    0xCB: (True, False),
    0x35: (True, True),
}


class Disk:
    """One device's own state: its task file, and what is being transferred."""

    STATE = ("error", "status", "features", "count", "low", "middle", "high", "multiple", "buffer", "at", "left",
             "place", "writing", "block", "waiting")  # fmt: skip

    def __init__(self, image: BlockBackend, serial: str) -> None:
        self.image = image
        self.serial = serial
        self.sectors = image.size // SECTOR
        self.multiple = _MOST_MULTIPLE
        self.reset()

    def reset(self) -> None:
        """The signature of a disk (9.12)."""
        self.error, self.status, self.features = 1, _READY | _SEEKED, 0
        # Two bytes each: what was written last, and what before that, for 48-bit addresses.
        self.count, self.low, self.middle, self.high = [1, 0], [1, 0], [0, 0], [0, 0]
        self.buffer, self.at = b"", 0
        self.left = self.place = 0
        self.writing = False
        self.block = 1
        self.waiting = False  # for the bus master, to move `left` sectors

    def identity(self, dma: bool) -> bytes:
        """IDENTIFY DEVICE's 256 words (8.15)."""
        words = [0] * 256
        cylinders = min(self.sectors // (_HEADS * _SECTORS), 16383)
        words[0], words[1], words[3], words[6] = 0x40, cylinders, _HEADS, _SECTORS
        words[10:20] = _text(self.serial, 20)
        words[23:27] = _text("1.0", 8)
        words[27:47] = _text("ISOMORPH DISK", 40)
        words[47] = 0x8000 | _MOST_MULTIPLE
        words[49], words[50], words[51], words[53] = 0x0200, 0x4000, 0x0200, 3  # LBA; PIO mode 2
        words[54], words[55], words[56] = cylinders, _HEADS, _SECTORS
        capacity = cylinders * _HEADS * _SECTORS
        words[57], words[58] = capacity & 0xFFFF, capacity >> 16
        words[59] = 0x100 | self.multiple
        short = min(self.sectors, (1 << 28) - 1)
        words[60], words[61] = short & 0xFFFF, short >> 16
        words[64], words[65], words[66], words[67], words[68] = 3, 120, 120, 120, 120
        if dma:
            words[49] |= 0x0100
            words[53] |= 4
            words[63], words[88] = 0x0007, 0x203F  # multiword modes 0 to 2; Ultra DMA 0 to 5, of which 5 is chosen
            words[93] = 0x600B  # an 80-conductor cable
        words[80] = 0x7E
        words[82], words[83], words[84] = 0x4000, 0x7400, 0x4000  # FLUSH CACHE (EXT), 48-bit addresses
        words[85], words[86], words[87] = 0x4000, 0x3400, 0x4000
        for index in range(4):
            words[100 + index] = self.sectors >> 16 * index & 0xFFFF
        return b"".join(word.to_bytes(2, "little") for word in words)


def _text(text: str, size: int) -> list[int]:
    """Characters in words, the first in the upper byte."""
    data = text.encode("ascii", "replace").ljust(size)[:size]
    return [data[at] << 8 | data[at + 1] for at in range(0, size, 2)]


class IdeChannel(Device):
    """The command registers, 8 bytes; `control` is the other register, elsewhere among the ports.

    on_interrupt, on_transfer   what a bus master wants to hear: the interrupt rises, a disk is ready for DMA
    """

    kind = "ide"

    def __init__(self, name: str, line: Line) -> None:
        super().__init__(name, 8)
        self.disks: list[Disk | None] = [None, None]
        self.select = 0
        self.control_bits = 0
        self.control = IdeControl(f"{name}.control", self)
        self.on_interrupt: Callable[[], None] = lambda: None
        self.on_transfer: Callable[[], None] | None = None
        self._line = line
        self._pending = False

    def plug(self, index: int, image: BlockBackend) -> None:
        """A disk as device 0 or 1."""
        self.disks[index] = Disk(image, f"{self.name.upper()}{index:03d}")

    @property
    def disk(self) -> Disk | None:
        """The one that is selected."""
        return self.disks[self.select >> 4 & 1]

    def reset(self) -> None:
        self.select = self.control_bits = 0
        for disk in self.disks:
            if disk is not None:
                disk.reset()
        self._interrupt(False)

    def set_control(self, value: int) -> None:
        """Device control: SRST resets both devices on its way down, nIEN holds the interrupt back."""
        if self.control_bits & _RESET and not value & _RESET:
            for disk in self.disks:
                if disk is not None:
                    disk.reset()
            self.select = 0
            self._pending = False
        self.control_bits = value & (_RESET | _NO_INTERRUPT)
        self._interrupt(self._pending)

    def _interrupt(self, pending: bool) -> None:
        if pending and not self._pending:
            self.on_interrupt()
        self._pending = pending
        self._line.set(pending and not self.control_bits & _NO_INTERRUPT)

    def status(self) -> int:
        """What the selected device says; nothing of the kind if there is none."""
        if self.control_bits & _RESET:
            return _BUSY
        return 0 if self.disk is None else self.disk.status

    # ------------------------------------------------------------ registers

    def read(self, offset: int, size: int) -> int:
        disk = self.disk
        if offset == 0:
            return self._read_data(size)
        if offset == 7:
            self._interrupt(False)
            return self.status()
        if offset == 6:
            return 0xA0 | self.select
        if disk is None:
            return 0
        if offset == 1:
            return disk.error
        return (disk.count, disk.low, disk.middle, disk.high)[offset - 2][self.control_bits >> 7 & 1]

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self._write_data(size, value)
        elif offset == 7:
            self._interrupt(False)
            if self.disk is not None or value == 0x90:
                self._command(value & 0xFF)
        elif offset == 6:
            self.select = value & (_LBA | _SECOND | 0x0F)
        else:
            for disk in self.disks:  # both devices hear it
                if disk is None:
                    continue
                if offset == 1:
                    disk.features = value
                else:
                    register = (disk.count, disk.low, disk.middle, disk.high)[offset - 2]
                    register[1], register[0] = register[0], value & 0xFF

    # ------------------------------------------------------------ commands

    def _command(self, code: int) -> None:
        disk = self.disk
        if code == 0x90:  # EXECUTE DEVICE DIAGNOSTIC, for both
            for each in self.disks:
                if each is not None:
                    each.reset()
            self.select = 0
            self._interrupt(True)
            return
        if disk is None:
            return
        disk.status, disk.error, disk.waiting = _READY | _SEEKED, 0, False
        if code in _DMA and self.on_transfer is not None:
            self._await_master(disk, *_DMA[code])
        elif code in _TRANSFERS:
            self._transfer(disk, *_TRANSFERS[code])
        elif code == 0xEC:
            disk.buffer, disk.at, disk.left, disk.writing = disk.identity(self.on_transfer is not None), 0, 0, False
            disk.status |= _DATA
            self._interrupt(True)
        elif code == 0xC6:  # SET MULTIPLE MODE
            if disk.count[0] & (disk.count[0] - 1) or disk.count[0] > _MOST_MULTIPLE:
                self._fail(disk, _ABORTED)
                return
            disk.multiple = disk.count[0] or 1
            self._interrupt(True)
        elif code in (0xE7, 0xEA):
            try:
                disk.image.flush()
            except BlockError:
                self._fail(disk, _UNCORRECTABLE)
                return
            self._interrupt(True)
        elif code in (0x40, 0x42, 0x70, 0x10, 0x91, 0xEF, 0xE0, 0xE1, 0xE2, 0xE3):
            self._interrupt(True)  # verifying, seeking, parameters, power: there is nothing to do
        elif code == 0xE5:
            disk.count[0] = 0xFF
            self._interrupt(True)
        elif code == 0xF8:  # READ NATIVE MAX ADDRESS
            self._put_address(disk, min(disk.sectors, 1 << 28) - 1)
            self._interrupt(True)
        else:
            self._fail(disk, _ABORTED)

    def _fail(self, disk: Disk, error: int) -> None:
        disk.status, disk.error = _READY | _SEEKED | _ERROR, error
        disk.buffer, disk.at, disk.left = b"", 0, 0
        self._interrupt(True)

    def _address(self, disk: Disk, wide: bool) -> int | None:
        """The first sector a command names: by number, or by cylinder, head and sector."""
        low, middle, high = disk.low, disk.middle, disk.high
        if wide:
            return (low[0] | middle[0] << 8 | high[0] << 16) | (low[1] | middle[1] << 8 | high[1] << 16) << 24
        if self.select & _LBA:
            return low[0] | middle[0] << 8 | high[0] << 16 | (self.select & 0x0F) << 24
        if not 1 <= low[0] <= _SECTORS:
            return None
        cylinder = middle[0] | high[0] << 8
        return (cylinder * _HEADS + (self.select & 0x0F)) * _SECTORS + low[0] - 1

    def _put_address(self, disk: Disk, sector: int) -> None:
        disk.low[0], disk.middle[0], disk.high[0] = sector & 0xFF, sector >> 8 & 0xFF, sector >> 16 & 0xFF
        self.select = self.select & ~0x0F | sector >> 24 & 0x0F

    def _place(self, disk: Disk, writing: bool, wide: bool) -> bool:
        """Note what a command is to move; whether it can."""
        place = self._address(disk, wide)
        count = disk.count[0] | disk.count[1] << 8 if wide else disk.count[0]
        count = count or (65536 if wide else 256)
        if place is None or place + count > disk.sectors:
            self._fail(disk, _NOT_FOUND)
            return False
        if writing and disk.image.read_only:
            self._fail(disk, _ABORTED)
            return False
        disk.place, disk.left, disk.writing = place, count, writing
        return True

    def _transfer(self, disk: Disk, writing: bool, wide: bool, several: bool) -> None:
        if not self._place(disk, writing, wide):
            return
        disk.block = disk.multiple if several else 1
        if writing:
            disk.buffer, disk.at = bytes(SECTOR * min(disk.block, disk.left)), 0
            disk.status |= _DATA  # the first block without an interrupt (9.5)
        else:
            self._next_block(disk)

    def _next_block(self, disk: Disk) -> None:
        """Have the next sectors ready to be read."""
        count = min(disk.block, disk.left)
        try:
            disk.buffer = bytes(disk.image.read(disk.place * SECTOR, count * SECTOR))
        except BlockError:
            self._fail(disk, _UNCORRECTABLE)
            return
        disk.at = 0
        disk.place, disk.left = disk.place + count, disk.left - count
        disk.status = _READY | _SEEKED | _DATA
        self._interrupt(True)

    def _read_data(self, size: int) -> int:
        disk = self.disk
        if disk is None or disk.writing or not disk.status & _DATA:
            return 0
        value = int.from_bytes(disk.buffer[disk.at : disk.at + size], "little")
        disk.at += size
        if disk.at >= len(disk.buffer):
            disk.status &= ~_DATA
            if disk.left:
                self._next_block(disk)
        return value

    def _write_data(self, size: int, value: int) -> None:
        disk = self.disk
        if disk is None or not disk.writing or not disk.status & _DATA:
            return
        data = bytearray(disk.buffer)
        data[disk.at : disk.at + size] = value.to_bytes(size, "little")
        disk.buffer = bytes(data)
        disk.at += size
        if disk.at < len(disk.buffer):
            return
        count = len(disk.buffer) // SECTOR
        try:
            disk.image.write(disk.place * SECTOR, disk.buffer)
        except BlockError:
            self._fail(disk, _UNCORRECTABLE)
            return
        disk.place, disk.left, disk.at = disk.place + count, disk.left - count, 0
        if disk.left:
            disk.buffer = bytes(SECTOR * min(disk.block, disk.left))
        else:
            disk.status &= ~_DATA
            disk.writing = False
        self._interrupt(True)

    # ------------------------------------------------------------ DMA

    def _await_master(self, disk: Disk, writing: bool, wide: bool) -> None:
        """Be busy until the bus master moves the data."""
        assert self.on_transfer is not None
        if self._place(disk, writing, wide):
            disk.waiting, disk.status = True, _BUSY
            self.on_transfer()

    @property
    def transfer(self) -> tuple[bool, int] | None:
        """What the selected disk waits for: whether it is written, and how many bytes."""
        disk = self.disk
        return None if disk is None or not disk.waiting else (disk.writing, disk.left * SECTOR)

    def finish_read(self) -> bytes:
        """What was read; zeros, and an error for the driver, if that failed."""
        disk = self.disk
        assert disk is not None
        size = disk.left * SECTOR
        try:
            data = bytes(disk.image.read(disk.place * SECTOR, size))
        except BlockError:
            self._end_transfer(disk, _UNCORRECTABLE)
            return bytes(size)
        self._end_transfer(disk)
        return data

    def finish_write(self, data: bytes) -> None:
        """Write it."""
        disk = self.disk
        assert disk is not None
        try:
            disk.image.write(disk.place * SECTOR, data)
        except BlockError:
            self._end_transfer(disk, _UNCORRECTABLE)
        else:
            self._end_transfer(disk)

    def abort_transfer(self) -> None:
        """The bus master cannot."""
        if self.disk is not None:
            self._end_transfer(self.disk, _ABORTED)

    def _end_transfer(self, disk: Disk, error: int = 0) -> None:
        disk.waiting = disk.writing = False
        disk.left = 0
        if error:
            self._fail(disk, error)
        else:
            disk.status = _READY | _SEEKED
            self._interrupt(True)

    # ------------------------------------------------------------ state

    def save(self) -> dict[str, object]:
        disks = [None if disk is None else give_state(disk, Disk.STATE) for disk in self.disks]
        return {"disks": disks, "select": self.select, "control": self.control_bits, "pending": self._pending}

    def load(self, state: dict[str, object]) -> None:
        disks = state.get("disks")
        if not isinstance(disks, list) or [one is None for one in disks] != [one is None for one in self.disks]:
            raise DeviceError(f"{self.name}: the saved state is of other disks")
        numbers = [state.get(name) for name in ("select", "control", "pending")]
        if not all(isinstance(number, int) for number in numbers):
            raise DeviceError(f"{self.name}: the saved state has no fitting registers")
        for disk, values in zip(self.disks, disks, strict=True):
            if disk is not None:
                take_state(self.name, disk, Disk.STATE, values)
        self.select, self.control_bits = int(str(state["select"])), int(str(state["control"]))
        self._interrupt(state["pending"] is True)

    def close(self) -> None:
        for disk in self.disks:
            if disk is not None:
                disk.image.close()


class IdeControl(Device):
    """Device control and the alternate status, which leaves the interrupt alone."""

    kind = "ide-control"

    def __init__(self, name: str, channel: IdeChannel) -> None:
        super().__init__(name, 1)
        self._channel = channel

    def read(self, offset: int, size: int) -> int:
        return self._channel.status()

    def write(self, offset: int, size: int, value: int) -> None:
        self._channel.set_control(value)
