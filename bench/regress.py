#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures again what an older result of fkm-bench holds, and fails where it has become slower.

regress.py FKM_BENCH OLD.json [ARGUMENT of fkm-bench]...

Runs the shapes of OLD.json on its backend (or what the arguments say), prints new over old for each, and exits with 1
if one is slower by more than the noise: the spread, from least to most, of both measurements together. On another
device, and where no shape is in both, nothing can be said: it exits with 2.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

CHOOSES_SHAPES = "--name", "--shape", "--sweep"
UNCOMPARABLE = 2


def measurements(report):
    """{(shape, what): {median, min, max}} in milliseconds."""
    found = {}
    for row in report.get("shapes", []):  # of a device
        for precision in "exact", "fast":
            for what in "fit_ms_per_iteration", "assign_ms":
                name = f"{precision} {what.split('_')[0]}"
                if what in row.get(precision, {}):
                    found[row["shape"], name] = row[precision][what]
    for row in report.get("fits", []):  # of the CPU
        seconds = sorted(row["seconds"])
        found[row["shape"], row["precision"] + " fit"] = {
            "median": 1e3 * row["median_seconds"], "min": 1e3 * seconds[0], "max": 1e3 * seconds[-1]}
    return found


def compare(old, new):
    """(shape, what, old ms, new ms, ratio, noise) of what both hold."""
    old, new = measurements(old), measurements(new)
    rows = []
    for key in old.keys() & new.keys():
        a, b = old[key], new[key]
        noise = (a["max"] - a["min"] + b["max"] - b["min"]) / a["median"]
        rows.append((*key, a["median"], b["median"], b["median"] / a["median"], noise))
    order = list(old)
    return sorted(rows, key=lambda row: order.index(row[:2]))


def print_table(rows):
    print(f"{'shape':24} {'':12} {'old ms':>10} {'new ms':>10} {'new/old':>8} {'noise':>7}")
    for shape, what, old, new, ratio, noise in rows:
        verdict = "  SLOWER" if ratio > 1 + noise else "  faster" if ratio < 1 - noise else ""
        print(f"{shape:24} {what:12} {old:10.4f} {new:10.4f} {ratio:8.3f} {noise:7.1%}{verdict}")


def measure(program, old, arguments, path):
    command = [program, "--backend", old["backend"], "--json", path]
    if not any(argument.split("=")[0] in CHOOSES_SHAPES for argument in arguments):
        for row in old.get("shapes") or old["fits"]:
            shape = ",".join(str(row[key]) for key in ("b", "n", "k", "d", "dtype"))
            named = ["--shape", shape] if row["shape"] == shape else ["--name", row["shape"]]
            if named[1] not in command:
                command += named
    # Status 1 may mean that one shape could not be measured; the others are in the report.
    subprocess.run(command + arguments, stdout=sys.stderr, check=False)
    return json.loads(pathlib.Path(path).read_text())


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, path, *arguments = sys.argv[1:]
    old = json.loads(pathlib.Path(path).read_text())
    with tempfile.TemporaryDirectory() as folder:
        new = measure(program, old, arguments, folder + "/new.json")
    print(f"old: {old['device']}, {old['commit']}, {old['date']}\nnew: {new['device']}, {new['commit']}\n")
    rows = compare(old, new)
    if old["device"] != new["device"] or not rows:
        print("another device" if rows else "no shape is in both", "- nothing can be compared", sep=" ")
        return UNCOMPARABLE
    print_table(rows)
    slower = [row for row in rows if row[4] > 1 + row[5]]
    print(f"\n{len(slower)} of {len(rows)} slower than the noise allows")
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
