"""System calls on sockets: AF_UNIX and AF_INET/AF_INET6, the host's own.

Addresses are the same bytes on every guest but for the family's byte order and the paths of AF_UNIX; messages have
their pointers, and the descriptors they carry, translated.  Options are passed on if they are plain numbers or known
structures, for some others make the kernel read or write memory.
"""

from __future__ import annotations

import errno
import os

from runtime.core.env import PAGE_READ
from runtime.core.memory import GuestFault
from runtime.linux.host import Bytes
from runtime.linux.paths import AT_FDCWD, guest_name, locate
from runtime.linux.structs import Struct
from runtime.linux.syscalls.files import MAX_TRANSFER, host_vector, output_of
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.linux.process import Process, Thread

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
_FAMILIES = (AF_UNIX, AF_INET, AF_INET6)
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 6, 17, 41
_SOCK_NONBLOCK, _SOCK_CLOEXEC = 0o4000, 0o2000000  # the host's
SOL_SOCKET, SCM_RIGHTS, SCM_CREDENTIALS = 1, 1, 2
SO_TYPE = 3
MSG_CTRUNC, MSG_DONTWAIT, MSG_WAITFORONE, MSG_CMSG_CLOEXEC = 8, 0x40, 0x10000, 0x40000000
SO_RCVTIMEO, SO_SNDTIMEO = 20, 21
_LONGEST_ADDRESS = 128  # struct sockaddr_storage
_MOST_CONTROL = 1 << 16
_MOST_MESSAGES = 1024
#: sun_path
_LONGEST_PATH = 108
#: how a relative path is given to the host where the guest's directory is not the emulator's
_BELOW = b"/proc/self/fd/"

#: options by level that are integers or structures without pointers
_OPTIONS: dict[int, frozenset[int]] = {
    SOL_SOCKET: frozenset((*range(1, 19), *range(20, 26), 28, 29, 30, 31, 32, 33, 34, 35, 36, 38, 39, 40, 42, 44, 45,
                           46, 47, 48, 49, 53, 56, 57, 59, 60, 63, 64, 65, 66, 67, 69, 70)),
    IPPROTO_TCP: frozenset((*range(1, 14), *range(15, 19), *range(20, 31), 36, 37)),
    IPPROTO_IP: frozenset((*range(1, 16), 18, 19, 20, 21, 24, *range(32, 38), 49, 50, 51)),
    IPPROTO_IPV6: frozenset((1, 2, 7, 8, *range(16, 30), 49, 50, 51, 52, 53, 56, 58, 60, 61, 62, 66, 67,
                                         70, 72, 73, 74, 75, 76, 78)),
    IPPROTO_UDP: frozenset((1, 100, 101, 102)),
}  # fmt: skip


# ------------------------------------------------------------ addresses


def _read_address(thread: Thread, address: int, size: int) -> Bytes:
    """A sockaddr for the host."""
    process = thread.process
    if not 0 <= size <= _LONGEST_ADDRESS:
        raise fail(errno.EINVAL)
    data = process.memory.read(address, size)
    if size < 2:
        return Bytes(data)
    family = int.from_bytes(data[:2], process.abi.byte_order)
    rest = data[2:]
    if family == AF_UNIX and rest and rest[0]:
        rest = _host_path(process, rest.split(b"\0", 1)[0]) + b"\0"
        if len(rest) > _LONGEST_PATH + 1:
            raise fail(errno.ENAMETOOLONG)
        rest = rest[:_LONGEST_PATH]
    return Bytes(family.to_bytes(2, "little") + rest)


def _host_path(process: Process, path: bytes) -> bytes:
    path, directory = locate(process, AT_FDCWD, path, follow=False)
    return path if directory is None or path.startswith(b"/") else b"/proc/self/fd/%d/%s" % (directory, path)


def _guest_address(process: Process, data: bytes) -> bytes:
    """A sockaddr of the host's for the guest."""
    if len(data) < 2:
        return data
    family = int.from_bytes(data[:2], "little")
    rest = data[2:]
    if family == AF_UNIX and rest and rest[0]:
        path = rest.split(b"\0", 1)[0]
        if path.startswith(_BELOW):
            path = path[len(_BELOW) :].partition(b"/")[2]
        rest = guest_name(process, path) + b"\0"
    return family.to_bytes(2, process.abi.byte_order) + rest


