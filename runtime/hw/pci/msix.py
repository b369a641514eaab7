"""MSI-X: a function's table of messages, each an interrupt that is a store (PCI Local Bus 3.0, section 6.8.2)."""

from __future__ import annotations

from runtime.hw.pci.function import COMMAND, MASTER_ENABLE, Bar, PciFunction
from runtime.hw.registers import Field, Register, RegisterDevice

__all__ = ["MOST_MESSAGES", "MessageTable"]

CAPABILITY = 0x11
#: message control (6.8.2.3), in its upper byte
_ENABLE, _MASK_ALL = 0x80, 0x40
_MASKED = 1
#: where the pending bits are behind the table, and how much both take
_PENDING, _SIZE, _ENTRY = 0x800, 0x1000, 16
MOST_MESSAGES = _PENDING // _ENTRY


class MessageTable(RegisterDevice):
    """Table and pending bits of `count` messages, in a base-address register of their own; puts itself into `function`.

    A message that is masked stays pending, and is sent when its mask goes (6.8.3.4).
    """

    kind = "msix-table"
    STATE = ("pending",)

    def __init__(self, function: PciFunction, count: int, bar: int) -> None:
        if not 1 < count <= MOST_MESSAGES:
            raise ValueError(f"{function.name}: {count} messages, where 2 to {MOST_MESSAGES} have room")
        super().__init__(
            f"{function.name}.msix",
            _SIZE,
            (
                Register("ADDRESS_LOW", 0x0, writable=0xFFFF_FFFC, count=count, stride=_ENTRY),
                Register("ADDRESS_HIGH", 0x4, count=count, stride=_ENTRY),
                Register("DATA", 0x8, count=count, stride=_ENTRY),
                Register(
                    "CONTROL",
                    0xC,
                    reset=_MASKED,
                    writable=_MASKED,
                    fields=(Field("MASK", 0),),
                    count=count,
                    stride=_ENTRY,
                ),
                Register("PENDING", _PENDING, access="ro", count=2 * -(-count // 64)),
            ),
        )
        self.sizes = frozenset((4, 8))  # 6.8.2: anything else is undefined
        self.function = function
        self.pending = [False] * count
        function.add_bar(Bar(bar, self, wide=False, prefetch=False))
        body = (count - 1).to_bytes(2, "little") + bar.to_bytes(4, "little") + (_PENDING | bar).to_bytes(4, "little")
        place = function.add_capability(CAPABILITY, body)
        self._control = place + 3
        function.allow(self._control, _ENABLE | _MASK_ALL, 1)
        function.messages = self

    @property
    def enabled(self) -> bool:
        """Whether the driver wants messages, and no wire."""
        return bool(self.function.config[self._control] & _ENABLE)

    def signal(self, number: int) -> None:
        """Interrupt by message `number`."""
        self.pending[number] = True
        self.send_pending()

    def send_pending(self) -> None:
        """Send what waits and is masked no more: a mask, or the function's right to store, has changed."""
        function = self.function
        if not any(self.pending) or function.config[self._control] & (_ENABLE | _MASK_ALL) != _ENABLE:
            return
        if function.on_message is None or not function.word(COMMAND, 2) & MASTER_ENABLE:
            return
        for number, waits in enumerate(self.pending):
            if waits and not self.array["CONTROL"][number] & _MASKED:
                self.pending[number] = False
                address = self.array["ADDRESS_LOW"][number] | self.array["ADDRESS_HIGH"][number] << 32
                if self.log is not None:
                    self.log("io", f"{self.name}: message {number}: {self.array['DATA'][number]:#x} to {address:#x}")
                function.on_message(address, self.array["DATA"][number])

    def write_control(self, number: int, value: int) -> None:
        self.send_pending()

    def read_pending(self, word: int) -> int:
        return sum(1 << bit for bit, waits in enumerate(self.pending[32 * word : 32 * word + 32]) if waits)

    def reset(self) -> None:
        super().reset()
        self.pending = [False] * len(self.pending)

    def load(self, state: dict[str, object]) -> None:
        count = len(self.pending)
        super().load(state)
        self.pending = [bool(waits) for waits in self.pending[:count]]
        self.pending += [False] * (count - len(self.pending))
