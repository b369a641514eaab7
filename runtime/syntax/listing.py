"""What `isomorph asm` writes beside executables: listings, and the bytes of a program alone."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.syntax.image import Image, Row

__all__ = ["listing", "raw_bytes"]

_BYTES = 8
_LARGEST = 1 << 30


def listing(rows: Sequence[Row]) -> str:
    """A line a statement: its address, its bytes, and the source; a heading a section and a file."""
    lines: list[str] = []
    heading = ("", "")
    for row in rows:
        statement = row.statement
        if heading != (row.section, statement.source.file):
            heading = row.section, statement.source.file
            lines += ["", f"{row.section}  {statement.source.file}"]
        text = f"{statement.label}:" if statement.label else "    " + statement.text
        number = f"{statement.line:5}{'+' if statement.source.notes else ' '}"
        data = row.data
        lines.append(f"{number} {row.address:08x}  {data[:_BYTES].hex():16}  {text}".rstrip())
        for at in range(_BYTES, min(len(data), 4 * _BYTES), _BYTES):
            lines.append(f"       {row.address + at:08x}  {data[at : at + _BYTES].hex()}")
        if len(data) > 4 * _BYTES:
            lines.append(f"       {'':8}  … {len(data)} bytes")
    return "\n".join(lines[1:]) + "\n" if lines else ""


def raw_bytes(image: Image) -> bytes:
    """Memory from the first byte of a program to the last that is not left 0."""
    sections = [section for section in image.sections if section.loaded and section.data]
    if not sections:
        return b""
    start = sections[0].address
    end = max(section.address + len(section.data) for section in sections)
    if end - start > _LARGEST:
        raise ValueError(f"the program spans {end - start} bytes: too much for a raw file")
    data = bytearray(end - start)
    for section in sections:
        data[section.address - start : section.address - start + len(section.data)] = section.data
    return bytes(data)