def _room(thread: Thread, address: int, length: int) -> int:
    """The size a guest has for an address, from the integer it passes by reference."""
    if not address:
        return 0
    size = int.from_bytes(thread.memory.read(length, 4), thread.process.abi.byte_order, signed=True)
    if size < 0:
        raise fail(errno.EINVAL)
    return size


def _give_address(thread: Thread, address: int, length: int, room: int, answer: _Name) -> None:
    """What the host said goes to the guest as far as there is room; the length is the whole."""
    if not address:
        return
    process = thread.process
    data = _guest_address(process, answer.data())
    process.memory.write(address, data[:room])
    process.memory.write(length, len(data).to_bytes(4, process.abi.byte_order))


class _Name:
    """Room for an address and its length, for the host to fill in."""

    def __init__(self) -> None:
        self.bytes = Bytes(_LONGEST_ADDRESS)
        self.length = Bytes(_LONGEST_ADDRESS.to_bytes(4, "little"))

    def data(self) -> bytes:
        return self.bytes.raw[: min(int.from_bytes(self.length.raw[:4], "little"), _LONGEST_ADDRESS)]


# ------------------------------------------------------------ making and naming


def _kind(thread: Thread, kind: int) -> tuple[int, bool]:
    """The host's type argument, and whether the descriptor closes on exec."""
    constants = thread.process.abi.constants
    close_on_exec, no_wait = constants["O_CLOEXEC"], constants["O_NONBLOCK"]
    if kind & ~(0xF | close_on_exec | no_wait):
        raise fail(errno.EINVAL)
    form = thread.process.abi.socket_types.get(kind & 0xF, kind & 0xF)
    host = form | _SOCK_CLOEXEC | (_SOCK_NONBLOCK if kind & no_wait else 0)
    return host, bool(kind & close_on_exec)


def _family(family: int) -> int:
    if family not in _FAMILIES:
        raise fail(errno.EAFNOSUPPORT)
    return family


@system_call("int int int")
def socket(thread: Thread, family: int, kind: int, protocol: int) -> int:
    process = thread.process
    host_kind, close_on_exec = _kind(thread, kind)
    return process.descriptors.add(process.host.do("socket", _family(family), host_kind, protocol), close_on_exec)


@system_call("int int int pointer")
def socketpair(thread: Thread, family: int, kind: int, protocol: int, address: int) -> int:
    process = thread.process
    host_kind, close_on_exec = _kind(thread, kind)
    process.memory.writable(address, 8)
    pair = Bytes(8)
    process.host.do("socketpair", _family(family), host_kind, protocol, pair.address)
    hosts = [int.from_bytes(pair.raw[at : at + 4], "little") for at in (0, 4)]
    numbers: list[int] = []
    for index, host in enumerate(hosts):
        try:
            numbers.append(process.descriptors.add(host, close_on_exec))
        except OSError:
            for number in numbers:
                process.descriptors.close(number)
            for other in hosts[index + 1 :]:
                os.close(other)
            raise
    order = process.abi.byte_order
    process.memory.write(address, b"".join(number.to_bytes(4, order) for number in numbers))
    return 0


@system_call("fd pointer int")
def bind(thread: Thread, fd: int, address: int, size: int) -> int:
    process = thread.process
    host, name = process.descriptors.host(fd), _read_address(thread, address, size)
    return process.host.do("bind", host, name.address, name.size)


@system_call("fd int")
def listen(thread: Thread, fd: int, backlog: int) -> int:
    return thread.process.host.do("listen", thread.process.descriptors.host(fd), backlog)


@system_call("fd pointer int")
def connect(thread: Thread, fd: int, address: int, size: int) -> int:
    process = thread.process
    host, name = process.descriptors.host(fd), _read_address(thread, address, size)
    return process.host.wait("connect", host, name.address, name.size)


@system_call("fd pointer pointer flags")
def accept4(thread: Thread, fd: int, address: int, length: int, flags: int) -> int:
    process = thread.process
    host_flags, close_on_exec = _kind(thread, flags)
    if flags & 0xF:
        raise fail(errno.EINVAL)
    room, name = _room(thread, address, length), _Name()
    host = process.host.wait(
        "accept4", process.descriptors.host(fd), name.bytes.address, name.length.address, host_flags
    )
    number = process.descriptors.add(host, close_on_exec)
    _give_address(thread, address, length, room, name)
    return number


