#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""publish.py --check over a repository of the test's own: stale tables, stale code, missing history."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "publish"))
import kernels  # noqa: E402
import publish  # noqa: E402
import tables  # noqa: E402

KERNEL = "kernels/cuda/one.cu"
RESULT = "bench/results/one.json"


def report(commit):
    times = {"median": 2.0, "min": 1.9, "max": 2.1, "count": 5}
    return {"date": "2026-01-01T00:00:00Z", "commit": commit, "backend": "cuda", "device": "GPU", "shapes": [
        {"shape": "some", "b": 1, "n": 2, "k": 2, "d": 2, "dtype": "f16", "exact": {"fit_ms_per_iteration": times},
         "fast": {"fit_ms_per_iteration": times}, "share_of_floor": {"fit": 0.5}, "workspace_bytes_per_point": 16.0,
         "check": {"rows": 10, "differing": 0}}], "first_fit_ms": {"fit": 30.0}}


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.git("init", "-q")
        self.write(KERNEL, '__global__ void k() { put("/* text */"); } /* remark */\n')
        self.write("kernels/hip/other.hip", "int a;\n")
        self.commit = self.commit_all()
        self.write(RESULT, json.dumps(report(self.commit)))
        self.write("docs/performance.md", "nothing\n")
        text = f"<!-- results cuda: {RESULT} -->\n<!-- end of results -->\n"
        self.write("README.md", publish.page_with("README.md", text, {}, self.top))
        self.commit_all()

    def git(self, *arguments):
        return subprocess.run(["git", "-C", self.top, "-c", "user.name=n", "-c", "user.email=e@x", *arguments],
                              check=True, capture_output=True, text=True).stdout

    def write(self, path, text):
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text)

    def commit_all(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "c")
        return self.git("rev-parse", "--short=12", "HEAD").strip()

    def problems(self):
        return publish.check(self.top)[0]

    def test_nothing_is_wrong(self):
        self.assertEqual(publish.check(self.top), ([], []))
        self.assertIn("| some | 1, 2, 2, 2 f16 | 2 | 50 % | 2 |", (self.top / "README.md").read_text())

    def test_a_changed_figure_in_the_page(self):
        readme = self.top / "README.md"
        readme.write_text(readme.read_text().replace("50 %", "90 %"))
        self.assertEqual(len(self.problems()), 1)
        self.assertIn("not what its result gives", self.problems()[0])

    def test_a_kernel_changed_after_the_result(self):
        self.write(KERNEL, '__global__ void k() { put("/* other */"); }\n')
        for committed in False, True:
            if committed:
                self.commit_all()
            self.assertEqual(len(self.problems()), 1)
            self.assertIn(KERNEL, self.problems()[0])

    def test_a_kernel_was_added(self):
        self.write("backends/cuda/new.c", "int a;\n")
        self.assertIn("backends/cuda/new.c", self.problems()[0])

    def test_remarks_layout_and_other_backends_do_not_count(self):
        self.write(KERNEL, '/* another remark */\n__global__ void k()\n{\n\tput("/* text */"); // more\n}\n')
        self.write("kernels/hip/other.hip", "int b;\n")
        self.commit_all()
        self.assertEqual(self.problems(), [])

    def test_a_result_of_no_commit(self):
        for commit, word in (self.commit + "-dirty", "in no commit"), ("0123456789ab", "no commit 0123456789ab"):
            self.write(RESULT, json.dumps(report(commit)))
            self.write("README.md", publish.page_with("README.md", (self.top / "README.md").read_text(), {}, self.top))
            self.assertEqual(len(self.problems()), 1)
            self.assertIn(word, self.problems()[0])

    def test_where_there_is_no_history_nothing_is_claimed(self):
        copy = self.top / "shallow"
        subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{self.top}", copy], check=True)
        problems, notes = publish.check(copy)
        self.assertEqual((problems, len(notes)), ([], 1))
        shutil.rmtree(self.top / "shallow")
        shutil.rmtree(self.top / ".git")
        problems, notes = publish.check(self.top)
        self.assertEqual((problems, len(notes)), ([], 1))

    def test_a_figure_that_was_not_drawn(self):
        text = f"<!-- results figure floor: {RESULT} -->\n<!-- end of results -->\n"
        self.write("docs/performance.md", publish.page_with("docs/performance.md", text, {}, self.top))
        self.assertIn("(figures/floor.svg)", (self.top / "docs/performance.md").read_text())
        self.assertIn("was not drawn", self.problems()[0])
        self.write("docs/figures/floor.svg", f"<svg>{RESULT}</svg>")
        self.assertEqual(self.problems(), [])


