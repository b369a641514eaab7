"""Doorbells: stores that only say that there is work are counted by the accelerator, and answered in the main loop.

Under KVM a driver's word to its device then costs no exit (ioeventfd): its processor goes on while the device works.
"""

from __future__ import annotations

import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.accelerator import Vm
    from runtime.hw.bus import AddressSpace
    from runtime.hw.device import Device, Doorbell
    from runtime.hw.events import EventLoop

    Place = tuple[int, Doorbell, Device]


class Doorbells:
    """Those of a space, each an eventfd while it is seen there; an accelerator that watches none costs nothing."""

    def __init__(self, vm: Vm, space: AddressSpace, events: EventLoop) -> None:
        self._vm = vm
        self._space = space
        self._events = events
        self._bells: dict[Place, int] = {}
        self._refused = False
        space.on_change(self._follow)
        self._follow()

    def _follow(self) -> None:
        """A device was shown, moved or hidden; by whichever thread, with the machine's lock."""
        if self._refused:
            return
        wanted = list(self._space.doorbells())
        for place in self._bells.keys() - set(wanted):
            self._remove(place)
        for place in wanted:
            if place not in self._bells and not self._add(place):
                self._refused = not self._bells
                return

    def _add(self, place: Place) -> bool:
        address, bell, _ = place
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        if not self._vm.watch_store(address, bell.size, bell.value, event):
            os.close(event)
            return False
        self._bells[place] = event
        self._events.on_readable(event, lambda: self._answer(place))
        return True

    def _remove(self, place: Place) -> None:
        """What was rung and not answered was rung at a device that is no longer there."""
        address, bell, _ = place
        event = self._bells.pop(place)
        self._vm.watch_store(address, bell.size, bell.value, event, on=False)
        self._events.forget(event)
        os.close(event)

    def _answer(self, place: Place) -> None:
        event = self._bells.get(place)
        if event is None:
            return
        with suppress(BlockingIOError):  # it was answered meanwhile
            os.eventfd_read(event)
            _, bell, device = place
            device.write(bell.offset, bell.size, bell.value or 0)

    def answer(self) -> None:
        """Answer all that were rung: the processors stand still, and nothing is to be under way."""
        for place in list(self._bells):
            self._answer(place)

    def close(self) -> None:
        """Watch no more."""
        self._refused = True
        for place in list(self._bells):
            self._remove(place)
