"""Keeping translated code true to the guest's: what happens to blocks when the pages they came from change.

Native code notices a store into a page of code by itself (mem_slow.ll) and exits with CODE_WRITE when the
bytes stored to were translated; Python's own writes and map changes come through GuestMemory.on_code_change.  Either
way the blocks are freed first and the change is made after, so guests need no cache maintenance to be run correctly.
"""

from __future__ import annotations

from runtime.core.cpu import Vcpu
from runtime.core.env import ENV, PAGE_BITS
from runtime.core.memory import GuestMemory
from runtime.tcg.code_cache import CodeCache

_FAULT_ADDRESS = ENV["fault_address"] // 8


def watch(memory: GuestMemory, cache: CodeCache) -> None:
    """Free a page's blocks before Python changes the page."""
    memory.on_code_change = cache.invalidate_pages


def code_written(vcpu: Vcpu, cache: CodeCache) -> None:
    """First half of the answer to CODE_WRITE: free the blocks of the page about to be stored to.

    The whole page goes, not just the blocks that the store hits: whoever writes code writes more of it, and stores to
    a page without code need no slow path.  The second half is to make the store by a single step: a new block that
    begins with it could hold the very bytes it changes.
    """
    page = vcpu.words[_FAULT_ADDRESS] >> PAGE_BITS
    cache.invalidate_pages(page, page)
