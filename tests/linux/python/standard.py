"""Run by a guest's python3: the language, and modules that lean on the C library and the system."""

import array
import asyncio
import collections
import datetime
import decimal
import fractions
import hashlib
import heapq
import io
import itertools
import json
import math
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib


def language() -> None:
    squares = {number: number**2 for number in range(10) if number % 3}
    print(squares, sum(itertools.accumulate(range(100))), sorted(["the", "quick", "brown", "fox"], key=len))
    print(f"{math.pi:.12f} {1e300 * 1e10} {7 // -2} {7 % -2} {2**200} {0.1 + 0.2!r} {-3.5:+08.2f}")
    try:
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("wrapped") from error
    except ValueError as error:
        print(error, repr(error.__cause__))
    match [1, {"key": (2, 3)}]:
        case [first, {"key": (second, *rest)}]:
            print(first, second, rest)

    def generator(limit):
        received = yield "started"
        for index in range(limit):
            received = yield (index, received)

    values = generator(2)
    print(next(values), values.send("a"), values.send("b"), list(values))

    def deep(level):
        return 0 if not level else 1 + deep(level - 1)

    print(deep(500))
    try:
        deep(100000)
    except RecursionError:
        print("recursion")


def modules() -> None:
    print(json.loads(json.dumps({"a": [1, 2.5, None, "ü"]})), re.sub(r"(\w+) (\w+)", r"\2 \1", "hello world"))
    print(hashlib.sha256(b"data").hexdigest(), hashlib.md5(b"data").hexdigest(), zlib.crc32(b"data"))
    print(zlib.decompress(zlib.compress(b"x" * 10000)) == b"x" * 10000, struct.pack(">IhQ", 1, -2, 3).hex())
    print(decimal.Decimal(1) / 7, fractions.Fraction(3, 6), collections.Counter("mississippi").most_common(2))
    print(datetime.datetime.fromtimestamp(1_000_000_000, datetime.UTC).isoformat(), time.gmtime(0)[:6])
    random.seed(1)
    print(random.random(), random.sample(range(100), 5), heapq.nsmallest(3, [5, 1, 4, 2]))
    print(array.array("d", [1, 2, 3]).tobytes().hex(), textwrap.fill("a few words " * 5, 20))
    print([round(function(0.7), 12) for function in (math.sin, math.gamma, math.erf, math.expm1, math.log2)])


def system() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file")
        path.write_text("line one\nline two\n")
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
            mapping[:4] = b"LINE"
            print(mapping.find(b"two"), mapping[:8])
        print(path.read_text().splitlines(), path.stat().st_size, sorted(os.listdir(folder)))
        shutil.copy(path, pathlib.Path(folder, "copy"))
        print(sorted(entry.name for entry in os.scandir(folder)), os.path.samefile(path, path))
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    print(os.read(reader, 100), io.BytesIO(b"abc").read(2))
    caught = []
    signal.signal(signal.SIGALRM, lambda number, frame: caught.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not caught:
        time.sleep(0.01)
    print(caught[0] == signal.SIGALRM, time.monotonic() > 0)

    async def both():
        async def later(name, delay):
            await asyncio.sleep(delay)
            return name

        return await asyncio.gather(later("slow", 0.02), later("fast", 0))

    print(asyncio.run(both()))
    child = os.fork()
    if not child:
        os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if len(sys.argv) > 1:
        done = subprocess.run([sys.argv[1], "-c", "print(6 * 7)"], capture_output=True, check=False)
        print(done.returncode, done.stdout)


if __name__ == "__main__":
    language()
    modules()
    system()
    sys.exit(4)
