"""`python -m bench.kvm`: x86-64 programs on KVM against the same binaries natively; and what leaving a guest costs.

Each workload is repeated within its process until it takes a second or two, so that start-up does not tell.  The
contenders take turns; what is compared is processor time, user and system, the least of the runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.__main__ import ENVIRONMENT, HERE, PROGRAMS, ROOT, geometric_mean, isomorph
from runtime.core.accelerator import Vcpu
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.clock import HostClock
from runtime.kvm.accelerator import KvmAccelerator, KvmOptions
from runtime.kvm.system import unavailable
from runtime.machine.machine import Machine
from runtime.machine.processors import Threads

#: workloads that have nothing to repeat
_LEFT_OUT = {"startup"}
_EXITS = re.compile(r"([\d,]+) exits \(([\d,]+) a second\)")
_OUTS, _TURNS = 50_000, 1_000_000
#: machines that are stopped: how often, and by how many processors
_STOPS, _PROCESSORS = 60, (1, 2, 8)


@dataclass(frozen=True, slots=True)
class Measured:
    """A workload: seconds of processor time natively and on KVM, and how often KVM left the program."""

    native: float
    kvm: float
    exits: int
    exits_per_second: float

    @property
    def ratio(self) -> float:
        return self.kvm / self.native


def build(source: Path) -> Path:
    """The workload, repeated as its argument says."""
    target = ROOT / "build" / "bench" / "kvm" / source.stem
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".o")
    flags = ["gcc", "-O2", "-w", "-static"]
    subprocess.run([*flags, "-Dmain=workload", "-c", str(source), "-o", str(part)], check=True)
    subprocess.run([*flags, str(HERE / "repeat.c"), str(part), "-o", str(target), "-lm"], check=True)
    return target


def run(command: Sequence[str]) -> tuple[float, bytes, str]:
    """Processor time, output and complaints of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=ENVIRONMENT, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed with status {done.returncode}: {done.stderr.decode()}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout, done.stderr.decode()


def measure(program: Path, seconds: float, runs: int) -> Measured:
    """Native and KVM by turns."""
    ours = [*isomorph(), "run", "--accel", "kvm"]
    once, _, _ = run([str(program), "1"])
    count = str(max(1, round(seconds / max(once, 0.002))))
    least = {"native": math.inf, "kvm": math.inf}
    outputs = set()
    for _ in range(runs):
        for who, command in (("native", [str(program), count]), ("kvm", [*ours, str(program), count])):
            spent, output, _ = run(command)
            least[who] = min(least[who], spent)
            outputs.add(output)
    if len(outputs) != 1:
        sys.exit(f"bench: {program.name} prints different things natively and on KVM")
    _, _, said = run([*ours, "--stats", str(program), count])
    found = _EXITS.search(said)
    exits, rate = (int(word.replace(",", "")) for word in found.groups()) if found else (0, 0)
    return Measured(least["native"], least["kvm"], exits, rate)


def level_0() -> tuple[float, float]:
    """Exits by OUT a second, and instructions a second without exits, of a machine's real-mode code."""
    # mov $OUTS, %ecx; 1: out %al, $0x80; addr32 loop 1b; hlt; mov $TURNS, %ecx; 2: addr32 loop 2b; hlt
    code = b"\x66\xb9" + _OUTS.to_bytes(4, "little") + b"\xe6\x80\x67\xe2\xfb\xf4"
    code += b"\x66\xb9" + _TURNS.to_bytes(4, "little") + b"\x67\xe2\xfd\xf4"
    memory = AddressSpace("memory")
    ram = Memory("ram", 0x10000)
    ram.bytes[0x1000 : 0x1000 + len(code)] = code
    memory.add_ram(0, ram)
    accelerator = KvmAccelerator(KvmOptions(controllers=False, timer=False))
    vm = accelerator.make_vm(memory, AddressSpace("ports", 16, floating=0xFF))
    vcpu = vm.make_vcpu(0)
    for name, value in (("cs", 0), ("cs.base", 0), ("rip", 0x1000)):
        vcpu.set_register(name, value)
    rates = []
    for count in (_OUTS, _TURNS):
        before = time.process_time()
        vcpu.run(1 << 40)
        rates.append(count / (time.process_time() - before))
    vm.close()
    accelerator.close()
    return rates[0], rates[1]


def stop_latency(count: int) -> list[float]:
    """Milliseconds from the wish to stop a machine until all its processors, which never leave by themselves, stand."""
    machine = Machine("stop", HostClock())
    ram = Memory("ram", 0x10000)
    ram.bytes[0x1000:0x1002] = b"\xeb\xfe"  # 1: jmp 1b
    machine.space.add_ram(0, ram)

    def begin(vcpu: Vcpu) -> None:
        for name, value in (("cs", 0), ("cs.base", 0), ("rip", 0x1000)):
            vcpu.set_register(name, value)

    machine.prepare = begin
    accelerator = KvmAccelerator(KvmOptions(controllers=False, timer=False))
    machine.attach(accelerator, count)
    machine.processors = Threads(machine)
    machine.start()
    found = []
    for _ in range(_STOPS):
        machine.resume()
        machine.settle()
        time.sleep(0.01)  # by then they run
        before = time.perf_counter()
        machine.pause()
        machine.settle()
        found.append((time.perf_counter() - before) * 1000)
    machine.close()
    accelerator.close()
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kvm", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names of bench/programs (default: all)")
    parser.add_argument("-n", "--runs", type=int, default=2, help="runs of each (default %(default)s)")
    parser.add_argument(
        "-t", "--seconds", type=float, default=1.5, help="how long each is to take (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    known = [program for program in PROGRAMS if program.stem not in _LEFT_OUT]
    unknown = set(options.workloads) - {program.stem for program in known}
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in known)}")
    reason = unavailable()
    if reason is not None or shutil.which("gcc") is None:
        sys.exit(f"bench: {reason or 'needs gcc (Debian package gcc)'}")
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}; seconds of processor time")
    print(f"{'workload':12} {'native':>8} {'KVM':>8} {'ratio':>6} {'exits':>9} {'a second':>9}")
    results = {}
    for source in known:
        if not options.workloads or source.stem in options.workloads:
            found = results[source.stem] = measure(build(source), options.seconds, options.runs)
            print(
                f"{source.stem:12} {found.native:8.3f} {found.kvm:8.3f} {found.ratio:6.3f} {found.exits:9,} "
                f"{found.exits_per_second:9,.0f}",
                flush=True,
            )
    mean = geometric_mean([found.ratio for found in results.values()])
    print(f"{'geometric mean':29} {mean:7.3f}")
    outs, turns = level_0()
    print(f"a machine at level 0: {outs:,.0f} exits (OUT) and {turns:,.0f} instructions a second of processor time")
    stops = {}
    for count in _PROCESSORS:
        found = stop_latency(count)
        stops[count] = {"median": found[len(found) // 2], "worst": found[-1]}
        print(f"a machine of {count} stands {stops[count]['median']:.2f} ms after the wish (worst {found[-1]:.2f} ms)")
    if options.json:
        figures = {name: {"native": one.native, "kvm": one.kvm, "exits": one.exits} for name, one in results.items()}
        whole = {"programs": figures, "exits_per_second": outs, "instructions_per_second": turns, "stops": stops}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