@system_call("fd pointer pointer")
def accept(thread: Thread, fd: int, address: int, length: int) -> int:
    return accept4(thread, fd, address, length, 0)


def _name(thread: Thread, call: str, fd: int, address: int, length: int) -> int:
    process = thread.process
    room, name = _room(thread, address, length), _Name()
    process.host.do(call, process.descriptors.host(fd), name.bytes.address, name.length.address)
    _give_address(thread, address, length, room, name)
    return 0


@system_call("fd pointer pointer")
def getsockname(thread: Thread, fd: int, address: int, length: int) -> int:
    return _name(thread, "getsockname", fd, address, length)


@system_call("fd pointer pointer")
def getpeername(thread: Thread, fd: int, address: int, length: int) -> int:
    return _name(thread, "getpeername", fd, address, length)


@system_call("fd int")
def shutdown(thread: Thread, fd: int, how: int) -> int:
    return thread.process.host.do("shutdown", thread.process.descriptors.host(fd), how)


# ------------------------------------------------------------ sending and receiving


@system_call("fd input size flags pointer int")
def sendto(thread: Thread, fd: int, address: int, count: int, flags: int, target: int, size: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    count = min(count, MAX_TRANSFER)
    if (bad := thread.memory.check(address, count, PAGE_READ)) is not None:
        raise GuestFault(bad, 0)  # a message goes as a whole
    name = _read_address(thread, target, size) if target else None
    return process.host.wait(
        "sendto",
        host,
        process.memory.base + address,
        count,
        flags & 0xFFFFFFFF,
        0 if name is None else name.address,
        0 if name is None else name.size,
    )


@system_call("fd output size flags pointer pointer")
def recvfrom(thread: Thread, fd: int, address: int, count: int, flags: int, source: int, length: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    count = len(output_of(thread, address, count)) if count else 0
    room, name = _room(thread, source, length), _Name()
    got = process.host.wait(
        "recvfrom",
        host,
        process.memory.base + address,
        count,
        flags & 0xFFFFFFFF,
        name.bytes.address if source else 0,
        name.length.address if source else 0,
    )
    _give_address(thread, source, length, room, name)
    return got


_HOST_MESSAGE = Struct("name:ptr namelen:s32 iov:ptr iovlen:ulong control:ptr controllen:ulong flags:u32", 8, False)
_HOST_CONTROL = Struct("len:ulong level:s32 type:s32", 8, False)


class _Message:
    """A guest's msghdr and what the host is given for it."""

    def __init__(self, thread: Thread, address: int, receive: bool) -> None:
        abi, memory = thread.process.abi, thread.memory
        self.address = address
        self.layout = abi.struct("msghdr")
        self.fields = fields = self.layout.unpack(memory.read(address, self.layout.size))
        if fields["iovlen"] > 1024:
            raise fail(errno.EMSGSIZE)
        self.vector, parts = host_vector(thread, fields["iov"], fields["iovlen"], receive)
        self.name: Bytes | None = None
        self.control: Bytes | None = None
        host = {"iov": self.vector.address, "iovlen": parts}
        if fields["name"]:
            if fields["namelen"] < 0:
                raise fail(errno.EINVAL)
            size = _LONGEST_ADDRESS if receive else fields["namelen"]
            self.name = Bytes(size) if receive else _read_address(thread, fields["name"], size)
            host |= {"name": self.name.address, "namelen": self.name.size}
        if fields["control"] and fields["controllen"]:
            if fields["controllen"] > _MOST_CONTROL:
                raise fail(errno.ENOBUFS)
            self.control = Bytes(2 * fields["controllen"]) if receive else Bytes(_control_to_host(thread, fields))
            host |= {"control": self.control.address, "controllen": self.control.size}
        self.header = Bytes(_HOST_MESSAGE.pack(host))

    def give_back(self, thread: Thread, close_on_exec: bool) -> None:
        """Name, control messages and flags of a message received."""
        abi, memory = thread.process.abi, thread.memory
        answer = _HOST_MESSAGE.unpack(self.header.raw[: _HOST_MESSAGE.size])
        flags, namelen, controllen = answer["flags"], 0, 0
        if self.name is not None:
            name = _guest_address(thread.process, self.name.raw[: answer["namelen"]])
            memory.write(self.fields["name"], name[: self.fields["namelen"]])
            namelen = len(name)
        if self.control is not None:
            control, cut = _control_to_guest(
                thread, self.control.raw[: answer["controllen"]], self.fields["controllen"], close_on_exec
            )
            memory.write(self.fields["control"], control)
            controllen = len(control)
            flags |= MSG_CTRUNC if cut else 0
        fields = {**self.fields, "controllen": controllen, "flags": flags & ~MSG_CMSG_CLOEXEC}
        if self.fields["name"]:
            fields["namelen"] = namelen
        memory.write(self.address, abi.struct("msghdr").pack(fields))


def _control_to_host(thread: Thread, fields: dict[str, int]) -> bytes:
    """Control messages to send: descriptors by the host's numbers."""
    process = thread.process
    layout, order = process.abi.struct("cmsghdr"), process.abi.byte_order
    data = process.memory.read(fields["control"], fields["controllen"])
    parts = []
    at = 0
    while at + layout.size <= len(data):
        head = layout.unpack(data[at : at + layout.size])
        if not layout.size <= head["len"] <= len(data) - at:
            raise fail(errno.EINVAL)
        content = data[at + layout.size : at + head["len"]]
        if head["level"] == process.abi.socket_level:
            head["level"] = SOL_SOCKET
        kind = head["level"], head["type"]
        if kind not in ((SOL_SOCKET, SCM_RIGHTS), (SOL_SOCKET, SCM_CREDENTIALS)):
            raise fail(errno.EINVAL)
        words = [int.from_bytes(content[index : index + 4], order, signed=True) for index in range(0, len(content), 4)]
        if kind == (SOL_SOCKET, SCM_RIGHTS):
            words = [process.descriptors.host(number) for number in words]
        content = b"".join(word.to_bytes(4, "little", signed=True) for word in words)
        parts.append(_HOST_CONTROL.pack({**head, "len": _HOST_CONTROL.size + len(content)}) + content)
        parts.append(bytes(-len(content) % 8))
        at += -(-head["len"] // process.abi.long_bytes) * process.abi.long_bytes
    return b"".join(parts)


def _control_to_guest(thread: Thread, data: bytes, room: int, close_on_exec: bool) -> tuple[bytes, bool]:
    """Control messages received, and whether some did not fit; descriptors get numbers of the guest's."""
    process = thread.process
    layout, order, align = process.abi.struct("cmsghdr"), process.abi.byte_order, process.abi.long_bytes
    found = bytearray()
    cut = False
    at = 0
    while at + _HOST_CONTROL.size <= len(data):
        head = _HOST_CONTROL.unpack(data[at : at + _HOST_CONTROL.size])
        if head["len"] < _HOST_CONTROL.size:
            break
        content = data[at + _HOST_CONTROL.size : at + head["len"]]
        at += -(-head["len"] // 8) * 8
        left = room - len(found) - layout.size
        if (head["level"], head["type"]) == (SOL_SOCKET, SCM_RIGHTS):
            hosts = [int.from_bytes(content[index : index + 4], "little") for index in range(0, len(content), 4)]
            content = b""
            for host in hosts:
                if len(content) + 4 > left:
                    os.close(host)
                    cut = True
                    continue
                try:
                    content += process.descriptors.add(host, close_on_exec).to_bytes(4, order)
                except OSError:
                    cut = True
            if not content:
                continue
        elif order == "big" and (head["level"], head["type"]) == (SOL_SOCKET, SCM_CREDENTIALS):
            content = b"".join(content[index : index + 4][::-1] for index in range(0, len(content), 4))
        if left < len(content):
            cut = True
            break
        if head["level"] == SOL_SOCKET:
            head["level"] = process.abi.socket_level
        found += layout.pack({**head, "len": layout.size + len(content)}) + content
        if len(found) < room:
            found += bytes(min(-len(found) % align, room - len(found)))
    return bytes(found), cut


@system_call("fd pointer flags")
def sendmsg(thread: Thread, fd: int, address: int, flags: int) -> int:
    process = thread.process
    host, message = process.descriptors.host(fd), _Message(thread, address, False)
    return process.host.wait("sendmsg", host, message.header.address, flags & 0xFFFFFFFF)


@system_call("fd pointer flags")
def recvmsg(thread: Thread, fd: int, address: int, flags: int) -> int:
    process = thread.process
    host, message = process.descriptors.host(fd), _Message(thread, address, True)
    got = process.host.wait("recvmsg", host, message.header.address, flags & 0xFFFFFFFF | MSG_CMSG_CLOEXEC)
    message.give_back(thread, bool(flags & MSG_CMSG_CLOEXEC))
    return got


@system_call("fd pointer unsigned flags")
def sendmmsg(thread: Thread, fd: int, address: int, count: int, flags: int) -> int:
    return _several(thread, address, count, lambda at: sendmsg(thread, fd, at, flags))


@system_call("fd pointer unsigned flags pointer", "recvmmsg", "recvmmsg_time64")
def recvmmsg(thread: Thread, fd: int, address: int, count: int, flags: int, timeout: int) -> int:
    """Without the timeout, which Linux looks at only between messages."""
    first = flags & ~MSG_WAITFORONE
    after = first | (MSG_DONTWAIT if flags & MSG_WAITFORONE else 0)
    return _several(thread, address, count, lambda at: recvmsg(thread, fd, at, first if at == address else after))


def _several(thread: Thread, address: int, count: int, one: Callable[[int], int]) -> int:
    """An array of msghdr, each with the length that was sent or received; an error counts if it is the first's."""
    abi = thread.process.abi
    size = abi.struct("msghdr").size
    done = 0
    for index in range(min(count, _MOST_MESSAGES)):
        at = address + index * (-(-(size + 4) // abi.long_bytes) * abi.long_bytes)
        try:
            length = one(at)
        except OSError:
            if done:
                break
            raise
        thread.memory.write(at + size, length.to_bytes(4, abi.byte_order))
        done += 1
    return done


# ------------------------------------------------------------ options


def _option(thread: Thread, level: int, option: int) -> tuple[int, int]:
    """The host's numbers of an option; ENOPROTOOPT for one that is not known."""
    abi = thread.process.abi
    if level == abi.socket_level:
        level, option = SOL_SOCKET, abi.socket_options.get(option, option)
    elif level == SOL_SOCKET:
        raise fail(errno.ENOPROTOOPT)
    if option not in _OPTIONS.get(level, ()):
        raise fail(errno.ENOPROTOOPT)
    return level, option


def _swap(thread: Thread, data: bytes) -> bytes:
    """Options are integers of 4 bytes, or structures of them."""
    if not thread.process.abi.big_endian or len(data) % 4:
        return data
    return b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))


@system_call("fd int int pointer int")
def setsockopt(thread: Thread, fd: int, level: int, option: int, address: int, size: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    level, option = _option(thread, level, option)
    if not 0 <= size <= 4096:
        raise fail(errno.EINVAL)
    data = process.memory.read(address, size)
    if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO):
        layout = process.abi.struct("timeval")
        if size < layout.size:
            raise fail(errno.EINVAL)
        data = process.abi.host_struct("timeval").pack(layout.unpack(data[: layout.size]))
    else:
        data = _swap(thread, data)
    value = Bytes(data)
    return process.host.do("setsockopt", host, level, option, value.address, len(data))


@system_call("fd int int pointer pointer")
def getsockopt(thread: Thread, fd: int, level: int, option: int, address: int, length: int) -> int:
    process = thread.process
    order = process.abi.byte_order
    host = process.descriptors.host(fd)
    level, option = _option(thread, level, option)
    room = int.from_bytes(process.memory.read(length, 4), order, signed=True)
    if room < 0:
        raise fail(errno.EINVAL)
    timeval = level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO)
    value = Bytes(4096)
    size = Bytes((16 if timeval else min(room, 4096)).to_bytes(4, "little"))
    process.host.do("getsockopt", host, level, option, value.address, size.address)
    data = value.raw[: int.from_bytes(size.raw[:4], "little")]
    if (level, option) == (SOL_SOCKET, SO_TYPE):
        forms = {host: guest for guest, host in process.abi.socket_types.items()}
        data = bytes((forms.get(data[0], data[0]),)) + data[1:]
    if timeval:
        data = process.abi.struct("timeval").pack(process.abi.host_struct("timeval").unpack(data))[:room]
    else:
        data = _swap(thread, data)
    process.memory.write(address, data)
    process.memory.write(length, len(data).to_bytes(4, order))
    return 0
