#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs this library and its peers side by side on one GPU: the same points and start, in the same process, in turn.

  labels    wrong labels, centroids and inertia against f64, and whether two runs give the same bytes
  first     seconds from the start of a fresh process to the first result, nothing compiled before and then again
  kernels   ms per iteration of each of this library's kernels
  speed     ms per iteration of whole fits of 20 Lloyd iterations and of one assignment, peak device memory, energy

Points and start are on the GPU before the clock starts (peers that take host arrays have them there), everyone's result
is waited for, and the first fits are not counted. What a peer cannot do is a row with the reason, and so is what was
left out for want of time (--budget) or because a peer had ended the process. The report is written after each row.

  python bench/peers/compare.py --build build --json bench/results/FILE.json    (requirements-gpu.txt)

Where PyTorch finds no GPU, the peers that need none are compared on the CPU.
"""
import argparse
import contextlib
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# In their order, and the share that each may take of the time that is left.
PARTS = {"labels": 0.35, "first": 0.4, "kernels": 0.15, "speed": 1.0}
CPU_MULTIPLY_ADDS = 2e10   # of an iteration that is also run on the CPU
DEATHS = 2                 # of the process, after which a peer is left out
OUT_OF_TIME = "the budget of time was spent"
FIRST = {"n": 65536, "k": 1024, "d": 128, "iterations": 20}


def log(*words):
    print(*words, file=sys.stderr, flush=True)


class Report:
    """Written anew after each row, so that a run that is cut keeps what it had."""

    def __init__(self, path, **members):
        self.path, self.members = path, {**members, "versions": {}, "takes": {}, "rows": []}

    def add(self, row):
        self.members["rows"].append(row)
        self.write()

    def text(self):
        """JSON with a line for each member and each row."""
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in self.members.items() if key != "rows"]
        rows = ",\n  ".join(json.dumps(row) for row in self.members["rows"])
        return "{\n " + ",\n ".join([*lines, f'"rows": [\n  {rows}\n ]']) + "\n}\n"

    def write(self):
        if self.path:
            new = self.path.with_suffix(".new")
            new.write_text(self.text())
            new.replace(self.path)


def multiply_adds(dims):
    """Of an iteration, from B,N,K,d,DTYPE."""
    return math.prod(int(size) for size in dims.split(",")[:4])


def tasks_of(part, options, kinds):
    shapes = options.shape or options.shapes
    if part == "kernels":
        return [[part, kind.name, shape] for kind in kinds if kind.profiled for shape in shapes]
    if part == "speed":
        costs = {shape: multiply_adds(options.shapes[shape]) for shape in shapes}
        # A budget that is spent has cost the fewest rows if the largest come last.
        return [[part, kind.name, shape] for shape in sorted(shapes, key=costs.get) for kind in kinds
                if kind.on_gpu or costs[shape] <= CPU_MULTIPLY_ADDS]
    import cases
    return [[part, kind.name, case.name] for case in cases.CASES for kind in kinds
            if not options.case or case.name in options.case]


def without(report, tasks, reason):
    """A row for each, with the reason that it was not run."""
    for part, peer, what in tasks:
        report.add({"part": part, "peer": peer, "what": what, "open_failed": reason})


def limit_and_reason(limit, deadline):
    """Seconds that a task may take from now on, and what is said of one that takes longer."""
    left = max(0.0, deadline - time.time())
    return (limit, f"took more than {limit:.0f} s") if limit < left else (left, OUT_OF_TIME)


class Run:
    """One worker process on a list of tasks, ended where a task takes longer than limit, or at the deadline.

    command(file) is its command line, file the JSON of the tasks. Afterwards tasks holds what is left; running, the
    first of them if it was begun; ended_for, the reason if it was ended from here."""

    def __init__(self, command, tasks, report, limit, deadline):
        self.command, self.tasks, self.report = command, list(tasks), report
        self.limit, self.deadline = limit, deadline
        self.running, self.ended_for, self.clock = None, None, None

    def _end(self, process, reason):
        self.ended_for = reason
        process.kill()

    def _watch(self, process):
        seconds, reason = limit_and_reason(self.limit, self.deadline)
        clock = threading.Timer(seconds, self._end, (process, reason))
        clock.start()
        return clock

    def _read(self, process):
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "starts" in said:
                self.running = said["starts"]
                self.clock = self._watch(process)
            elif "row" in said:
                self.clock.cancel()
                self.report.add(said["row"])
                self.running = None
                self.tasks.pop(0)
            else:
                self.report.members["versions"] |= said["versions"]
                self.report.members["takes"] |= said["takes"]

    def go(self):
        """Returns the worker's exit status."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tasks.json"
            path.write_text(json.dumps(self.tasks))
            with subprocess.Popen(self.command(path), stdout=subprocess.PIPE, text=True) as process:
                try:
                    self._read(process)
                except BaseException:
                    process.kill()
                    raise
                finally:
                    if self.clock:
                        self.clock.cancel()
        return process.returncode


