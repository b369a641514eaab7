"""Snapshots inside qcow2 images, between random writes, judged by qemu-img; QEMU's by us and ours by QEMU."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runtime.hw.block.backend import BlockError
from runtime.hw.block.images import open_image
from tests.hw.block.test_images import KINDS, SIZE, exercise, qemu_img

NAMES = ("one", "two", "a third: ü")


@pytest.mark.parametrize(
    "kind",
    [
        *("version 2", "version 3"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if "clusters" in kind or "64" in kind),
    ],
)
@pytest.mark.parametrize("backed", [False, True])
def test_random_snapshots(kind: str, backed: bool, tmp_path: Path) -> None:
    """Whatever is taken, gone to and dropped, the disk holds what it should, and nothing leaks."""
    chance = random.Random(f"{kind} {backed}")
    path = tmp_path / "disk.qcow2"
    model = bytearray(SIZE)
    below = []
    if backed:
        model[:] = chance.randbytes(1024) * (SIZE // 1024)
        (tmp_path / "below").write_bytes(model)
        below = ["-b", tmp_path / "below", "-F", "raw"]
    qemu_img("create", "-f", "qcow2", *KINDS[kind], *below, path, *([] if backed else [SIZE]))
    kept: dict[str, bytes] = {}
    image = open_image(str(path))
    for step in range(16):
        exercise(image, model, step, 6)
        name = chance.choice(NAMES)
        match chance.randrange(4):
            case 0 | 1:
                image.take_snapshot(name)
                kept[name] = bytes(model)
            case 2 if name in kept:
                image.go_to_snapshot(name)
                model[:] = kept[name]
            case 3:
                image.drop_snapshot(name)
                kept.pop(name, None)
        assert image.has_snapshot(name) == (name in kept)
        if chance.random() < 0.2:
            image.close()
            assert "No errors" in qemu_img("check", path)
            image = open_image(str(path))
    image.close()
    assert "No errors" in qemu_img("check", path)
    listed = qemu_img("snapshot", "-l", path)
    assert all((name in listed) == (name in kept) for name in NAMES)
    for name, data in {"": bytes(model), **kept}.items():
        if name:
            qemu_img("snapshot", "-a", name, path)
        (tmp_path / "wanted").write_bytes(data)
        qemu_img("compare", "-f", "raw", "-F", "qcow2", tmp_path / "wanted", path)
    for name in kept:
        qemu_img("snapshot", "-d", name, path)
    assert "No errors" in qemu_img("check", path)


def test_snapshots_of_qemus(tmp_path: Path) -> None:
    """Compressed clusters included: gone back to, and deleted, by us."""
    data = bytearray(random.Random(3).randbytes(1024) * (SIZE // 1024))
    (tmp_path / "data").write_bytes(data)
    path = tmp_path / "disk.qcow2"
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", tmp_path / "data", path)
    qemu_img("snapshot", "-c", "before", path)
    image = open_image(str(path))
    model = bytearray(data)
    exercise(image, model, 9, 60)
    image.take_snapshot("after")
    image.go_to_snapshot("before")
    assert image.read(0, SIZE) == data
    exercise(image, bytearray(data), 10, 20)
    image.go_to_snapshot("after")
    assert image.read(0, SIZE) == model
    image.drop_snapshot("before")
    image.close()
    assert "No errors" in qemu_img("check", path)
    image = open_image(str(path))
    assert image.read(0, SIZE) == model
    image.close()


def test_what_cannot_be(tmp_path: Path) -> None:
    """One line each, and the image as it was."""
    raw, narrow = tmp_path / "raw", tmp_path / "narrow"
    raw.write_bytes(bytes(1 << 16))
    image = open_image(str(raw), format="raw")
    with pytest.raises(BlockError, match="a raw image holds no snapshots; use qcow2, or -snapshot"):
        image.take_snapshot("x")
    image.close()
    qemu_img("create", "-f", "qcow2", "-o", "refcount_bits=1", narrow, SIZE)
    image = open_image(str(narrow))
    with pytest.raises(BlockError, match="no room for a snapshot's reference counts"):
        image.take_snapshot("x")
    with pytest.raises(BlockError, match="has no snapshot x"):
        image.go_to_snapshot("x")
    image.drop_snapshot("x")
    image.close()
    assert "No errors" in qemu_img("check", narrow)
    overlay = open_image(str(raw), format="raw", snapshot=True)
    overlay.take_snapshot("x")
    assert overlay.has_snapshot("x")
    overlay.close()
