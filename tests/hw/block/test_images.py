"""Images: random operations against a bytearray, judged by qemu-img; killed writers; damaged and hostile files."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.hw.block.backend import BlockError, ImageError
from runtime.hw.block.images import open_image
from runtime.hw.block.overlay import Overlay
from runtime.hw.block.qcow2 import Qcow2Image
from runtime.hw.block.qcow2_create import create_qcow2
from runtime.hw.device import DeviceError
from tests.conftest import ROOT
from tests.tools import tool

SIZE = 4 << 20


def qemu_img(*words: object, wrong: bool = False) -> str:
    done = subprocess.run(
        [tool("qemu-img", "qemu-utils"), *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert wrong or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def exercise(image: object, model: bytearray, seed: int, steps: int) -> None:
    """Random operations on both; what is read must be the model's."""
    chance = random.Random(seed)
    size = len(model)
    for _ in range(steps):
        offset = chance.randrange(size // 512) * 512
        length = min(size - offset, chance.choice((512, 4096, 65536, 100 * 512, 1 << 20)))
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                data = chance.randbytes(length)
                image.write(offset, data)
                model[offset : offset + length] = data
            case 4:
                assert image.read(offset, length) == model[offset : offset + length]
            case 5:
                image.write_zeroes(offset, length, unmap=chance.random() < 0.5)
                model[offset : offset + length] = bytes(length)
            case 6:
                image.discard(offset, length)
                model[offset : offset + length] = image.read(offset, length)
            case 7:
                image.flush()
    assert image.read(0, size) == model


KINDS = {
    "version 2": ["-o", "compat=0.10"],
    "version 3": [],
    "smallest clusters": ["-o", "cluster_size=512"],
    "counts of one bit": ["-o", "cluster_size=512,refcount_bits=1"],
    "counts of 64 bits": ["-o", "cluster_size=4k,refcount_bits=64"],
    "largest clusters": ["-o", "cluster_size=2M"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backed", [False, True])
def test_qcow2_is_what_qemu_makes_of_it(kind: str, backed: bool, tmp_path: Path) -> None:
    """After random operations qemu-img finds no error, and the same bytes; with and without a backing file."""
    path, model = tmp_path / "disk.qcow2", bytearray(SIZE)
    behind: list[object] = []
    if backed:
        below = random.Random(1).randbytes(SIZE // 2)  # shorter than what lies on it
        (tmp_path / "below.raw").write_bytes(below)
        model[: len(below)] = below
        behind = ["-b", "below.raw", "-F", "raw"]
    qemu_img("create", "-q", "-f", "qcow2", *KINDS[kind], *behind, path, SIZE)
    image = open_image(str(path))
    exercise(image, model, 7, 150)
    image.close()
    assert "No errors" in qemu_img("check", path)
    (tmp_path / "model.raw").write_bytes(model)
    qemu_img("compare", "-f", "raw", "-F", "qcow2", tmp_path / "model.raw", path)
    again = open_image(str(path))
    assert again.read(0, SIZE) == model
    exercise(again, model, 8, 50)
    again.close()
    assert "No errors" in qemu_img("check", path)


def test_compressed_clusters_and_snapshots(tmp_path: Path) -> None:
    """Compressed clusters are read and overwritten; a snapshot's clusters are left alone, and it is listed."""
    data = bytearray(random.Random(3).randbytes(1024) * (SIZE // 1024))
    (tmp_path / "data.raw").write_bytes(data)
    path = tmp_path / "disk.qcow2"
    qemu_img("convert", "-c", "-O", "qcow2", tmp_path / "data.raw", path)
    assert path.stat().st_size < SIZE // 4
    qemu_img("snapshot", "-c", "before", path)
    image = open_image(str(path))
    assert isinstance(image, Qcow2Image)
    assert [snapshot.name for snapshot in image.snapshots()] == ["before"]
    assert image.describe()["snapshots"] == ["before"]
    model = bytearray(data)
    exercise(image, model, 9, 100)
    image.close()
    assert "No errors" in qemu_img("check", path)
    (tmp_path / "model.raw").write_bytes(model)
    qemu_img("compare", tmp_path / "model.raw", path)
    qemu_img("snapshot", "-a", "before", path)
    qemu_img("compare", tmp_path / "data.raw", path)


def test_an_image_of_our_own_making(tmp_path: Path) -> None:
    """`create_qcow2`: sound to qemu-img, with a backing file and without, small clusters and large disks."""
    for number, (size, bits) in enumerate(((SIZE, 16), (1 << 30, 9), (1 << 44, 16), (SIZE, 21), (0, 12))):
        path = tmp_path / f"{number}.qcow2"
        create_qcow2(str(path), size, cluster_bits=bits)
        assert "No errors" in qemu_img("check", path)
        image = open_image(str(path))
        assert image.size == size
        if size:
            image.write(size - 512, b"e" * 512)
        image.close()
        assert "No errors" in qemu_img("check", path)
    (tmp_path / "below").write_bytes(b"b" * 1024)
    create_qcow2(str(tmp_path / "top"), 1024, backing_file="below", backing_format="raw")
    image = open_image(str(tmp_path / "top"))
    assert image.read(0, 1024) == b"b" * 1024
    assert "backing" in image.describe()
    image.close()
    assert "No errors" in qemu_img("check", tmp_path / "top")


def test_raw_and_the_overlay(tmp_path: Path) -> None:
    """Raw images, and -snapshot over both kinds: the file below stays as it was until `commit`."""
    path = tmp_path / "disk.raw"
    model = bytearray(random.Random(2).randbytes(SIZE))
    path.write_bytes(model)
    image = open_image(str(path), format="raw")
    exercise(image, model, 4, 150)
    image.close()
    assert path.read_bytes() == model
    overlay = open_image(str(path), snapshot=True)
    assert isinstance(overlay, Overlay)
    above = bytearray(model)
    exercise(overlay, above, 5, 150)
    other = Overlay(open_image(str(path), format="raw", read_only=True))
    other.load(overlay.save())
    assert other.read(0, SIZE) == above
    for state in ({1: b"x"}, {SIZE: b"x"}):
        with pytest.raises(DeviceError, match="another disk"):
            other.load(state)
    overlay.close()
    with pytest.raises(DeviceError, match="saved with -snapshot"):
        other.below.load({0: b"x"})
    other.close()
    assert path.read_bytes() == model
    overlay = Overlay(open_image(str(path), format="raw"))
    above = bytearray(model)
    exercise(overlay, above, 6, 50)
    overlay.commit()
    overlay.close()
    assert path.read_bytes() == above


def test_a_raw_image_of_odd_size_and_one_that_would_become_qcow2(tmp_path: Path) -> None:
    """The last sector is filled up with zeros; a guest cannot choose the format of the next start."""
    path = tmp_path / "odd"
    path.write_bytes(b"x" * 700)
    image = open_image(str(path))
    assert (image.size, image.read(512, 512)) == (1024, b"x" * 188 + bytes(324))
    with pytest.raises(BlockError, match="may not turn it into qcow2"):
        image.write(0, b"QFI\xfb" + bytes(508))
    image.close()
    image = open_image(str(path), format="raw")
    image.write(0, b"QFI\xfb" + bytes(508))
    image.close()


WRITER = """
import random, sys
from runtime.hw.block.images import open_image
image, chance = open_image(sys.argv[1]), random.Random(int(sys.argv[2]))
number = 0
while True:
    for _ in range(chance.randrange(1, 6)):
        place, number = chance.randrange(64), number + 1
        image.write(place * 40960, number.to_bytes(4, "little") * 10240)
        print("wrote", place, number, flush=True)
    if chance.random() < 0.3:
        image.discard(chance.randrange(64) * 40960 + 64 * 40960, 1 << 16)
    image.flush()
    print("flushed", flush=True)
"""


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_what_was_flushed_survives_a_kill(seed: int, tmp_path: Path) -> None:
    """SIGKILL at some moment: every flushed write is there, or a later one; qemu-img finds leaks at most."""
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, 8 << 20)
    written: dict[int, int] = {}
    sure: dict[int, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            words = line.split()
            if words[0] == "flushed":
                sure |= written
            elif len(words) == 3:
                written[int(words[1])] = int(words[2])
            if count == 60 + 37 * seed:
                os.kill(process.pid, signal.SIGKILL)
    assert len(sure) > 20
    checked = subprocess.run(
        [tool("qemu-img", "qemu-utils"), "check", str(path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode in (0, 3), checked.stdout + checked.stderr  # 3: leaks only
    image = open_image(str(path), read_only=True)
    for place, least in sure.items():
        found = struct.unpack("<10240I", image.read(place * 40960, 40960))
        assert min(found) >= least, f"block {place}: {min(found)}, where {least} was flushed"
    image.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """Locks as QEMU's: neither it nor a second one of us may open what somebody writes; two readers may."""
    path = tmp_path / "disk.qcow2"
    create_qcow2(str(path), SIZE)
    image = open_image(str(path))
    with pytest.raises(ImageError, match="another process is using this image"):
        open_image(str(path))
    assert "lock" in qemu_img("info", path, wrong=True)
    image.close()
    readers = [open_image(str(path), read_only=True) for _ in range(2)]
    with pytest.raises(ImageError, match="another process"):
        open_image(str(path))
    for reader in readers:
        reader.close()


def damaged(path: Path, changes: dict[int, bytes]) -> Path:
    create_qcow2(str(path), SIZE)
    raw = bytearray(path.read_bytes())
    for place, data in changes.items():
        raw[place : place + len(data)] = data
    path.write_bytes(raw)
    return path


BAD_HEADERS = {
    "its version is 9": {4: struct.pack(">I", 9)},
    "clusters of 2": {20: struct.pack(">I", 40)},
    "it is encrypted": {32: struct.pack(">I", 1)},
    "a disk of": {24: struct.pack(">Q", 1 << 63)},
    "a first-level table of 0 entries": {36: struct.pack(">I", 0)},
    "a first-level table of 4294967295": {36: struct.pack(">I", 0xFFFFFFFF)},
    "its first-level table is at": {40: struct.pack(">Q", 0x123)},
    "its first-level table is at 0x7000000000000000": {40: struct.pack(">Q", 7 << 60)},
    "its table of reference counts is at": {48: struct.pack(">Q", 7 << 60)},
    "a table of reference counts of": {56: struct.pack(">I", 0)},
    "snapshots at": {60: struct.pack(">IQ", 5, 7)},
    "not known here": {72: struct.pack(">Q", 1 << 40)},
    "it is marked as corrupt": {72: struct.pack(">Q", 2)},
    "it was not closed": {72: struct.pack(">Q", 1)},
    "its data is in another file": {72: struct.pack(">Q", 4)},
    "it has subclusters": {72: struct.pack(">Q", 16)},
    "reference counts of 2": {96: struct.pack(">I", 7)},
    "a header of": {100: struct.pack(">I", 1)},
    "its tables are counted as free": {0x20000: bytes(2)},
    "the table of reference counts is damaged": {0x10000: struct.pack(">Q", 0x123)},
    "backing file is out of place": {8: struct.pack(">QI", 0xFFF0, 500)},
}


@pytest.mark.parametrize("complaint", BAD_HEADERS)
def test_a_bad_image_is_one_clear_error(complaint: str, tmp_path: Path) -> None:
    """The message names the file and what is wrong."""
    path = damaged(tmp_path / "bad.qcow2", BAD_HEADERS[complaint])
    with pytest.raises(ImageError) as caught:
        open_image(str(path))
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    """No such file, a directory, another format than said, backing files that are missing, remote or itself."""
    with pytest.raises(ImageError, match="No such file"):
        open_image(str(tmp_path / "none"))
    with pytest.raises(ImageError, match=r"directory|neither"):
        open_image(str(tmp_path))
    (tmp_path / "raw").write_bytes(bytes(1024))
    with pytest.raises(ImageError, match="not a qcow2 image"):
        open_image(str(tmp_path / "raw"), format="qcow2")
    with pytest.raises(ImageError, match="no image format vmdk"):
        open_image(str(tmp_path / "raw"), format="vmdk")
    for name, complaint in (("none", "No such file"), ("nbd://host/disk", "only files"), ("loop", "own backing file")):
        path = tmp_path / ("loop" if name == "loop" else "top")
        path.unlink(missing_ok=True)
        create_qcow2(str(path), SIZE, backing_file=name, backing_format="qcow2")
        with pytest.raises(ImageError, match=complaint):
            open_image(str(path))


def test_read_only_and_damage_found_later(tmp_path: Path) -> None:
    """A damaged table is an I/O error when it is met, for reading and for writing."""
    path = tmp_path / "disk"
    create_qcow2(str(path), SIZE)
    image = open_image(str(path))
    image.write(0, b"a" * 65536)
    image.close()
    sound = path.read_bytes()
    l1 = struct.unpack_from(">Q", sound, 40)[0]
    l2 = struct.unpack_from(">Q", sound, l1)[0] & 0x00FFFFFFFFFFFE00
    for place, entry in ((l1, 0x80000000_00000200), (l2, 0x80000000_00000200), (l2, 1 << 62 | 0x300)):
        raw = bytearray(sound)
        struct.pack_into(">Q", raw, place, entry)
        path.write_bytes(raw)
        image = open_image(str(path), read_only=True)
        with pytest.raises(BlockError):
            image.read(0, 512)
        image.close()
    raw = bytearray(sound)
    struct.pack_into(">Q", raw, l2, 1 << 63)  # its data are where the header is
    struct.pack_into(">Q", raw, l2, 1 << 63 | l2)
    path.write_bytes(raw)
    image = open_image(str(path))
    with pytest.raises(BlockError, match="its data are where its tables are"):
        image.write(0, bytes(512))
    image.close()


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 0x70), st.integers(0x10000, 0x10010), st.integers(0x20000, 0x50000)),
            st.one_of(
                st.binary(min_size=1, max_size=16), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x80" + bytes(7)])
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_random_damage_is_an_error_or_none(changes: list[tuple[int, bytes]]) -> None:
    """Whatever bytes are changed: ImageError, BlockError, or it works; never anything else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        create_qcow2(str(path), 1 << 20)
        image = open_image(str(path))
        image.write(4096, b"x" * 100000)
        image.close()
        raw = bytearray(path.read_bytes())
        for place, data in changes:
            raw[place : place + len(data)] = data
        path.write_bytes(raw)
        for read_only in (True, False):
            try:
                image = open_image(str(path), read_only=read_only, format="qcow2")
            except ImageError:
                continue
            size, data = min(image.size, 1 << 20), b"" if read_only else bytes(min(image.size, 70000))
            for work in (
                lambda image=image, size=size: image.read(0, size),
                lambda image=image, data=data: image.write(0, data),
                lambda image=image: image.describe(),
                lambda image=image: image.close(),
            ):
                with suppress(BlockError, ImageError):
                    work()


def test_a_compressed_cluster_that_is_too_short(tmp_path: Path) -> None:
    """Its contents must fill the cluster."""
    path = tmp_path / "disk"
    create_qcow2(str(path), SIZE)
    image = open_image(str(path))
    image.write(0, b"a" * 65536)
    image.close()
    raw = bytearray(path.read_bytes())
    l2 = struct.unpack_from(">Q", raw, struct.unpack_from(">Q", raw, 40)[0])[0] & 0x00FFFFFFFFFFFE00
    data = struct.unpack_from(">Q", raw, l2)[0] & 0x00FFFFFFFFFFFE00
    packer = zlib.compressobj(wbits=-12)
    packed = packer.compress(b"a" * 1000) + packer.flush()
    raw[data : data + len(packed)] = packed
    struct.pack_into(">Q", raw, l2, 1 << 62 | data)
    path.write_bytes(raw)
    image = open_image(str(path), read_only=True)
    with pytest.raises(BlockError, match="too short"):
        image.read(0, 512)
    image.close()
