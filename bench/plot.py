"""`python -m bench.plot raw.json`: the figures of `python -m bench --json raw.json` as a picture and as text.

The picture (PNG, beside the figures or where -o says) needs matplotlib, of the `bench` extra; the text, a table and
bars for docs/performance.md, needs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.__main__ import WHO, geometric_mean

BAR = 40
Figures = dict[str, dict[str, dict[str, float]]]


def medians(raw: Figures) -> dict[str, dict[str, float]]:
    """workload -> contender -> median seconds."""
    return {name: {who: times[who]["median"] for who in WHO} for name, times in raw.items()}


def text(raw: Figures) -> Iterator[str]:
    """Lines of Markdown: the table, then how fast each contender is against qemu, as bars."""
    found = medians(raw)
    ours = WHO[2:]
    head = ["workload", *WHO, *(f"qemu ÷ {who}" for who in ours), "warm ÷ native"]
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'--:|' * (len(head) - 1)}"
    for name, times in found.items():
        cells = [f"{times[who]:.3f}" for who in WHO]
        cells += [f"{times['qemu'] / times[who]:.2f}" for who in ours]
        cells.append(f"{times['warm'] / times['native']:.2f}")
        yield f"| {' | '.join([name, *cells])} |"
    means = [geometric_mean([t["qemu"] / t[who] for t in found.values()]) for who in ours]
    steady = geometric_mean([t["warm"] / t["native"] for t in found.values()])
    cells = [""] * len(WHO) + [f"{mean:.2f}" for mean in means] + [f"{steady:.2f}"]
    yield f"| geometric mean | {' | '.join(cells)} |"
    yield ""
    yield "```"
    most = max(t["qemu"] / t[who] for t in found.values() for who in ours)
    yield f"speed against qemu (1 is as fast); a full bar is {most:.1f}"
    for name, times in found.items():
        for who in ours:
            ratio = times["qemu"] / times[who]
            label = name if who == ours[0] else ""
            yield f"{label:12} {who:7} {'#' * max(1, round(BAR * ratio / most))} {ratio:.2f}"
    yield "```"


def picture(raw: Figures, target: Path) -> None:
    """Bars of the speed against qemu, on a logarithmic scale, with least and most."""
    try:
        matplotlib: Any = import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot: Any = import_module("matplotlib.pyplot")
    except ImportError:
        sys.exit("bench.plot: the picture needs matplotlib: pip install -e '.[bench]' (or --text alone)")
    names = list(raw)
    ours = ("native", *WHO[2:])
    figure, axes = pyplot.subplots(figsize=(10, 4.5))
    width = 0.8 / len(ours)
    for number, who in enumerate(ours):
        ratios = [raw[name]["qemu"]["median"] / raw[name][who]["median"] for name in names]
        low = [raw[name]["qemu"]["median"] / raw[name][who]["max"] for name in names]
        high = [raw[name]["qemu"]["median"] / raw[name][who]["min"] for name in names]
        errors = [
            [ratio - least for ratio, least in zip(ratios, low, strict=True)],
            [most - ratio for ratio, most in zip(ratios, high, strict=True)],
        ]
        places = [index + width * (number - (len(ours) - 1) / 2) for index in range(len(names))]
        axes.bar(places, ratios, width, yerr=errors, label=who, error_kw={"elinewidth": 0.8})
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylabel("speed against qemu-user")
    axes.legend(ncols=len(ours), loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("raw", type=Path, help="what `python -m bench --json` wrote")
    parser.add_argument("-o", "--output", type=Path, help="the picture (default: beside the figures)")
    parser.add_argument("--text", action="store_true", help="print the text only")
    options = parser.parse_args()
    try:
        raw: Figures = json.loads(options.raw.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"bench.plot: {options.raw}: {error}")
    print("\n".join(text(raw)))
    if not options.text:
        picture(raw, options.output or options.raw.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