def worker_command(options):
    def command(path):
        line = [sys.executable, os.fspath(HERE / "compare.py"), "--build", os.fspath(options.build), "--seconds",
                str(options.seconds), "--tasks", os.fspath(path)]
        return line + [f"--energy-shape={shape}" for shape in options.energy_shapes]
    return command


def run_tasks(command, tasks, report, limit, deadline):
    """In one worker; after one that ended early, in another, without a peer that has ended DEATHS of them."""
    deaths = {}
    while tasks and time.time() < deadline:
        run = Run(command, tasks, report, limit, deadline)
        status, begun = run.go(), tasks
        tasks = run.tasks
        if not tasks:
            return
        guilty = run.running or begun[len(begun) - len(tasks) - 1]  # the device is lost after a task that said so
        if len(tasks) == len(begun) and not run.running:
            without(report, tasks, f"the worker ended with status {status} before its first task")
            return
        if run.running:
            reason = run.ended_for or f"the process ended with status {status}"
            without(report, tasks[:1], reason)
            log(*run.running, reason)
            tasks = tasks[1:]
        deaths[guilty[1]] = deaths.get(guilty[1], 0) + (not run.ended_for)
        if deaths[guilty[1]] >= DEATHS:
            without(report, [task for task in tasks if task[1] == guilty[1]], f"has ended the process {DEATHS} times")
            tasks = [task for task in tasks if task[1] != guilty[1]]
    without(report, tasks, OUT_OF_TIME)


# ---- fresh processes ----


