"""ACPI's fixed hardware: power button status, sleep control, the power-management timer (ACPI 6.4, 4.8.3)."""

from __future__ import annotations

from runtime.hw.device import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.device import Platform
    from runtime.hw.irq import Line

TIMER_FREQUENCY = 3_579_545
_POWER_BUTTON = 0x100
_SLEEP_ENABLE = 0x2000
_ALWAYS_ACPI = 1  # SCI_EN: there is no other mode to come from (4.8.3.2.1)
_SOFT_OFF = 0  # the sleep type that the tables of this machine give S5
_SECOND = 1_000_000_000


class AcpiPm(Device):
    """PM1 status and enable at 0, control at 4, the timer at 8; `line` is the SCI."""

    kind = "acpi-pm"
    STATE = ("status", "enable", "control")

    def __init__(self, name: str, line: Line, platform: Platform) -> None:
        super().__init__(name, 12)
        self.status = self.enable = self.control = 0
        self._line = line
        self._platform = platform

    def press_power_button(self) -> None:
        """Somebody wants the guest to shut itself down."""
        self.status |= _POWER_BUTTON
        self._update()

    def _update(self) -> None:
        self._line.set(bool(self.status & self.enable))

    def read(self, offset: int, size: int) -> int:
        timer = self._platform.clock.now() * TIMER_FREQUENCY // _SECOND & 0xFFFFFF
        control = self.control | _ALWAYS_ACPI
        whole = self.status | self.enable << 16 | control << 32 | timer << 64
        return whole >> 8 * offset & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        for byte in range(size):
            self._write_byte(offset + byte, value >> 8 * byte & 0xFF)
        self._update()
        if self.control & _SLEEP_ENABLE:
            self.control &= ~_SLEEP_ENABLE
            if self.control >> 10 & 7 == _SOFT_OFF:
                self._platform.power_off(0)

    def _write_byte(self, place: int, byte: int) -> None:
        shift = 8 * (place & 1)
        if place < 2:
            self.status &= ~(byte << shift)
        elif place < 4:
            self.enable = self.enable & ~(0xFF << shift) | byte << shift
        elif place < 6:
            self.control = self.control & ~(0xFF << shift) | byte << shift

    def reset(self) -> None:
        self.status = self.enable = self.control = 0
        self._update()


class ResetControl(Device):
    """Port 0xcf9: bit 2 resets, with bit 1 as hard as at power-on."""

    kind = "reset-control"
    STATE = ("value",)

    def __init__(self, name: str, platform: Platform) -> None:
        super().__init__(name, 1)
        self.value = 0
        self._platform = platform

    def read(self, offset: int, size: int) -> int:
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value & 2
        if value & 4:
            self._platform.reset()

    def reset(self) -> None:
        self.value = 0
