"""What an engine and its user give so that a guest process can have several threads (runtime/linux/threads.py)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Protocol

    from runtime.core.cpu import Vcpu
    from runtime.linux.process import Execute, Thread

    class World(Protocol):
        """The vCPUs of one machine: runtime.tcg.world.World, or KVM's."""

        def stopped(self, env: int = 0) -> AbstractContextManager[object]:
            """`with world.stopped():` nobody is about to touch memory that is taken away."""

        def keep_only(self, env: int) -> None:
            """After a fork: the other vCPUs' threads are not in this process."""

    #: makes another vCPU like one, and what runs it
    Recruit = Callable[[Vcpu], tuple[Vcpu, Execute]]


class Crew:
    """What an engine gives to run several threads of a process.

    world     its vCPUs, to be stopped while memory is taken away
    recruit   makes another vCPU
    adopt     for a process that forked off a thread which was not the first: goes on with what that thread raised
    """

    def __init__(
        self,
        world: World,
        recruit: Recruit,
        adopt: Callable[[Thread, Execute, BaseException], None] | None = None,
    ) -> None:
        self.world = world
        self.recruit = recruit
        self.adopt = adopt
