"""How the log, crash reports and monitors ask for the text of an instruction, without knowing who makes it."""

from __future__ import annotations

from collections.abc import Callable

#: (bytes from here on, address, modes) -> (bytes used, the instruction in hexadecimal as its manual writes it, text)
Disassemble = Callable[[bytes, int, int], tuple[int, str, str]]
