"""Files and sockets that commands make: what stands in their place is not harmed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from runtime.core.local_socket import local_server
from runtime.core.whole_file import whole_file


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "file"
    with whole_file(place) as file:
        file.write(b"first")
        assert not place.exists()

    def interrupted() -> None:
        with whole_file(place) as file:
            file.write(b"second")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert place.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "none" / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "none" / "file")
    with pytest.raises(IsADirectoryError) as refused, whole_file(tmp_path):
        pass
    assert refused.value.filename == str(tmp_path)


def test_devices_and_links_stay(tmp_path: Path) -> None:
    """`-o /dev/null`, by root, must not put a file there."""
    pipe, link, place = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as file:
            file.write(b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)
    link.symlink_to(place)
    with whole_file(link) as file:
        file.write(b"behind")
    assert link.is_symlink()
    assert place.read_bytes() == b"behind"


def test_a_socket_takes_the_place_of_a_dead_one_only(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    place.write_bytes(b"a file of the user's")
    with pytest.raises(OSError, match="in use"):
        local_server(str(place))
    assert place.read_bytes() == b"a file of the user's"
    place.unlink()
    first = local_server(str(place))
    assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0
    with pytest.raises(OSError, match="in use"):
        local_server(str(place))
    first.accept()[0].close()  # what asked whether anybody is there
    first.close()  # and leaves its file behind
    with local_server(str(place)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
