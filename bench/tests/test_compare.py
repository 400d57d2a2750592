#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py's driver over a worker that dies, hangs and loses the device on cue: every task ends as a row."""
import argparse
import json
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import compare  # noqa: E402

# What a peer does is its name.
WORKER = """
import json, os, sys, time
for part, peer, what in json.load(open(sys.argv[1])):
    print(json.dumps({"starts": [part, peer, what]}), flush=True)
    if peer == "dies" or peer == what:
        os._exit(7)
    if peer == "hangs":
        time.sleep(100)
    print("noise that a library makes")
    print(json.dumps({"row": {"part": part, "peer": peer, "what": what, "value": 1}}), flush=True)
    if peer == "loses":
        sys.exit(3)
"""


def command(path):
    return [sys.executable, "-c", WORKER, str(path)]


class Driver(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "report.json"
        self.report = compare.Report(self.path)

    def run_tasks(self, *tasks, limit=20.0, budget=60.0, command=command):
        tasks = [["speed", *task.split("/")] for task in tasks]
        compare.run_tasks(command, tasks, self.report, limit, time.time() + budget)
        rows = json.loads(self.path.read_text())["rows"]
        self.assertEqual(sorted(tasks), sorted([row["part"], row["peer"], row["what"]] for row in rows))
        return {row["peer"] + "/" + row["what"]: row.get("open_failed") for row in rows}

    def test_all_well(self):
        self.assertEqual(self.run_tasks("a/1", "b/1", "a/2"), {"a/1": None, "b/1": None, "a/2": None})

    def test_one_death_costs_one_task(self):
        rows = self.run_tasks("a/1", "c/c", "a/2", "c/2")
        self.assertIn("status 7", rows.pop("c/c"))
        self.assertEqual(rows, {"a/1": None, "a/2": None, "c/2": None})

    def test_who_dies_again_is_left_out(self):
        rows = self.run_tasks("dies/1", "a/1", "dies/2", "a/2", "dies/3", "a/3")
        self.assertIn("status 7", rows["dies/1"])
        self.assertIn("status 7", rows["dies/2"])
        self.assertEqual(rows["dies/3"], "has ended the process 2 times")
        self.assertEqual([rows["a/1"], rows["a/2"], rows["a/3"]], [None] * 3)

    def test_a_lost_device_means_a_new_process(self):
        rows = self.run_tasks("loses/1", "a/1", "loses/2", "a/2", "loses/3")
        self.assertEqual(rows["loses/3"], "has ended the process 2 times")
        self.assertEqual([rows["a/1"], rows["a/2"], rows["loses/1"], rows["loses/2"]], [None] * 4)

    def test_a_slow_task_is_ended(self):
        begin = time.time()
        rows = self.run_tasks("a/1", "hangs/1", "a/2", limit=2)
        self.assertEqual(rows, {"a/1": None, "hangs/1": "took more than 2 s", "a/2": None})
        self.assertLess(time.time() - begin, 30)

    def test_the_budget_ends_the_run(self):
        rows = self.run_tasks("a/1", "hangs/1", "a/2", budget=3)
        self.assertEqual(rows, {"a/1": None, "hangs/1": compare.OUT_OF_TIME, "a/2": compare.OUT_OF_TIME})

    def test_the_budget_ends_a_first_result_too(self):
        options = argparse.Namespace(library="none", task_seconds=60)
        row = compare.first_result(options, "hangs", ("points", "start"), self.path.parent, time.time())
        self.assertEqual(row, {"first_failed": compare.OUT_OF_TIME})

    def test_no_worker_at_all(self):
        rows = self.run_tasks("a/1", "b/1", command=lambda path: [sys.executable, "-c", "raise SystemExit(5)"])
        self.assertEqual(set(rows.values()), {"the worker ended with status 5 before its first task"})


class Tasks(unittest.TestCase):
    def test_the_largest_shapes_last_and_none_of_them_on_the_cpu(self):
        shapes = {"huge": "1,1048576,65536,128,f16", "small": "1,64,2,2,f32", "large": "32,65536,1024,128,f16"}
        kinds = [argparse.Namespace(name="gpu", on_gpu=True), argparse.Namespace(name="cpu", on_gpu=False)]
        tasks = compare.tasks_of("speed", argparse.Namespace(shape=None, shapes=shapes), kinds)
        self.assertEqual(tasks, [["speed", "gpu", "small"], ["speed", "cpu", "small"], ["speed", "gpu", "large"],
                                 ["speed", "gpu", "huge"]])


if __name__ == "__main__":
    unittest.main()
