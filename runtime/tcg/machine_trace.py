"""What `-d` shows of a machine's processors: blocks as they are translated and run, traps, translations of addresses.

Blocks, traps and walks are told by native code; only what is to be shown before each block or instruction (exec, cpu,
commit) has them run one by one.
"""

from __future__ import annotations

from runtime.core.accelerator import Running
from runtime.core.env import ENV, PAGE_BITS, Exit
from runtime.tcg.tb import TRACE_NOCHAIN, TRACE_TRANSLATION, TRACE_TRAPS, TRACE_WALKS, TranslationBlock
from runtime.tcg.trace import BlockTracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.accelerator import Vcpu as Accelerated
    from runtime.core.accelerator import VcpuExit
    from runtime.core.cpu import Vcpu
    from runtime.core.disassembly import Disassemble
    from runtime.core.log import Log
    from runtime.tcg.system_vcpu import MachineVcpu

    #: (processor, the exception's name; "" for an interrupt) -> what its registers say of a trap just entered
    DescribeTrap = Callable[[Accelerated, str], str]
    #: called before an instruction; what it returns is called behind it, and returns the line
    WatchInstruction = Callable[[Accelerated], Callable[[], str]]

__all__ = ["ITEMS", "MachineTracer"]

#: the items of a log that are for this
ITEMS = frozenset(("in_asm", "op", "op_opt", "out_asm", "exec", "cpu", "int", "mmu", "commit", "nochain"))
_TRACE, _TB, _EXIT_REASON = ENV["trace"] // 8, ENV["tb"] // 8, ENV["exit_reason"] // 8
_SINGLE_STEP, _EXCEPTION, _INTERRUPTS = (ENV[name] // 8 for name in ("single_step", "exception", "interrupts"))
_WALK_PAGE, _WALK_BITS, _WALK_PERMISSIONS = (ENV[name] // 8 for name in ("walk_page", "walk_bits", "walk_permissions"))
_ACCESSES = ("load", "store", "fetch")
_POLL_EVERY = ENV["poll_every"] // 8
_LONGEST_BLOCK = 1 << 16


class MachineTracer(BlockTracer):
    """Of all processors of a machine."""

    def __init__(
        self, log: Log, disassemble: Disassemble | None, describe: DescribeTrap | None, watch: WatchInstruction | None
    ) -> None:
        super().__init__(log, None, disassemble)
        self._describe = describe
        self._watch = watch
        self._commits = "commit" in log and watch is not None
        self._taken: dict[int, int] = {}  # processor -> interrupts that were told of
        self.one_by_one = self.each_block or self._commits
        self.bits = (0 if self.chain else TRACE_NOCHAIN) | (TRACE_TRAPS if self.one_by_one else 0)
        for wanted, bit in (
            ({"in_asm", "op", "op_opt", "out_asm"}, TRACE_TRANSLATION),
            ({"int"}, TRACE_TRAPS),
            ({"mmu"}, TRACE_WALKS),
        ):
            if not log.items.isdisjoint(wanted):
                self.bits |= bit

    def begin(self, vcpu: MachineVcpu) -> None:
        """From now on."""
        vcpu.words[_TRACE] = self.bits
        self._taken[vcpu.index] = vcpu.words[_INTERRUPTS]

    @staticmethod
    def end(vcpu: MachineVcpu) -> None:
        """No more."""
        vcpu.words[_TRACE] = 0

    # ------------------------------------------------------------ told by native code

    def block_made(self, vcpu: MachineVcpu) -> None:
        """Exit TRANSLATED."""
        block = vcpu.vm.cache.block(vcpu.words[_TB])
        if block.size <= _LONGEST_BLOCK:
            self.translated(vcpu, block)

    def trapped(self, vcpu: MachineVcpu) -> None:
        """Exit TRAPPED."""
        taken = vcpu.words[_INTERRUPTS]
        name = ""
        if taken == self._taken[vcpu.index]:
            code = vcpu.words[_EXCEPTION]
            name = next((name for name, number in vcpu.layout.exceptions if number == code), f"exception {code}")
        self._taken[vcpu.index] = taken
        if "int" not in self.log:
            return
        text = self._describe(vcpu, name) if self._describe else ""
        self.log.write(f"cpu{vcpu.index}: {name or 'interrupt'}{text}, handler at {vcpu.pc:#x}\n")

    def walked(self, vcpu: MachineVcpu, address: int, what: int) -> None:
        """A bus read of no bytes: what the spec's `on translate` found."""
        if not self.log.covers(address):
            return
        words, access = vcpu.words, _ACCESSES[what & 0xFF]
        if what >> 8:
            self.log.write(f"cpu{vcpu.index}: mmu {access} {address:#x}: refused\n")
            return
        bits, allowed = words[_WALK_BITS], words[_WALK_PERMISSIONS]
        inside = (1 << min(bits, 64)) - 1
        physical = words[_WALK_PAGE] & ~inside | address & inside
        letters = "".join(letter if allowed >> bit & 1 else "-" for bit, letter in enumerate("rwx"))
        size = "everything" if bits >= 64 else f"a page of {1 << bits:#x}"
        self.log.write(f"cpu{vcpu.index}: mmu {access} {address:#x}: {physical:#x} {letters}, {size}\n")

    # ------------------------------------------------------------ one by one

    def run(self, vcpu: MachineVcpu, instructions: int) -> VcpuExit:
        """As `MachineVcpu.run`, telling of each block or instruction before it runs."""
        end = vcpu.executed + instructions
        vcpu.kicked = False
        while vcpu.executed < end and not vcpu.kicked:
            reason = vcpu.run_untraced(0)  # what is pending
            if not isinstance(reason, Running):
                return reason
            reason = self._instruction(vcpu) if self._commits else self._block(vcpu, end - vcpu.executed)
            if not isinstance(reason, Running):
                return reason
        return Running()

    def _block(self, vcpu: MachineVcpu, most: int) -> VcpuExit:
        for _ in range(2):
            with vcpu.vm.world.stopped(vcpu.address):
                found = vcpu.find_block()
            if found is not None:
                block = vcpu.vm.cache.block(found)
                self.executing(vcpu, block)
                if vcpu.vm.icount is not None:
                    return self._through(vcpu, block, most)
                vcpu.words[_POLL_EVERY], every = 0, vcpu.words[_POLL_EVERY]
                try:  # with a budget of nothing native code looks up behind the block
                    return vcpu.run_untraced(1)
                finally:
                    vcpu.words[_POLL_EVERY] = every
            if vcpu.words[_EXIT_REASON] != Exit.TRANSLATED:
                break
            self.block_made(vcpu)
        return vcpu.run_untraced(1)  # nothing can be fetched there, say

    def _through(self, vcpu: MachineVcpu, block: TranslationBlock, most: int) -> VcpuExit:
        """One instruction after the other as long as they follow each other in a block: counted to the last."""
        end, longest = block.pc + block.size, vcpu.layout.max_bytes
        for _ in range(min(block.icount, most)):
            pc, before = vcpu.pc, vcpu.executed
            reason = self._single(vcpu)
            if not isinstance(reason, Running) or vcpu.executed == before or vcpu.kicked:
                return reason
            if not pc < vcpu.pc <= min(pc + longest, end - 1):
                break
        return Running()

    @staticmethod
    def _single(vcpu: MachineVcpu) -> VcpuExit:
        vcpu.words[_SINGLE_STEP] = 1
        try:
            return vcpu.run_untraced(1)
        finally:
            vcpu.words[_SINGLE_STEP] = 0

    def _instruction(self, vcpu: MachineVcpu) -> VcpuExit:
        assert self._watch is not None
        before = vcpu.executed
        behind = self._watch(vcpu)
        covered = self.log.covers(vcpu.pc)
        reason = self._single(vcpu)
        if vcpu.executed != before and covered:
            self.log.write(behind() + "\n")
        return reason

    # ------------------------------------------------------------ where code is

    def read_code(self, vcpu: Vcpu, tb: TranslationBlock) -> bytes:
        """A block's bytes, by way of the processor's translation."""
        from runtime.tcg.system_vcpu import MachineVcpu

        assert isinstance(vcpu, MachineVcpu)
        data = b""
        while len(data) < tb.size:
            address = tb.pc + len(data)
            count = min(tb.size - len(data), (1 << PAGE_BITS) - (address & (1 << PAGE_BITS) - 1))
            place = vcpu.translate(address, 2)
            piece = None if place is None else vcpu.vm.read_physical(place, count)
            if piece is None:
                break
            data += piece
        return data
