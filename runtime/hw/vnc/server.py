"""Where viewers of a screen come in: a TCP port of the host's loopback unless told otherwise, or a socket."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from runtime.core.local_socket import local_server
from runtime.hw.device import DeviceError
from runtime.hw.vnc import FIRST_PORT
from runtime.hw.vnc.connection import Plain, WebSocket
from runtime.hw.vnc.viewer import Viewer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.display import Display
    from runtime.hw.events import EventLoop
    from runtime.hw.seat import Seat

_MOST_VIEWERS = 16


class VncServer:
    """Shows one display to any number of viewers; there is no password, so what is not loopback is for trusted nets.

    place   (host, first port, last port): the first one that is free; or the path of a socket
    where   what viewers connect to
    web     (host, port) for viewers in browsers, by WebSocket
    """

    def __init__(
        self,
        events: EventLoop,
        display: Display,
        seat: Seat,
        place: tuple[str, int, int] | str,
        web: tuple[str, int] | None = None,
    ) -> None:
        self._events = events
        self._display = display
        self._seat = seat
        self._path = place if isinstance(place, str) else ""
        self.viewers: list[Viewer] = []
        self._asked = False
        self._web: socket.socket | None = None
        self._listener, self.where = _listen(place)
        self._listener.setblocking(False)
        events.on_readable(self._listener.fileno(), lambda: self._come(self._listener, Plain))
        if web is not None:
            try:
                self._web, where = _listen((*web, web[1]))
            except DeviceError as error:
                self.close()
                raise DeviceError(f"{error} (websocket=)") from None
            self.where += f", browsers to {where}"
            listener = self._web
            listener.setblocking(False)
            events.on_readable(listener.fileno(), lambda: self._come(listener, WebSocket))
        display.on_change.append(self._changed)

    def _come(self, listener: socket.socket, make: type[Plain | WebSocket]) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if len(self.viewers) >= _MOST_VIEWERS:
            connection.close()
            return
        if connection.family != socket.AF_UNIX:
            with suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        viewer = Viewer(make(connection), self._events, self._display, self._seat, self._alone, self._gone)
        if not viewer.closed:
            self.viewers.append(viewer)

    def _alone(self, wanted: Viewer) -> None:
        for viewer in list(self.viewers):
            if viewer is not wanted:
                viewer.close()

    def _gone(self, viewer: Viewer) -> None:
        if viewer in self.viewers:
            self.viewers.remove(viewer)

    def _changed(self, x: int, y: int, width: int, height: int) -> None:
        """On the thread of whoever changes the picture: it is sent by the main thread, once for many changes."""
        for viewer in self.viewers:
            viewer.note(x, y, width, height)
        if self.viewers and not self._asked:
            self._asked = True
            self._events.call(self._refresh)

    def _refresh(self) -> None:
        self._asked = False
        for viewer in list(self.viewers):
            viewer.refresh()

    def describe(self) -> str:
        """For `info vnc`."""
        return f"server at {self.where}, shows {self._display.name}; viewers: {len(self.viewers)}"

    def close(self) -> None:
        """Hang up, and listen no more."""
        for viewer in list(self.viewers):
            viewer.close()
        for listener in (self._listener, self._web):
            if listener is not None:
                self._events.forget(listener.fileno())
                listener.close()
        if self._path:
            with suppress(OSError):
                os.unlink(self._path)


def _listen(place: tuple[str, int, int] | str) -> tuple[socket.socket, str]:
    if isinstance(place, str):
        try:
            return local_server(place, _MOST_VIEWERS), place
        except OSError as error:
            raise DeviceError(f"-vnc unix:{place}: {error.strerror or error}") from error
    host, first, last = place
    reason = ""
    for port in range(first, last + 1):
        try:
            listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except (OSError, OverflowError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            continue
        return listener, f"{host}:{listener.getsockname()[1]}"
    raise DeviceError(f"-vnc {host}:{first - FIRST_PORT}: cannot listen at port {last}: {reason}")
