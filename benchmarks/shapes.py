"""Time the linter with its rules about shapes against the same linter without them, in one run on the same trees.

The trees are releases that `make ecosystem` uses. Each contender is a fresh process over a whole tree, with one process of its
own; rounds are interleaved, and CPU seconds are user and system time of the whole process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from lint import HOME, Contender, Cost, linter, measure, median

from mldbg.lint.registry import rules

TREES = ("torchvision", "kornia", "timm", "diffusers", "transformers")
SHAPES = ",".join(rule.name for rule in rules() if rule.about_shapes)


def fetched(names: list[str]) -> list[Path]:
    """The trees of these releases, downloaded where they are missing."""
    command = [sys.executable, str(HOME / "tools" / "ecosystem.py"), "--fetch", *names]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [Path(line) for line in found.stdout.splitlines() if Path(line).is_dir()]


def contenders(tree: Path) -> tuple[Contender, Contender]:
    """With the rules about shapes, and without."""
    whole = linter(tree)
    return whole, replace(whole, command=[*whole.command, "--ignore", SHAPES])


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("trees", nargs="*", default=TREES, metavar="PACKAGE", help=f"default: {' '.join(TREES)}")
    arguments.add_argument("--rounds", type=int, default=1, help="how often each contender runs (default: 1)")
    options = arguments.parse_args()
    print(f"{'':<26}{'with shapes':>14}{'without':>12}{'ratio':>8}{'peak MB':>10}{'without':>10}   CPU seconds", flush=True)
    total = [0.0, 0.0]
    for tree in fetched(list(options.trees)):
        costs: list[list[Cost]] = [[], []]
        for _ in range(options.rounds):
            for contender, measured in zip(contenders(tree), costs, strict=True):
                measured.append(measure(contender))
        whole, bare = (median(measured) for measured in costs)
        total = [total[0] + whole.cpu, total[1] + bare.cpu]
        ratio = whole.cpu / bare.cpu
        print(f"{tree.name:<26}{whole.cpu:>14.1f}{bare.cpu:>12.1f}{ratio:>8.2f}{whole.peak:>10.0f}{bare.peak:>10.0f}", flush=True)
    print(f"{'all':<26}{total[0]:>14.1f}{total[1]:>12.1f}{total[0] / total[1]:>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
