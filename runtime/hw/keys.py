"""Keys by every name they have: Linux's codes, QEMU's words, X's keysyms, and the scan codes of a PC's keyboard."""

from __future__ import annotations

__all__ = ["KEYSYMS", "NAMES", "SHIFT_CODES", "from_scan_code", "scan_codes"]

#: the main block of a US keyboard, from a Linux code on: QEMU's words, and what a key types without and with shift
_ROWS: tuple[tuple[int, str, str, str], ...] = (
    (2, "1 2 3 4 5 6 7 8 9 0 minus equal", "1234567890-=", "!@#$%^&*()_+"),
    (16, "q w e r t y u i o p bracket_left bracket_right", "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "a s d f g h j k l semicolon apostrophe grave_accent", "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "backslash z x c v b n m comma dot slash", "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, "spc", " ", ""),
)
#: the others: Linux's code, QEMU's word, X's keysyms (X11/keysymdef.h)
_OTHERS: tuple[tuple[int, str, tuple[int, ...]], ...] = (
    (1, "esc", (0xFF1B,)),
    (14, "backspace", (0xFF08,)),
    (15, "tab", (0xFF09, 0xFE20)),
    (28, "ret", (0xFF0D, 0xFF0A)),
    (29, "ctrl", (0xFFE3,)),
    (42, "shift", (0xFFE1,)),
    (54, "shift_r", (0xFFE2,)),
    (55, "kp_multiply", (0xFFAA,)),
    (56, "alt", (0xFFE9, 0xFFE7)),
    (58, "caps_lock", (0xFFE5,)),
    *((58 + number, f"f{number}", (0xFFBD + number,)) for number in range(1, 11)),
    (69, "num_lock", (0xFF7F,)),
    (70, "scroll_lock", (0xFF14,)),
    (71, "kp_7", (0xFFB7, 0xFF95)),
    (72, "kp_8", (0xFFB8, 0xFF97)),
    (73, "kp_9", (0xFFB9, 0xFF9A)),
    (74, "kp_subtract", (0xFFAD,)),
    (75, "kp_4", (0xFFB4, 0xFF96)),
    (76, "kp_5", (0xFFB5, 0xFF9D)),
    (77, "kp_6", (0xFFB6, 0xFF98)),
    (78, "kp_add", (0xFFAB,)),
    (79, "kp_1", (0xFFB1, 0xFF9C)),
    (80, "kp_2", (0xFFB2, 0xFF99)),
    (81, "kp_3", (0xFFB3, 0xFF9B)),
    (82, "kp_0", (0xFFB0, 0xFF9E)),
    (83, "kp_decimal", (0xFFAE, 0xFF9F, 0xFFAC)),
    (86, "less", ()),
    (87, "f11", (0xFFC8,)),
    (88, "f12", (0xFFC9,)),
    (96, "kp_enter", (0xFF8D,)),
    (97, "ctrl_r", (0xFFE4,)),
    (98, "kp_divide", (0xFFAF,)),
    (99, "print", (0xFF61, 0xFF15)),
    (100, "alt_r", (0xFFEA, 0xFE03, 0xFF7E)),
    (102, "home", (0xFF50,)),
    (103, "up", (0xFF52,)),
    (104, "pgup", (0xFF55,)),
    (105, "left", (0xFF51,)),
    (106, "right", (0xFF53,)),
    (107, "end", (0xFF57,)),
    (108, "down", (0xFF54,)),
    (109, "pgdn", (0xFF56,)),
    (110, "insert", (0xFF63,)),
    (111, "delete", (0xFFFF,)),
    (113, "audiomute", (0x1008FF12,)),
    (114, "volumedown", (0x1008FF11,)),
    (115, "volumeup", (0x1008FF13,)),
    (116, "power", ()),
    (119, "pause", (0xFF13, 0xFF6B)),
    (125, "meta_l", (0xFFEB,)),
    (126, "meta_r", (0xFFEC, 0xFFE8)),
    (127, "menu", (0xFF67,)),
)
#: what a PC's keyboard sends behind the byte 0xe0, for keys whose Linux code is another number
_BEHIND_E0 = {
    0x1C: 96, 0x1D: 97, 0x35: 98, 0x37: 99, 0x38: 100, 0x46: 119, 0x47: 102, 0x48: 103, 0x49: 104, 0x4B: 105,
    0x4D: 106, 0x4F: 107, 0x50: 108, 0x51: 109, 0x52: 110, 0x53: 111, 0x5B: 125, 0x5C: 126, 0x5D: 127,
    0x20: 113, 0x2E: 114, 0x30: 115, 0x5E: 116,
}  # fmt: skip
_LAST_PLAIN = 0x58

#: the codes of the two shift keys
SHIFT_CODES = (42, 54)


def _tables() -> tuple[dict[str, int], dict[int, tuple[int, bool]]]:
    names, keysyms = dict[str, int](), dict[int, tuple[int, bool]]()
    for first, words, plain, shifted in _ROWS:
        for code, name in enumerate(words.split(), first):
            names[name] = code
        for shift, characters in ((False, plain), (True, shifted)):
            for code, character in enumerate(characters, first):
                keysyms[ord(character)] = code, shift
    for code, name, symbols in _OTHERS:
        names[name] = code
        for symbol in symbols:
            keysyms[symbol] = code, False
    return names, keysyms


#: QEMU's word -> Linux's code; keysym -> code, and whether it takes shift to type it on a US keyboard
NAMES, KEYSYMS = _tables()


def from_scan_code(code: int) -> int | None:
    """Linux's code for a scan code of set 1, whose bit 7 stands for a byte 0xe0 before it."""
    if code & 0x80:
        return _BEHIND_E0.get(code & 0x7F)
    return code if 0 < code <= _LAST_PLAIN else None


def scan_codes(code: int, pressed: bool) -> bytes:
    """The bytes of set 1 that a PC's keyboard sends for a key, by Linux's code; none for one that it has not."""
    released = 0 if pressed else 0x80
    if 0 < code <= _LAST_PLAIN:
        return bytes((code | released,))
    behind = next((scan for scan, known in _BEHIND_E0.items() if known == code), None)
    return b"" if behind is None else bytes((0xE0, behind | released))
