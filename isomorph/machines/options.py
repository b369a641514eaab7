"""The options of `isomorph machine`, spelled as QEMU's, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.hw.registry import parse_size


class UsageError(Exception):
    """A command line that makes no sense; one line for the user."""


@dataclass
class Settings:
    """`kind,name=value,…`: the word in front, and the rest by name.  Who reads a value takes it out of `values`."""

    option: str
    text: str
    kind: str
    values: dict[str, str]

    def take(self, name: str, default: str = "") -> str:
        """A value."""
        return self.values.pop(name, default)

    def take_switch(self, name: str, default: bool = False) -> bool:
        """on or off."""
        value = self.values.pop(name, "on" if default else "off")
        if value not in ("on", "off", "yes", "no", "true", "false"):
            raise UsageError(f"{self.option} {self.text}: {name}={value}: it is on or off")
        return value in ("on", "yes", "true")

    def take_number(self, name: str, default: int) -> int:
        """A number."""
        value = self.values.pop(name, str(default))
        try:
            return int(value, 0)
        except ValueError:
            raise UsageError(f"{self.option} {self.text}: {name}={value}: not a number") from None

    def done(self, *known: str) -> None:
        """Nothing may be left; `known` is what could have been said."""
        for name in self.values:
            there = f"; there are {', '.join(known)}" if known else ""
            raise UsageError(f"{self.option} {self.text}: there is no option {name}{there}")


def settings(option: str, text: str, first: str | None = "kind") -> Settings:
    """Take `kind,name=value,…` apart; a comma in a value is written twice.

    `first`: a name for the first word; None where all words are alike.
    """
    words, word = [], ""
    at = 0
    while at < len(text):
        if text[at] == ",":
            if text[at + 1 : at + 2] == ",":
                word += ","
                at += 2
                continue
            words.append(word)
            word = ""
        else:
            word += text[at]
        at += 1
    words.append(word)
    kind, values = "", dict[str, str]()
    for index, item in enumerate(words):
        name, equals, value = item.partition("=")
        if index == 0 and first is not None and (not equals or name == first):
            kind = value if equals else name
        elif not name:
            raise UsageError(f"{option} {text}: an empty word between commas")
        else:
            values[name] = value if equals else "on"
    return Settings(option, text, kind, values)


@dataclass
class MachineOptions:
    """What was asked for; texts that the parts which know them take apart."""

    machine: list[str] = field(default_factory=list)
    memory: str = ""
    smp: str = ""
    cpu: str = ""
    accel: list[str] = field(default_factory=list)
    icount: str = ""
    bios: str = ""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    dtb: str = ""
    drives: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    netdevs: list[str] = field(default_factory=list)
    nics: list[str] = field(default_factory=list)
    chardevs: list[str] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)
    monitors: list[str] = field(default_factory=list)
    mons: list[str] = field(default_factory=list)
    qmps: list[str] = field(default_factory=list)
    fw_cfg: list[str] = field(default_factory=list)
    flashes: list[str] = field(default_factory=list)
    display: str = ""
    vncs: list[str] = field(default_factory=list)
    nographic: bool = False
    stopped: bool = False
    gdb: str = ""
    gdb_default: bool = False
    log: str = ""
    log_file: str = ""
    dfilter: str = ""
    snapshot: bool = False
    loadvm: str = ""
    no_reboot: bool = False
    watchdog_action: str = "reset"
    no_shutdown: bool = False
    nodefaults: bool = False
    rtc: str = ""
    seed: str = ""
    name: str = ""
    help: bool = False


#: option -> attribute, placeholder of its value ("" if it takes none), help
OPTIONS: dict[str, tuple[str, str, str]] = {
    "-M": ("machine", "NAME[,prop=value]", "machine, also the first word; help lists them; dumpdtb=F: write its tree"),
    "-m": ("memory", "SIZE", "memory, in megabytes unless it says K, M or G; default: 128M"),
    "-smp": ("smp", "N", "processors; default: 1"),
    "-cpu": ("cpu", "NAME", "processor; help lists them"),
    "-accel": ("accel", "NAME[,prop=value]", "tcg or kvm; tcg,thread=multi gives each processor a host thread"),
    "-icount": ("icount", "shift=N|auto[,sleep=off]", "time by instructions, 2^N ns each; rr=record|replay,rrfile=F"),
    "-bios": ("bios", "FILE", "firmware; none: without; default: OpenSBI, if installed"),
    "-kernel": ("kernel", "FILE", "kernel: a Linux Image or bzImage, or an ELF file"),
    "-initrd": ("initrd", "FILE", "its ramdisk"),
    "-append": ("append", "TEXT", "its command line"),
    "-dtb": ("dtb", "FILE", "device tree, instead of the machine's own"),
    "-drive": ("drives", "file=F[,if=T,id=I,format=X]", "disk image; if=none (for a -device), virtio, ide, or pflash"),
    "-device": ("devices", "NAME[,prop=value]", "add a device; help lists them, NAME,help its options"),
    "-netdev": ("netdevs", "user,id=I[,hostfwd=…]", "network that a -device is plugged into"),
    "-nic": ("nics", "user[,model=NAME,hostfwd=…]", "network and card in one; none: no card"),
    "-chardev": ("chardevs", "KIND,id=I[,…]", "character stream for others to name: stdio, socket, pty, file, null"),
    "-serial": ("serials", "DEV", "serial port: stdio, mon:stdio, pty, file:F, unix:P,server, tcp:H:P, null"),
    "-monitor": ("monitors", "DEV", "a monitor, likewise"),
    "-mon": ("mons", "chardev=I[,mode=control]", "a monitor on a -chardev; mode=control: QMP"),
    "-qmp": ("qmps", "DEV", "a QMP server, likewise"),
    "-fw_cfg": ("fw_cfg", "name=N,file=F|string=T", "a file for the firmware"),
    "-pflash": ("flashes", "FILE", "contents of the next flash bank"),
    "-display": ("display", "none|vnc=HOST:N", "where the screen is shown"),
    "-vnc": ("vncs", "HOST:N[,to=L]", "show the screen to VNC viewers, at TCP port 5900 + N or unix:PATH"),
    "-nographic": ("nographic", "", "no display; serial port and monitor on this terminal (Ctrl-A h helps)"),
    "-S": ("stopped", "", "do not start; `cont` in the monitor does"),
    "-gdb": ("gdb", "tcp:HOST:PORT", "listen for gdb"),
    "-s": ("gdb_default", "", "the same as -gdb tcp::1234"),
    "-d": ("log", "ITEMS", "what to log, separated by commas; help lists the items"),
    "-D": ("log_file", "FILE", "where the log goes; default: stderr"),
    "-dfilter": ("dfilter", "RANGES", "log only blocks in start..end, start+size or start-size"),
    "-snapshot": ("snapshot", "", "leave disk images as they are: writes are forgotten at the end"),
    "-loadvm": ("loadvm", "NAME", "go on from a state that the monitor's savevm wrote"),
    "-no-reboot": ("no_reboot", "", "end instead of beginning anew"),
    "-watchdog-action": ("watchdog_action", "ACTION", "at its end: reset, shutdown, poweroff, pause, debug or none"),
    "-no-shutdown": ("no_shutdown", "", "stay, with the processors stopped, when the guest powers off"),
    "-nodefaults": ("nodefaults", "", "no serial port or monitor that is not asked for"),
    "-rtc": ("rtc", "base=utc|DATE", "what time it is; default: utc, with -icount 2000-01-01"),
    "-seed": ("seed", "N", "make the guest's random numbers the same in every run"),
    "-name": ("name", "TEXT", "a name, for listings"),
    "--help": ("help", "", "print this"),
}  # fmt: skip
_OTHER_NAMES = {"-machine": "-M", "-h": "--help", "-help": "--help", "-net": "-nic"}

_EPILOG = """\
examples:
  isomorph machine virt -kernel vmlinuz -initrd rootfs.cpio.gz -append console=ttyS0 -nographic
  isomorph machine virt -smp 4 -m 1G -drive file=disk.qcow2,if=virtio -nic user,hostfwd=tcp::2222-:22 …
  isomorph machine virt -bios /usr/lib/u-boot/qemu-riscv64/u-boot.bin -nographic
  isomorph machine virt -M dumpdtb=virt.dtb