def write_points(folder):
    import numpy as np
    rng = np.random.default_rng(0)
    x = rng.standard_normal((FIRST["n"], FIRST["d"]), dtype=np.float32).astype(np.float16)
    paths = folder / "points.npy", folder / "start.npy"
    for path, array in zip(paths, (x, x[::FIRST["n"] // FIRST["k"]])):
        np.save(path, array)
    return paths


def first_result(options, name, paths, caches, deadline):
    """Seconds from the start of a fresh process to its result, in a row; what is compiled goes to the folder caches."""
    seconds, too_long = limit_and_reason(options.task_seconds, deadline)
    if seconds == 0:
        return {"first_failed": too_long}
    command = [sys.executable, os.fspath(HERE / "first.py"), name, os.fspath(options.library), *map(os.fspath, paths),
               str(FIRST["iterations"])]
    caching = {key: os.fspath(caches) for key in ("XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH",
                                                  "TORCHINDUCTOR_CACHE_DIR")}
    begin = time.time()
    try:
        process = subprocess.run(command, capture_output=True, text=True, env=os.environ | caching, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"first_failed": too_long}
    if process.returncode != 0:
        return {"first_failed": (process.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    return {"seconds": json.loads(process.stdout.splitlines()[-1])["at"] - begin}


def run_first(options, kinds, report, deadline):
    """Every peer with empty caches, then every peer again with what it left there."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = write_points(folder)
        for what in "compiling", "again":
            for kind in kinds:
                row = {"part": "first", "peer": kind.name, "what": what}
                row |= first_result(options, kind.name, paths, folder / kind.name.replace(" ", "-"), deadline)
                report.add(row)
                log(*row.values())


# ---- tables ----


TABLES = (("speed", "fit_ms_per_iteration", "ms per iteration of whole fits"),
          ("speed", "assign_ms", "ms of one assignment"),
          ("speed", "joules_per_fit", "joules of the GPU for a fit of 20 iterations"),
          ("speed", "peak_bytes_per_point", "peak device bytes per point, beside the points"),
          ("labels", "wrong_labels", "wrong labels"),
          ("labels", "centroid_error", "error of the means after one iteration, in standard deviations"),
          ("labels", "inertia_excess", "inertia of the centroids after 5 iterations, over that of f64 Lloyd"),
          ("labels", "inertia_error", "relative error of the inertia that it reports"),
          ("labels", "same_bytes_twice", "same bytes from run to run"),
          ("first", "seconds", "seconds to the first result of a fresh process"))


def cell(value):
    value = value["median"] if isinstance(value, dict) else value
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def print_tables(report):
    peers_there = list(dict.fromkeys(row["peer"] for row in report["rows"]))
    for part, key, title in TABLES:
        rows = [row for row in report["rows"] if row["part"] == part]
        if not any(key in row for row in rows):
            continue
        print(f"\n{title}\n{'':15}" + "".join(f"{name:>19}" for name in peers_there))
        for what in dict.fromkeys(row["what"] for row in rows):
            cells = (cell(next((row.get(key) for row in rows if row["what"] == what and row["peer"] == name), None))
                     for name in peers_there)
            print(f"{what:15}" + "".join(f"{text:>19}" for text in cells))
    print()
    reasons = {}
    for row in report["rows"]:
        for key in row:
            if key.endswith("_failed"):
                reasons.setdefault((row["peer"], row[key]), []).append(f"{row['part']} {row['what']}")
    for (name, reason), whats in sorted(reasons.items()):
        print(f"{name}: {reason} ({', '.join(whats)})")


# ---- the program ----


def named_shapes(build):
    lines = subprocess.run([build / "bench" / "fkm-bench", "--list"], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def commit_of(build):
    """As fkm-bench reports it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.json"
        subprocess.run([build / "bench" / "fkm-bench", "--backend", "cpu", "--shape", "1,64,2,2,f32", "--repeat", "1",
                        "--json", path], check=True, capture_output=True)
        return json.loads(path.read_text())["commit"]


def driver_of():
    with contextlib.suppress(OSError):
        answer = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                                capture_output=True, text=True)
        if answer.returncode == 0:
            return answer.stdout.strip().splitlines()[0]
    return ""


def cpu_name():
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def command_line():
    """Without the places of this machine."""
    return shlex.join(["bench/peers/compare.py", *(argument for before, argument in zip(sys.argv, sys.argv[1:])
                                                   if not {before, argument} & {"--json", "--build"})])


def case_texts():
    import cases
    return {case.name: case.points for case in cases.CASES}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="Meson's build directory")
    parser.add_argument("--part", dest="parts", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--shape", action="append", help="of fkm-bench --list; default: all but cpu-* (without a GPU: "
                                                         "those); also B,N,K,d,DTYPE")
    parser.add_argument("--case", action="append", help="of cases.py; default: all")
    parser.add_argument("--peer", action="append", help="default: all")
    parser.add_argument("--seconds", type=float, default=0.5, help="of timing per peer and shape")
    parser.add_argument("--task-seconds", type=float, default=60, help="after which a peer is stopped on a shape")
    parser.add_argument("--budget", type=float, default=3600, help="seconds for everything")
    parser.add_argument("--energy-shape", dest="energy_shapes", action="append",
                        help="whose energy is measured; default: paper-b32")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--tasks", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.parts = options.parts or list(PARTS)
    options.energy_shapes = options.energy_shapes or ["paper-b32"]
    options.library = options.build / "src" / "libflashkmeans.so.0"
    return options


def main():
    deadline = time.time()
    options = parse()
    deadline += options.budget
    import device
    from peers import PEERS
    listed = named_shapes(options.build)
    options.shapes = {name: dims for name, dims in listed.items() if name.startswith("cpu-") != device.HAS_GPU}
    options.shapes |= {shape: listed.get(shape, shape) for shape in options.shape or ()}
    kinds = [kind for kind in PEERS if not options.peer or kind.name in options.peer]
    report = Report(
        options.json, date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        commit=commit_of(options.build), device=device.name(), driver=driver_of(),
        machine={"cpu": cpu_name(), "cpus": os.cpu_count()}, python=platform.python_version(),
        numpy=importlib.metadata.version("numpy"), torch=importlib.metadata.version("torch"),
        command=command_line(), cases=case_texts(),
        shapes={name: options.shapes[name] for name in options.shape or options.shapes}, first=FIRST)
    for part in options.parts:
        until = time.time() + PARTS[part] * (deadline - time.time()) if part != options.parts[-1] else deadline
        if part == "first":
            run_first(options, kinds, report, until)
        else:
            run_tasks(worker_command(options), tasks_of(part, options, kinds), report, options.task_seconds, until)
        log(f"{part}: done with {deadline - time.time():.0f} s left")
    report.write()
    print_tables(report.members)
    return 0


def work():
    options = parse()
    options.shapes = ShapesByName(named_shapes(options.build))
    import worker
    return worker.work(options)


class ShapesByName(dict):
    """A shape that has no name is its own."""

    def __missing__(self, key):
        return key


if __name__ == "__main__":
    sys.exit(work() if "--tasks" in sys.argv else main())
