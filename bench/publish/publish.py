#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what results say into the pages that quote them: tables between markers, and figures.

  publish.py [--cuda FILE] [--sweeps FILE] [--peers FILE] [--cpu FILE]   new results, or the same ones again
  publish.py --check       fails where a table is not what its result gives, or what a result measured has changed since

A block of a page begins with a marker that names what it is and its result, and ends with another:

  <!-- results cuda: bench/results/h200.json -->  ...  <!-- end of results -->

Kinds of tables are the functions of tables.py; "figure NAME" is one of figures.py (matplotlib), in docs/figures.
"""
import argparse
import json
import os
import pathlib
import re
import sys

import current
import tables

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = "README.md", "docs/performance.md"
FIGURES = "docs/figures"
BLOCK = re.compile(r"<!-- results (?P<kind>[^:]+): (?P<source>\S+) -->\n.*?<!-- end of results -->", re.DOTALL)
# Which option brings the result of a kind of block.
OPTIONS = {
    "cuda": ("cuda", "figure floor"), "sweeps": ("figure sweeps",), "cpu": ("cpu",),
    "peers": ("peers", "fits", "assignments", "claims", "labels", "quality", "costs", "figure peers", "figure labels",
              "figure stages"),
}
CAPTIONS = {
    "floor": "Share of the floor that exact fits reach, by shape",
    "sweeps": "Milliseconds per iteration against N, K and d, with the floor",
    "stages": "Where an iteration's time goes, by shape",
    "peers": "Milliseconds per iteration of each system, by shape",
    "labels": "Wrong labels of each system, by data",
}


def option_of(kind):
    return next(option for option, kinds in OPTIONS.items() if kind in kinds)


def relative(path, page):
    return os.path.relpath(path, os.path.dirname(page) or ".")


def content(kind, source, page, top):
    report = json.loads((top / source).read_text())
    if kind.startswith("figure "):
        name = kind.split()[1]
        return (f"![{CAPTIONS[name]}]({relative(f'{FIGURES}/{name}.svg', page)})\n\n"
                f"{CAPTIONS[name]}. {tables.origin(report, relative(source, page))}")
    return tables.KINDS[kind](report, relative(source, page))


def page_with(page, text, sources, top):
    """The page's text with every block made anew, from sources[option] where that is given."""
    def block(match):
        kind, source = match["kind"], sources.get(option_of(match["kind"])) or match["source"]
        return f"<!-- results {kind}: {source} -->\n{content(kind, source, page, top)}\n<!-- end of results -->"
    return BLOCK.sub(block, text)


def blocks(page, top):
    return [(match["kind"], match["source"]) for match in BLOCK.finditer((top / page).read_text())]


def publish(sources, top):
    for page in PAGES:
        path = top / page
        path.write_text(page_with(page, path.read_text(), sources, top))
    import figures
    (top / FIGURES).mkdir(exist_ok=True)
    for kind, source in sorted({block for page in PAGES for block in blocks(page, top)}):
        if kind.startswith("figure "):
            name = kind.split()[1]
            figures.draw(name, json.loads((top / source).read_text()), top / FIGURES / f"{name}.svg", source)


def check(top):
    """What is wrong, a sentence each."""
    problems, notes = [], []
    used = {}
    for page in PAGES:
        text = (top / page).read_text()
        if page_with(page, text, {}, top) != text:
            problems.append(f"{page}: a table is not what its result gives; run bench/publish/publish.py")
        for kind, source in blocks(page, top):
            used.setdefault(source, set()).add(option_of(kind))
            figure = top / FIGURES / f"{kind.split()[-1]}.svg"
            if kind.startswith("figure ") and (not figure.exists() or source not in figure.read_text()):
                problems.append(f"{page}: {FIGURES}/{figure.name} was not drawn from {source}; "
                                "run bench/publish/publish.py")
    for source, options in sorted(used.items()):
        commit = json.loads((top / source).read_text())["commit"]
        for option in sorted(options):
            verdict = current.changes_since(top, commit, current.PATHS[option])
            if isinstance(verdict, str):
                notes.append(f"{source}: {verdict}")
            elif verdict:
                problems.append(f"{source} is older than what it measured: since {commit} changed {', '.join(verdict)}")
    return problems, notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    for option in OPTIONS:
        parser.add_argument("--" + option, metavar="FILE", help=f"the result for: {', '.join(OPTIONS[option])}")
    options = parser.parse_args()
    if options.check:
        problems, notes = check(TOP)
        for line in notes + problems:
            print(line)
        return bool(problems)
    given = {option: getattr(options, option) for option in OPTIONS}
    publish({option: os.path.relpath(path, TOP) for option, path in given.items() if path}, TOP)
    return 0


if __name__ == "__main__":
    sys.exit(main())
