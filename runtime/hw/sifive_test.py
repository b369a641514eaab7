"""SiFive's test finisher: one register whose value ends the machine, with a status, or resets it."""

from __future__ import annotations

from runtime.hw.device_tree import Node
from runtime.hw.registers import Field, Register, RegisterDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.device import Platform
    from runtime.hw.device_tree import Place

FAIL, PASS, RESET = 0x3333, 0x5555, 0x7777


class SifiveTest(RegisterDevice):
    """Linux finds it as syscon-poweroff and syscon-reboot."""

    kind = "sifive,test1"
    REGISTERS = (Register("FINISH", 0, fields=(Field("COMMAND", 0, 16), Field("STATUS", 16, 16))),)

    def __init__(self, name: str, platform: Platform) -> None:
        super().__init__(name, 0x1000)
        self.sizes = frozenset((2, 4))
        self._platform = platform

    def write_finish(self, value: int) -> None:
        self.value["FINISH"] = 0
        command = value & 0xFFFF
        if command == PASS:
            self._platform.power_off(0)
        elif command == FAIL:
            self._platform.power_off(value >> 16)
        elif command == RESET:
            self._platform.reset()

    def device_tree_node(self, place: Place) -> Node:
        return place.node("test", "sifive,test1", "sifive,test0", "syscon")
