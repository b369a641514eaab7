"""A directory that stands for the guest's root (-L): its files come first, what it lacks is the host's.

A guest's absolute path is looked up below the directory, and symbolic links met on the way are the guest's too: one to
/lib/x leads to /lib/x below the directory.  What is not there is taken from the host under the same path.  /proc, /sys
and /dev are always the host's, for they describe the machine that runs.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.linux.errors import fail

#: as many symbolic links as Linux follows in one path (MAXSYMLINKS)
_MOST_LINKS = 40
_OF_THE_HOST = (b"proc", b"sys", b"dev")


class Sysroot:
    """The directory `root`, an absolute host path."""

    __slots__ = ("root",)

    def __init__(self, root: bytes) -> None:
        self.root = os.path.realpath(root)

    def guest(self, path: bytes) -> bytes:
        """The guest's name of a host path: less the root, where it lies below it."""
        if path == self.root:
            return b"/"
        return path[len(self.root) :] if path.startswith(self.root + b"/") else path

    def host(self, path: bytes, follow: bool = True) -> bytes:
        """The host's path for an absolute path of the guest, whose last link is followed with `follow`."""
        inside = self.guest(path)
        known = inside is not path  # by its host name: it stays there, whether it exists or not
        found, exists, guest = self._walk(inside, follow)
        if exists or known:
            return found
        if os.path.lexists(guest) or os.path.isdir(os.path.dirname(guest)):
            return guest
        # Neither has it: it is made beside its neighbours, if they are below the root only.
        return found if os.path.isdir(os.path.dirname(found)) else guest

    def inside(self, directory: bytes, path: bytes, follow: bool = True) -> bytes | None:
        """The host's path for a relative path in the host directory `directory`; None: look it up there as it is."""
        base = self.guest(directory)
        if base is directory and directory != b"/":
            return None
        found, exists, guest = self._walk(base + b"/" + path, follow)
        if exists:
            return found
        return guest if os.path.lexists(guest) else None

    def _walk(self, path: bytes, follow: bool) -> tuple[bytes, bool, bytes]:
        """Look a guest's path up below the root: the host's path, whether it exists, and the guest's without links."""
        directory = path.endswith(b"/")
        left = [part for part in path.split(b"/") if part not in (b"", b".")][::-1]
        done: list[bytes] = []
        links = 0
        exists = True
        while left:
            part = left.pop()
            if part == b"..":
                if done:
                    done.pop()
                continue
            done.append(part)
            if done[0] in _OF_THE_HOST:
                break
            try:
                mode = os.lstat(self._join(done)).st_mode
            except OSError:
                exists = False
                break
            if not stat.S_ISLNK(mode) or not (left or follow or directory):
                continue
            links += 1
            if links > _MOST_LINKS:
                raise fail(errno.ELOOP)
            target = os.readlink(self._join(done))
            done.pop()
            if target.startswith(b"/"):
                done.clear()
            left += [part for part in target.split(b"/") if part not in (b"", b".")][::-1]
        done += left[::-1]
        guest = b"/" + b"/".join(done) + (b"/" if directory and done else b"")
        if done and done[0] in _OF_THE_HOST:
            return guest, True, guest
        return self._join(done) + (b"/" if directory and done else b""), exists, guest

    def _join(self, parts: list[bytes]) -> bytes:
        return b"/".join((self.root, *parts))
