"""The accelerators that `-accel` names, made for a board's processor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from isomorph.builds import NotGenerated, find_build
from isomorph.machines.options import Settings, UsageError
from runtime.core.accelerator import Accelerator
from runtime.core.cpu import load_isa
from runtime.core.record import replace
from runtime.hw.registry import parse_size
from runtime.tcg.tier_options import OptionError, TierOptions, options_from_environment

#: options of TCG's second tier
_TIER = ("tier1-threshold", "workers", "cache")
#: the instruction set of the processors that KVM lends
OF_KVM = "x86_64"


@dataclass(frozen=True)
class Execution:
    """How processors are to run: what a board and the options want of an accelerator.

    isa         the instruction set, by its name under build/
    icount      log2 of the ns an instruction takes; None: the clock is the host's
    threaded    each vCPU on a host thread of its own
    frequency   Hz of the platform's counter
    without     features of the processor that it is not to have
    """

    isa: str
    icount: int | None
    threaded: bool
    frequency: int
    options: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def _tcg(wanted: Execution) -> Accelerator:
    given = dict(wanted.options)
    text = given.pop("tb-size", "")
    try:
        size = parse_size(text, 1 << 20) if text else 0
    except ValueError:
        raise UsageError(f"-accel tcg,tb-size={text}: not a number of megabytes") from None
    tier = _tier(given)
    if given:
        known = ("thread", "tb-size", *_TIER)
        raise UsageError(f"-accel tcg: there is no option {min(given)}; there are {', '.join(known)}")
    try:
        isa = load_isa(find_build(wanted.isa))
    except NotGenerated as error:
        raise NotGenerated(f"{error}{'; try -accel kvm' if wanted.isa == OF_KVM else ''}") from None
    if not os.path.isfile(isa.system_blob_path):
        mend = "use -accel kvm" if wanted.isa == OF_KVM else f"generate it anew: isomorph gen {wanted.isa}"
        raise UsageError(f"-accel tcg: what is generated of {wanted.isa} runs programs, not machines; {mend}")
    module = import_module("runtime.tcg.system")
    size = size or module.DEFAULT_BYTES
    made: Accelerator = module.TcgAccelerator(isa, wanted.icount, wanted.threaded, wanted.frequency, size, tier)
    return made


def _tier(given: dict[str, str]) -> TierOptions:
    """How hot code is compiled, by options that are taken out of `given` and by the environment."""
    try:
        options = options_from_environment()
    except OptionError as error:
        raise UsageError(str(error)) from None
    texts = {name: given.pop(name) for name in _TIER if name in given}
    numbers = {}
    for name, field_name in (("tier1-threshold", "threshold"), ("workers", "workers")):
        if name in texts:
            if not texts[name].isdecimal():
                raise UsageError(f"-accel tcg,{name}={texts[name]}: not a number")
            numbers[field_name] = int(texts[name])
    cache = options.cache
    if "cache" in texts:
        kept = {"on": cache, "off": None}
        if texts["cache"] not in kept:
            raise UsageError(f"-accel tcg,cache={texts['cache']}: on or off")
        cache = kept[texts["cache"]]
    return replace(options, cache=cache, **numbers)


def _kvm(wanted: Execution) -> Accelerator:
    from runtime.kvm.accelerator import KvmAccelerator, KvmOptions

    given = dict(wanted.options)
    inside = given.pop("kernel-irqchip", "off") == "on"
    bells = given.pop("ioeventfd", "off")
    if bells not in ("on", "off"):
        raise UsageError(f"-accel kvm,ioeventfd={bells}: on or off")
    if given:
        raise UsageError(f"-accel kvm: there is no option {min(given)}; there is ioeventfd")
    if wanted.isa != OF_KVM:
        raise UsageError(f"-accel kvm: this machine's processor is an x86-64 one, not {wanted.isa}; use -accel tcg")
    if wanted.icount is not None:
        raise UsageError("-icount counts instructions, which KVM does not; use -accel tcg")
    return KvmAccelerator(KvmOptions(inside, inside, bells == "on", wanted.without))


#: name -> what it is, and how it is made
ACCELERATORS: dict[str, tuple[str, Callable[[Execution], Accelerator]]] = {
    "tcg": ("translation to host code", _tcg),
    "kvm": ("the host's processor, for machines of its own kind", _kvm),
}


def is_here(given: Settings) -> bool:
    """Whether an accelerator can be used on this host."""
    if given.kind != "kvm":
        return True
    from runtime.kvm.system import unavailable

    return unavailable() is None


def check_accelerator(given: Settings) -> None:
    """UsageError unless there is one of that name."""
    if given.kind not in ACCELERATORS:
        raise UsageError(
            f"-accel {given.text}: there is no accelerator {given.kind}; there are {', '.join(ACCELERATORS)}"
        )