class Tables(unittest.TestCase):
    def peers_report(self, ours):
        values = {"flashkmeans cuda": ours, "flash-kmeans": 2.0, "cuVS": 40.0, "PyTorch": 10.0}
        return {"date": "2026-01-01", "commit": "c", "device": "GPU", "command": "compare.py", "rows": [
            {"part": "speed", "peer": peer, "what": "paper-8m-1k", "fit_ms_per_iteration": {"median": value}}
            for peer, value in values.items()] + [
            {"part": "speed", "peer": "FAISS GPU", "what": "paper-8m-1k", "open_failed": "no such thing"}]}

    def test_who_wins_is_said(self):
        text = tables.peers(self.peers_report(1.0), "x.json")
        self.assertIn("| paper-8m-1k | **1** | 2 | 40 | 10 | 2× |", text)
        self.assertIn("No other system is the fastest", text)
        text = tables.peers(self.peers_report(4.0), "x.json")
        self.assertIn("| paper-8m-1k | 4 | **2** | 40 | 10 | 0.5× |", text)
        self.assertIn("Faster than this library: flash-kmeans on paper-8m-1k.", text)

    def test_shapes_are_in_their_order_not_in_that_of_the_run(self):
        report = self.peers_report(1.0) | {"shapes": {"first": "", "paper-8m-1k": ""}}
        report["rows"].append({"part": "speed", "peer": "PyTorch", "what": "first", "fit_ms_per_iteration": 3.0})
        self.assertEqual(tables.grid(report, "speed", "fit_ms_per_iteration")[1], ["first", "paper-8m-1k"])

    def test_claims_are_ratios_to_the_named_system(self):
        text = tables.claims(self.peers_report(1.0), "x.json")
        self.assertIn("| 17.9× over the best other, whole fit | paper-8m-1k | 5× | 10× |", text)
        self.assertIn("| 33× over cuML, whole fit | paper-8m-1k | 20× | 40× |", text)
        self.assertIn("| over 200× over FAISS, whole fit | – | – | – |", text)

    def test_what_was_not_measured_has_its_reason(self):
        self.assertIn("- FAISS GPU, paper-8m-1k: no such thing", tables.reasons(self.peers_report(1.0), ("speed",)))

    def test_kernels_are_of_the_stage_that_their_names_say(self):
        for stage, names in enumerate((
                ("fkmi_cuda_small",),
                ("fkmi_sm90_d64_recheck", "fkmi_sm90_decide", "fkmi_sm90_scan", "fkmi_k_scan", "fkmi_k_filter_unique",
                 "fkmi_k_matrix_recheck_d64"),
                ("fkmi_sm90_d16_few", "fkmi_sm90_d128_few", "fkmi_sm90_d128_many", "fkmi_sm90_any", "fkmi_split_d8",
                 "fkmi_k_matrix_filter_any", "fkmi_k_filter"),
                ("fkmi_k_sum_any_f32", "fkmi_k_count_entries", "fkmi_k_sort_place", "fkmi_k_local_sums"),
                ("fkmi_k_finish", "fkmi_k_find_empty", "fkmi_k_choose_moves", "fkmi_k_store_centroids"),
                ("fkmi_sm90_convert", "fkmi_sm90_measure", "fkmi_k_filter_operands", "Memset (Device)", "fkmi_store"))):
            self.assertEqual([(name, kernels.stage_of(name)) for name in names], [(name, stage) for name in names])

    def test_three_digits(self):
        self.assertEqual([tables.number(value) for value in (0.01912, 1.3701, 28.4, 123456, 0, 999.9, 0.000012)],
                         ["0.0191", "1.37", "28.4", "123000", "0", "1000", "1.2e-05"])


if __name__ == "__main__":
    unittest.main()
