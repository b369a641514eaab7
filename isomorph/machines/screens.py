"""`-vnc` and `-display`: who is shown a machine's screen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from isomorph.machines.options import MachineOptions, UsageError, settings
from runtime.hw.seat import Seat
from runtime.hw.vnc import FIRST_PORT, FIRST_WEB_PORT
from runtime.machine.machine import Machine, MachineError

if TYPE_CHECKING:
    from runtime.hw.vnc.server import VncServer

_MOST = 0xFFFF - FIRST_PORT


#: seconds between two looks at memory that tells of no changes
_PERIOD = 0.04


class Watcher:
    """A thread that has the main thread look at a screen now and then."""

    def __init__(self, machine: Machine, look: Callable[[], None]) -> None:
        self._machine, self._look = machine, look
        self._end = Event()
        self._asked = False
        self._thread = Thread(target=self._main, name="screen", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        while not self._end.wait(_PERIOD):
            if not self._asked:  # else the main thread has not come to it yet
                self._asked = True
                self._machine.events.call(self._now)

    def _now(self) -> None:
        self._asked = False
        self._look()

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()


def no_screen(machine: Machine) -> str:
    """What to say of a machine without one, with the mend."""
    card = "virtio-gpu-device" if machine.ports is None else "VGA"
    return f"the machine has no screen; -device {card} adds one"


def vnc_places(options: MachineOptions) -> list[str]:
    """What -vnc and -display vnc= say; UsageError for other displays."""
    places = list(options.vncs)
    kind, equals, rest = options.display.partition("=")
    if kind == "vnc" and equals:
        places.append(rest)
    elif options.display not in ("", "none"):
        raise UsageError(f"-display {options.display}: there are none, and vnc=HOST:N")
    return [place for place in places if place != "none"]


def vnc_server(text: str, machine: Machine, seat: Seat) -> tuple[VncServer, Watcher | None]:
    """-vnc HOST:N[,to=L][,websocket=on|PORT] or -vnc unix:PATH.

    And who looks at the screen, if it does not tell of changes itself.
    """
    from runtime.hw.vnc.server import VncServer  # a tenth of what a start without it imports

    given = settings("-vnc", text, "place")
    where, number = _number(text, given.kind)
    last = given.take_number("to", number)
    given.take("share")
    web = _web_port(text, given.take("websocket"), number)
    given.done("to", "websocket")
    if not seat.displays:
        raise MachineError(f"-vnc {text}: {no_screen(machine)}")
    place = where if number < 0 else (where, FIRST_PORT + number, FIRST_PORT + min(max(last, number), _MOST))
    browsers = None if web is None else (where if number >= 0 else "127.0.0.1", web)
    server = VncServer(machine.events, seat.displays[0], seat, place, browsers)
    print(f"isomorph: VNC viewers connect to {server.where}", file=sys.stderr)
    poll = seat.displays[0].poll
    return server, Watcher(machine, poll) if poll is not None else None


def _web_port(text: str, wanted: str, number: int) -> int | None:
    """websocket=: the port for browsers, if there is to be one."""
    if wanted in ("", "off"):
        return None
    if wanted == "on" and number >= 0:
        return FIRST_WEB_PORT + number
    if not wanted.isdecimal() or not 0 < int(wanted) < 1 << 16:
        raise UsageError(f"-vnc {text}: websocket is on, with a display's number, or a port")
    return int(wanted)


def _number(text: str, place: str) -> tuple[str, int]:
    """The host and the display's number; -1 with the path of a socket."""
    kind, _, path = place.partition(":")
    if kind == "unix" and path:
        return path, -1
    host, colon, number = place.rpartition(":")
    if not colon or not number.isdecimal() or int(number) > _MOST:
        raise UsageError(f"-vnc {text}: it is HOST:N, whose TCP port is {FIRST_PORT} + N, or unix:PATH")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(number)
