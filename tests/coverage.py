"""Prints line coverage of core/src from lcov on standard input: `coverage.py BOUND [--lines]`. See `coverage`."""

import pathlib
import sys

bound = float(sys.argv[1])
root = pathlib.Path(__file__).resolve().parent.parent
src = root / "core" / "src"
hits = {}  # file: {line: count}
file = None
for record in sys.stdin:
    kind, _, value = record.rstrip("\n").partition(":")
    if kind == "SF":
        path = pathlib.Path(value)
        file = hits.setdefault(path, {}) if path.is_relative_to(src) else None
    elif kind == "DA" and file is not None:
        line, count = value.split(",")[:2]
        file[int(line)] = max(file.get(int(line), 0), int(count))


def in_tests(text):
    """The lines of `mod tests` at the end of a file."""
    for number, line in enumerate(text, 1):
        if line.startswith("#[cfg(test)]"):
            return range(number, len(text) + 1)
    return range(0)


total = run = 0
missed = []
for path in sorted(hits):
    text = path.read_text().split("\n")
    tests = in_tests(text)
    lines = {n: c for n, c in hits[path].items() if n not in tests}
    if not lines:
        continue
    here = sum(c > 0 for c in lines.values())
    total += len(lines)
    run += here
    name = path.relative_to(src)
    print(f"{100 * here / len(lines):6.1f} %  {len(lines) - here:4} of {len(lines):4} not run  {name}")
    missed += [f"{name}:{n}: {text[n - 1].strip()}" for n, c in sorted(lines.items()) if c == 0]
print(f"{100 * run / max(total, 1):6.2f} %  of {total} lines; at least {bound} % are asked for")
if "--lines" in sys.argv:
    print("\n".join(missed))
sys.exit(total == 0 or 100 * run / total < bound)
