#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times scikit-learn's KMeans (Lloyd, f32) and flashkmeans on the same arrays in the same process.

Both get the same float32 points and start, the same stopping rule (tol 0, at most --iterations), all processors, and
give labels, f32 centroids and inertia. They take turns; the first fit of each is not counted. Needs a build of the
library and of fkm-bench (peak of the machine, named shapes), and the packages of requirements.txt.

  python bench/peers/sklearn_bench.py --build build --json bench/results/FILE.json
"""
import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import sklearn
import threadpoolctl
from sklearn.cluster import KMeans

import flashkmeans

CPU_SHAPES = "cpu-100", "cpu-1k", "cpu-colour", "cpu-embed"


class FlashKMeans:
    """Fits of host arrays on the CPU."""

    def __init__(self, path):
        self.library = flashkmeans.Library(path, "cpu")

    def fit(self, points, start, iterations):
        def array(a):
            return flashkmeans.view(a.ctypes.data, flashkmeans.F32, flashkmeans.HOST, 1, *a.shape)

        labels = np.empty(len(points), np.int32)
        centroids = np.empty_like(start)
        inertia, n_iter = np.empty(1), np.empty(1, np.int32)
        params = self.library.fit_params(len(start), init=flashkmeans.INIT_CENTROIDS, init_centroids=array(start),
                                         max_iter=iterations, tol=0)
        result = self.library.fit_result(
            labels=labels.ctypes.data, centroids=centroids.ctypes.data, centroids_dtype=flashkmeans.F32,
            inertia=inertia.ctypes.data, n_iter=n_iter.ctypes.data)
        self.library.fit(array(points), params, result)
        return labels, float(inertia[0]), int(n_iter[0]), result.diagnosis


def sklearn_fit(points, start, iterations):
    model = KMeans(len(start), init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(points)
    return model.labels_, float(model.inertia_), model.n_iter_


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def spread(seconds):
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def measure(name, n, k, d, library, options):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((n, d), dtype=np.float32)
    start = points[rng.choice(n, k, replace=False)]
    theirs, ours = [], []
    for repeat in range(options.repeat + 1):
        seconds, (their_labels, their_inertia, their_iterations) = timed(sklearn_fit, points, start, options.iterations)
        theirs.append(seconds)
        seconds, (labels, inertia, n_iter, diagnosis) = timed(library.fit, points, start, options.iterations)
        ours.append((seconds, diagnosis))
        print(f"{name} {repeat} of {options.repeat}: scikit-learn {theirs[-1]:.3f} s, flashkmeans {seconds:.3f} s",
              file=sys.stderr)
    theirs, ours = theirs[1:], sorted(ours[1:], key=lambda pair: pair[0])
    diagnosis = ours[len(ours) // 2][1]
    row = {
        "shape": name, "n": n, "k": k, "d": d, "dtype": "f32", "iterations": n_iter,
        "sklearn_iterations": their_iterations, "sklearn_seconds": spread(theirs),
        "seconds": spread([seconds for seconds, _ in ours]), "kernel": diagnosis.kernel.decode(),
        "threads": diagnosis.threads, "rechecked": diagnosis.rechecked, "inertia": inertia,
        "sklearn_inertia": their_inertia,
        "stages": {stage: getattr(diagnosis.seconds, stage) for stage, _ in flashkmeans.Seconds._fields_},
    }
    row["ratio"] = row["seconds"]["median"] / row["sklearn_seconds"]["median"]
    row["multiply_adds_per_second"] = n * k * d * (n_iter + 1) / row["seconds"]["median"]
    if not options.no_reference:
        print(f"{name}: f64 reference", file=sys.stderr)
        reference, _, _ = sklearn_fit(points.astype(np.float64), start.astype(np.float64), options.iterations)
        row["labels_off"] = int((labels != reference).sum())
        row["sklearn_labels_off"] = int((their_labels != reference).sum())
    return row


def named_shapes(bench):
    """B,N,K,d,dtype of every named shape of fkm-bench."""
    lines = subprocess.run([bench, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def machine(bench):
    """Version, commit, compiler, device and peak as fkm-bench reports them."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.json"
        subprocess.run([bench, "--shape", "1,64,2,2,f32", "--repeat", "1", "--json", path],
                       check=True, capture_output=True)
        report = json.loads(path.read_text())
    return {key: report[key] for key in ("version", "commit", "compiler", "device", "peak")}


def print_table(report):
    peak = report["peak"]["multiply_adds_per_second"]
    print(f"{report['device']}; peak {peak / 1e9:.0f} G multiply-adds/s in f32 ({report['peak']['vectors']})")
    if report["load_average"] > 0.5:
        print(f"the machine was busy: load average {report['load_average']:.1f} at the start")
    print(f"scikit-learn {report['sklearn']}, NumPy {report['numpy']}; flashkmeans {report['version']} "
          f"{report['commit']}, {report['compiler']}; seconds are medians\n")
    print(f"{'shape':12} {'N,K,d':16} {'sklearn s':>10} {'ours s':>8} {'ratio':>6} {'Gma/s':>7} {'peak':>6} "
          f"{'recheck':>8} {'labels off: sklearn':>20} {'ours':>6}")
    for row in report["fits"]:
        dims = f"{row['n']},{row['k']},{row['d']}"
        recheck = row["rechecked"] / (row["n"] * (row["iterations"] + 1))
        print(f"{row['shape']:12} {dims:16} {row['sklearn_seconds']['median']:10.3f} {row['seconds']['median']:8.3f} "
              f"{row['ratio']:6.2f} {row['multiply_adds_per_second'] / 1e9:7.1f} "
              f"{row['multiply_adds_per_second'] / peak:6.1%} {recheck:8.2%} "
              f"{row.get('sklearn_labels_off', '-'):>20} {row.get('labels_off', '-'):>6}")
        if row["iterations"] != row["sklearn_iterations"]:
            print(f"  iterations differ: scikit-learn {row['sklearn_iterations']}, ours {row['iterations']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default="build", help="Meson's build directory")
    parser.add_argument("--name", action="append", help="a single f32 problem of fkm-bench --list; default: cpu-*")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-reference", action="store_true", help="do not count labels that differ from f64")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()

    bench = options.build / "bench" / "fkm-bench"
    library = FlashKMeans(options.build / "src" / "libflashkmeans.so.0")
    load_average = os.getloadavg()[0]
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **machine(bench),
        "load_average": load_average, "sklearn": sklearn.__version__, "numpy": np.__version__,
        "sklearn_threads": [{key: pool[key] for key in ("internal_api", "num_threads", "version")}
                            for pool in threadpoolctl.threadpool_info()], "fits": []}
    shapes = named_shapes(bench)
    for name in options.name or CPU_SHAPES:
        b, n, k, d, dtype = shapes.get(name, "0,0,0,0,unknown").split(",")
        if b != "1" or dtype != "f32":
            parser.error(f"--name {name}: not a single f32 problem of fkm-bench --list")
        report["fits"].append(measure(name, int(n), int(k), int(d), library, options))
    again = machine(bench)["peak"]  # what else runs on the machine can only lower it
    report["peak"] = max(report["peak"], again, key=lambda peak: peak["multiply_adds_per_second"])
    print_table(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
