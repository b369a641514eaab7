"""The vCPUs of one machine that run native code side by side, and how all of them are stopped for a moment.

A vCPU is in native code or it is not (threads.ll).  Who stops the world waits until no other one is, which takes a
slice of the instruction budget at most, and none enters before the world goes on.  A thread that sleeps in a system
call of the host's is not in native code.
"""

from __future__ import annotations

from _thread import RLock

from runtime.core.foreign import CFUNCTYPE, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.tcg.blobs import Blob

MOST_VCPUS = 4096


class World:
    """All vCPUs that share one TcgContext, which is at host address `tcg`.

    lock    held by whoever changes what they share, and by whoever has stopped them
    vcpus   address of each one's env -> address of its jump cache
    """

    def __init__(self, code: Blob, tcg: int) -> None:
        self.lock = RLock()
        self.vcpus: dict[int, int] = {}
        self._tcg = tcg
        self._depth = 0
        self._closed = False
        pair = CFUNCTYPE(None, c_void_p, c_void_p)
        triple = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)
        self._add: Callable[[int, int, int], None] = triple(code.address("world_add"))
        self._remove: Callable[[int, int, int], None] = triple(code.address("world_remove"))
        self._stop: Callable[[int, int], None] = pair(code.address("world_stop"))
        self._go: Callable[[int], None] = CFUNCTYPE(None, c_void_p)(code.address("world_go"))

    def add(self, env: int, jump_cache: int) -> None:
        """A vCPU more."""
        with self.lock:
            if len(self.vcpus) == MOST_VCPUS:
                raise ValueError(f"a machine has at most {MOST_VCPUS} virtual CPUs")
            self.vcpus[env] = jump_cache
            self._add(self._tcg, env, jump_cache)

    def remove(self, env: int) -> None:
        """One less; nothing when it is not known."""
        with self.lock:
            jump_cache = self.vcpus.pop(env, None)
            if jump_cache is not None:
                self._remove(self._tcg, env, jump_cache)

    def keep_only(self, env: int) -> None:
        """After a fork: the other vCPUs' threads are not in this process."""
        for other in list(self.vcpus):
            if other != env:
                self.remove(other)

    def stopped(self, env: int = 0) -> Stopped:
        """`with world.stopped():` nobody is in native code.  The vCPU of `env`, the caller's, can still be entered."""
        return Stopped(self, env)

    @property
    def is_shared(self) -> bool:
        """Whether there is more than one vCPU."""
        return len(self.vcpus) > 1

    def stop(self, env: int) -> None:
        """Hold the lock with the world stopped; may be nested."""
        self.lock.acquire()
        self._depth += 1
        if self._depth == 1 and len(self.vcpus) > 1:
            self._closed = True
            self._stop(self._tcg, env)

    def go(self) -> None:
        """The opposite of stop."""
        self._depth -= 1
        if self._depth == 0 and self._closed:
            self._closed = False
            self._go(self._tcg)
        self.lock.release()


class Stopped:
    """The world while it is stopped."""

    __slots__ = ("_env", "_world")

    def __init__(self, world: World, env: int) -> None:
        self._world = world
        self._env = env

    def __enter__(self) -> None:
        self._world.stop(self._env)

    def __exit__(self, *_: object) -> None:
        self._world.go()