Ctrl-A x ends it, Ctrl-A c goes to the monitor.  The exit status is 0, or what the guest gave its power switch."""


def help_message() -> str:
    """What `isomorph machine --help` prints."""
    lines = ["usage: isomorph machine NAME [options]", "", "Run a whole machine; options are spelled as QEMU's.", ""]
    lines.append("options:")
    for name, (_, value, text) in OPTIONS.items():
        head = f"{name} {value}".rstrip()
        lines.append(f"  {head:30} {text}" if len(head) <= 30 else f"  {head}\n  {'':30} {text}")
    return "\n".join([*lines, "", _EPILOG, ""])


def parse(words: Sequence[str]) -> MachineOptions:
    """The options; UsageError."""
    result = MachineOptions()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-"):
            result.machine.append(word)
            continue
        name = _OTHER_NAMES.get(word, word)
        if name not in OPTIONS and name.startswith("--"):  # QEMU takes two dashes for one
            name = _OTHER_NAMES.get(name[1:], name[1:])
        if name not in OPTIONS:
            from difflib import get_close_matches

            close = get_close_matches(name, OPTIONS, 1)
            raise UsageError(f"there is no option {word}" + (f" (did you mean {close[0]}?)" if close else ""))
        attribute, placeholder, _ = OPTIONS[name]
        if not placeholder:
            setattr(result, attribute, True)
            continue
        if at == len(words):
            raise UsageError(f"{word} needs a value: {word} {placeholder}")
        if isinstance(getattr(result, attribute), list):
            getattr(result, attribute).append(words[at])
        else:
            setattr(result, attribute, words[at])
        at += 1
    for option, given in (("-initrd", result.initrd), ("-append", result.append)):
        if given and not result.kernel:
            raise UsageError(f"{option} needs -kernel")
    return result


def memory_size(text: str) -> int:
    """-m; UsageError."""
    given = settings("-m", text or "128M", "size")
    given.take("slots")
    given.take("maxmem")
    given.done("size")
    try:
        size = parse_size(given.kind, 1 << 20)
    except ValueError:
        raise UsageError(f"-m {text}: not a size such as 512, 512M or 2G") from None
    if not 1 << 20 <= size <= 1 << 40:
        raise UsageError(f"-m {text}: a machine has 1M to 1024G of memory")
    return -(-size // 4096) * 4096


def processor_count(text: str, most: int) -> int:
    """-smp; UsageError."""
    given = settings("-smp", text or "1", "cpus")
    for name in ("maxcpus", "sockets", "cores", "threads", "dies", "clusters"):
        given.take(name)
    given.done("cpus")
    if not given.kind.isdecimal() or not 1 <= int(given.kind) <= most:
        raise UsageError(f"-smp {text}: 1 to {most} processors")
    return int(given.kind)
