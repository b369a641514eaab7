"""What Debian has for each guest: its cross-compiler, its libraries, qemu's name for it, its packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Guest:
    """A kind of Linux program: one ISA may have several, one for each ABI."""

    isa: str
    #: what gcc's, the linker's and the libraries' names have before or in them; empty for this machine's own
    triple: str
    qemu: str
    #: whether Debian's archive has packages for it
    packaged: bool = True

    @property
    def compiler(self) -> str:
        return f"{self.triple}-gcc" if self.triple else "gcc"

    @property
    def compiler_package(self) -> str:
        return f"gcc-{self.triple}" if self.triple else "gcc"

    @property
    def libraries(self) -> Path:
        """What -L takes: where the cross-compiler's dynamic linker and libraries are."""
        return Path(f"/usr/{self.triple}") if self.triple else Path("/")


#: by Debian's names of the architectures; the archive of bookworm has no big-endian mips, and riscv64 came with trixie
GUESTS = {
    "riscv64": Guest("riscv64", "riscv64-linux-gnu", "qemu-riscv64"),
    "armhf": Guest("arm", "arm-linux-gnueabihf", "qemu-arm"),
    "armel": Guest("arm", "arm-linux-gnueabi", "qemu-arm"),
    "mips": Guest("mips", "mips-linux-gnu", "qemu-mips", packaged=False),
    "mipsel": Guest("mipsel", "mipsel-linux-gnu", "qemu-mipsel"),
    "i386": Guest("i386", "i686-linux-gnu", "qemu-i386"),
    "amd64": Guest("x86_64", "", "qemu-x86_64"),
}
#: those that bookworm has packages of
BOOKWORM = tuple(name for name, guest in GUESTS.items() if guest.packaged and name != "riscv64")


def guest_of(isa: str) -> Guest:
    """The first of an ISA's: for arm the one with hardware floating point."""
    return next(guest for guest in GUESTS.values() if guest.isa == isa)
