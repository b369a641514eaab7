"""What `-d` prints of blocks: guest code, TCG ops, op records and host code, execution, registers."""

from __future__ import annotations

from bisect import bisect_left
from importlib import import_module

from runtime.core.cpu import Vcpu
from runtime.core.log import Log
from runtime.tcg.tb import TranslationBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.core.disassembly import Disassemble
    from runtime.tcg.blobs import Blob
    from runtime.tcg.region import RegionRequest

    #: address -> the name of the symbol it lies in, "" if none
    Symbol = Callable[[int], str]


_COLUMNS = 4
#: of the engine, not handlers: they appear inside records
_NOT_HANDLERS = ("tb_link", "tb_lookup")
_BLOCK_ITEMS = frozenset(("exec", "cpu"))


def _no_symbol(address: int) -> str:
    return ""


class BlockTracer:
    """Writes a log's items about blocks as cpu_exec reports them (loop.Tracer)."""

    def __init__(
        self,
        log: Log,
        blob: Blob | None = None,
        disassemble: Disassemble | None = None,
        symbol: Symbol = _no_symbol,
    ) -> None:
        self.log = log
        self.each_block = not _BLOCK_ITEMS.isdisjoint(log.items)
        self.chain = not self.each_block and "nochain" not in log
        self._blob = blob
        self._disassemble = disassemble
        self._symbol = symbol
        self._handlers = sorted((offset, name) for name, offset in blob.symbols.items()) if blob else []
        self._shown: set[str] = set()

    # ------------------------------------------------------------ called by cpu_exec

    def translated(self, vcpu: Vcpu, tb: TranslationBlock) -> None:
        """A block was made."""
        log = self.log
        if not log.covers(tb.pc):
            return
        if "in_asm" in log:
            log.write("----------------\n" + self.guest_code(vcpu, tb) + "\n")
        if "op" in log or "op_opt" in log:
            self._ops(vcpu, tb)
        if "out_asm" in log:
            lines = self._records(vcpu, tb)
            log.write(f"OUT: [size={tb.allocated}]\n" + "".join(f"{line}\n" for line in lines) + "\n")

    def executing(self, vcpu: Vcpu, tb: TranslationBlock) -> None:
        """A block is about to run."""
        log = self.log
        if not log.covers(tb.pc):
            return
        if "exec" in log:
            key = f"{tb.cs_base:08x}/{tb.pc:016x}/{tb.flags:08x}/{tb.cflags:08x}"
            log.write(f"Trace {vcpu.index}: {tb.tc_ptr:#x} [{key}] {self._symbol(tb.pc)}\n")
        if "cpu" in log:
            log.write("".join(f"{line}\n" for line in register_lines(vcpu)))

    def region_listener(self) -> Callable[[RegionRequest, str], None] | None:
        """What to call with each region that is compiled; None if the log wants nothing of them."""
        wanted = any(item in self.log for item in ("op", "op_opt", "out_asm"))
        return self._region if wanted else None

    def _region(self, request: RegionRequest, listing: str) -> None:
        if not self.log.covers(request.entry):
            return
        blocks = " ".join(f"{block.pc:#x}+{len(block.code)}" for block in request.blocks)
        parts = listing.split("\0")
        self.log.write(f"----------------\nREGION: {self._symbol(request.entry)} {blocks}\n")
        if "op" in self.log or "op_opt" in self.log:
            self.log.write(f"OP of the region, after optimization:\n{parts[0]}\n\n")
        if "out_asm" in self.log:
            self.log.write(f"OUT of the region:\n{parts[-1]}\n\n")

    # ------------------------------------------------------------ guest code and ops

    def read_code(self, vcpu: Vcpu, tb: TranslationBlock) -> bytes:
        """A block's bytes."""
        return vcpu.memory.read(tb.pc, tb.size, 0)

    def guest_code(self, vcpu: Vcpu, tb: TranslationBlock) -> str:
        """`IN:` and a line an instruction: address, bytes, text."""
        code = self.read_code(vcpu, tb)
        lines = [f"IN: {self._symbol(tb.pc)}".rstrip()]
        at = 0
        while at < len(code):
            size, shown, text = len(code) - at, code[at:].hex(), ""
            if self._disassemble is not None:
                size, shown, text = self._disassemble(code[at : at + vcpu.layout.max_bytes], tb.pc + at, tb.flags)
            width = 2 * vcpu.layout.max_bytes
            lines.append(f"0x{tb.pc + at:0{_digits(vcpu)}x}:  {shown:{width}}  {text}".rstrip())
            at += size
        return "".join(f"{line}\n" for line in lines)

    def _ops(self, vcpu: Vcpu, tb: TranslationBlock) -> None:
        # The translator is for people who ask for this; a plain run never imports it.
        from runtime.tcg.intermediate import gen_intermediate_code
        from runtime.tcg.optimize import optimize

        code = self.read_code(vcpu, tb)
        function = gen_intermediate_code(vcpu.isa.module("translate"), vcpu.layout, code, tb.pc, tb.flags)
        if "op" in self.log:
            self.log.write(f"OP:\n{function}\n\n")
        if "op_opt" in self.log:
            self.log.write(f"OP after optimization:\n{optimize(function)}\n\n")

    # ------------------------------------------------------------ what it became

    def _records(self, vcpu: Vcpu, tb: TranslationBlock) -> Iterator[str]:
        """A line an op record: its address, the handler's name, the operands' bytes; then handlers not shown yet."""
        blob = self._blob
        if blob is None:
            return
        from runtime.tcg.loop import TcgVcpu

        assert isinstance(vcpu, TcgVcpu)  # who has a blob to show is one of theirs
        names = {blob.base + offset: name for offset, name in self._handlers if name not in _NOT_HANDLERS}
        words = vcpu.tcg.cache.records(tb).cast("Q")
        starts = [index for index, word in enumerate(words) if word in names]
        used: list[str] = []
        for index, end in zip(starts, [*starts[1:], len(words)], strict=True):
            name = names[words[index]]
            used.append(name)
            operands = " ".join(f"{word:016x}" for word in words[index + 1 : end])
            yield f"{tb.tc_ptr + 8 * index:#x}:  {name:24} {operands}".rstrip()
        for name in used:
            if name not in self._shown:
                self._shown.add(name)
                yield f"  -- {name}"
                yield from self._host_code(blob, name)

    def _host_code(self, blob: Blob, name: str) -> Iterator[str]:
        """The handler's machine code, disassembled where there is a disassembler for the host."""
        start = blob.symbols[name]
        follower = bisect_left(self._handlers, (start + 1, ""))
        end = self._handlers[follower][0] if follower < len(self._handlers) else blob.size
        code = blob.code(name, end - start).rstrip(b"\xcc\0")
        try:
            capstone = import_module("capstone")
        except ImportError:
            for at in range(0, len(code), 16):
                yield f"  {blob.base + start + at:#x}:  {code[at : at + 16].hex(' ')}"
            return
        host = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        for insn in host.disasm(code, blob.base + start):
            yield f"  {insn.address:#x}:  {insn.bytes.hex(' '):30}  {insn.mnemonic:8} {insn.op_str}".rstrip()


def register_lines(vcpu: Vcpu) -> list[str]:
    """The pc and every register that is not a system register, in columns: `-d cpu`, and what a crash prints."""
    lines = [f" {vcpu.layout.pc_name:8} {vcpu.pc:0{_digits(vcpu)}x}"]
    for register in vcpu.layout.registers:
        if register.is_file and not register.system:
            cells = []
            for index in range(register.count):
                names = register.names[index] if register.names else (f"{register.name}{index}",)
                value = vcpu.get(register.name, index)
                cells.append(f" {'/'.join(dict.fromkeys(names[:2])):8} {value:0{-(-register.width // 4)}x}")
            columns = _COLUMNS if register.width <= 64 else 1
            lines += ["".join(cells[at : at + columns]) for at in range(0, len(cells), columns)]
    singles = [register for register in vcpu.layout.registers if not register.is_file and not register.system]
    cells = [f" {register.name:8} {vcpu.get(register.name):0{-(-register.width // 4)}x}" for register in singles]
    return lines + ["".join(cells[at : at + _COLUMNS]) for at in range(0, len(cells), _COLUMNS)]


def _digits(vcpu: Vcpu) -> int:
    return -(-vcpu.layout.pc_width // 4)
