#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""regress.py over a benchmark program of the test's own, which prints a report that the test has written."""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

REGRESS = pathlib.Path(__file__).resolve().parents[1] / "regress.py"
PROGRAM = """#!/bin/sh
echo "$@" >"$0.arguments"
while [ $# -gt 1 ]; do
	[ "$1" != --json ] || cp "$0.json" "$2"
	shift
done
exit 1
"""


def times(median, spread):
    return {"median": median, "min": median - spread / 2, "max": median + spread / 2, "count": 5}


def cuda_report():
    return {"date": "D", "commit": "C", "backend": "cuda", "device": "GPU", "shapes": [
        {"shape": name, "b": 1, "n": 100, "k": 5, "d": 3, "dtype": "f16",
         "exact": {"fit_ms_per_iteration": times(1.0, 0.02), "assign_ms": times(0.5, 0.02)},
         "fast": {"fit_ms_per_iteration": times(0.8, 0.02), "assign_ms": times(0.4, 0.02)}}
        for name in ("named", "1,100,5,3,f16")]}


def host_report(seconds):
    return {"date": "D", "commit": "C", "backend": "cpu", "device": "CPU", "fits": [
        {"shape": "named", "b": 1, "n": 100, "k": 5, "d": 3, "dtype": "f32", "precision": "exact",
         "median_seconds": sorted(seconds)[1], "seconds": seconds}]}


class Regress(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = pathlib.Path(folder.name) / "fkm-bench"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def run_it(self, old, new, *arguments):
        (old_path := self.program.with_suffix(".old")).write_text(json.dumps(old))
        pathlib.Path(f"{self.program}.json").write_text(json.dumps(new))
        done = subprocess.run([sys.executable, REGRESS, self.program, old_path, *arguments], capture_output=True,
                              text=True, env=os.environ | {"PYTHONIOENCODING": "utf-8"})
        self.assertEqual("Traceback" in done.stderr, False, done.stderr)
        return done.returncode, done.stdout

    def test_same_times_pass_and_the_old_shapes_are_run(self):
        status, out = self.run_it(cuda_report(), cuda_report())
        self.assertEqual(status, 0)
        self.assertIn("0 of 8 slower", out)
        words = pathlib.Path(f"{self.program}.arguments").read_text().split()
        self.assertEqual(words[:2], ["--backend", "cuda"])
        self.assertEqual(words[4:], ["--name", "named", "--shape", "1,100,5,3,f16"])

    def test_arguments_may_choose_the_shapes(self):
        self.run_it(cuda_report(), cuda_report(), "--name", "other")
        words = pathlib.Path(f"{self.program}.arguments").read_text().split()
        self.assertEqual(words[4:], ["--name", "other"])

    def test_slower_by_more_than_both_spreads_fails(self):
        new = copy.deepcopy(cuda_report())
        new["shapes"][1]["exact"]["assign_ms"] = times(0.55, 0.02)  # 10 % more, the spreads are 8 %
        status, out = self.run_it(cuda_report(), new)
        self.assertEqual(status, 1)
        self.assertIn("1 of 8 slower", out)
        self.assertEqual([line.split()[:2] for line in out.splitlines() if line.endswith("SLOWER")],
                         [["1,100,5,3,f16", "exact"]])

    def test_slower_within_the_spreads_passes(self):
        new = copy.deepcopy(cuda_report())
        new["shapes"][0]["fast"]["fit_ms_per_iteration"] = times(0.88, 0.07)  # 10 % more, the spreads are 11 %
        self.assertEqual(self.run_it(cuda_report(), new)[0], 0)

    def test_faster_passes(self):
        new = copy.deepcopy(cuda_report())
        new["shapes"][0]["fast"]["fit_ms_per_iteration"] = times(0.4, 0.02)
        status, out = self.run_it(cuda_report(), new)
        self.assertEqual(status, 0)
        self.assertIn("faster", out)

    def test_wall_clock_of_the_host(self):
        self.assertEqual(self.run_it(host_report([1.0, 1.1, 1.05]), host_report([1.06, 1.2, 1.0]))[0], 0)
        self.assertEqual(self.run_it(host_report([1.0, 1.1, 1.05]), host_report([1.3, 1.31, 1.29]))[0], 1)

    def test_another_device_says_nothing(self):
        new = cuda_report() | {"device": "another"}
        self.assertEqual(self.run_it(cuda_report(), new)[0], 2)

    def test_no_common_shape_says_nothing(self):
        self.assertEqual(self.run_it(cuda_report(), cuda_report() | {"shapes": []})[0], 2)


if __name__ == "__main__":
    unittest.main()
