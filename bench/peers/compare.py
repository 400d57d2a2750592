#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs this library and its peers side by side on one GPU: the same points and start, in the same process, in turn.

  speed     ms per iteration of whole fits of 20 Lloyd iterations and of one assignment, peak device memory, energy
  labels    wrong labels, centroids and inertia against f64, and whether two runs give the same bytes
  first     seconds from the start of a fresh process to the first result

Points and start are on the GPU before the clock starts (peers that take host arrays have them there), everyone's result
is waited for, and the first fit is not counted. What a peer cannot do is a row with the reason. A peer that ends the
process is reported, and the rest is run without it.

  python bench/peers/compare.py --build build --json bench/results/FILE.json    (requirements-gpu.txt)
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PARTS = "speed", "labels", "first"
ITERATIONS = 20
SLOW_SECONDS = 3.0         # a fit longer than that is made shorter
CPU_MULTIPLY_ADDS = 2e10   # of an iteration that is also run on the CPU


def log(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- the worker: runs (peer, shape) pairs, a line of JSON each on standard output ----


class MemoryPeak:
    """The most device memory taken beyond what is taken at the start, polled from a thread."""

    def __enter__(self):
        import torch
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self.most, self.running = 0, True
        before = torch.cuda.mem_get_info()[0]

        def poll():
            while self.running:
                self.most = max(self.most, before - torch.cuda.mem_get_info()[0])
                time.sleep(0.0002)

        self.thread = threading.Thread(target=poll)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()


class Energy:
    """Joules of the GPU between two readings of the driver's counter; None where it has none."""

    def __init__(self):
        try:
            import pynvml
            pynvml.nvmlInit()
            self.handle, self.nvml = pynvml.nvmlDeviceGetHandleByIndex(0), pynvml
            self.read()
        except Exception:
            self.handle = None

    def read(self):
        return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1e3 if self.handle else None


def seconds_of(function, *arguments):
    import torch
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = function(*arguments)
    torch.cuda.synchronize()
    return time.perf_counter() - start, result


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "count": len(values)}


def one_line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def attempt(row, what, function):
    """Calls it; where it fails, notes why in row[what + "_failed"] and returns None."""
    import torch
    try:
        return function()
    except Exception as error:
        row[what + "_failed"] = one_line(error)
        torch.cuda.empty_cache()
        return None


def iterations_for(seconds):
    return max(1, min(ITERATIONS, int(ITERATIONS * SLOW_SECONDS / max(seconds * ITERATIONS, 1e-9))))


def speed_of(peer, shape, x, c, row, budget):
    """Loads the peer, lets it warm up, and fills its times. Memory counts from before it was loaded: what it takes
    beside the points and the start, a copy of them in another type included."""
    with MemoryPeak() as peak:
        peer.load(x, c)
        peer.fit(1)
        seconds, made = seconds_of(peer.fit, 2)
    iterations = iterations_for(seconds / max(made, 1))
    row["iterations"] = iterations
    row["peak_bytes"] = peak.most
    row["peak_bytes_per_point"] = peak.most / (shape.b * shape.n)
    times, all_made, begin = [], 0, time.perf_counter()
    energy = Energy()
    before = energy.read()
    while not times or time.perf_counter() - begin < budget and len(times) < 50:
        seconds, made = seconds_of(peer.fit, iterations)
        times.append(1e3 * seconds / max(made, 1))
        all_made += max(made, 1)
    if energy.handle and time.perf_counter() - begin > 0.3:
        row["joules_per_iteration"] = (energy.read() - before) / all_made
    row["fit_ms_per_iteration"] = spread(times)
    return True


def assign_of(peer, row, budget):
    seconds_of(peer.assign)
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < budget and len(times) < 50:
        times.append(1e3 * seconds_of(peer.assign)[0])
    row["assign_ms"] = spread(times)


def run_speed(peer, shape, x, c, budget):
    row = {}
    if attempt(row, "fit", lambda: speed_of(peer, shape, x, c, row, budget)):
        attempt(row, "assign", lambda: assign_of(peer, row, budget / 2))
    peer.unload()
    return row


def run_labels(peer, x, c):
    import torch
    import oracle
    row, k = {"points": x.shape[1]}, c.shape[1]
    exact = oracle.exact_labels(x[0], c[0])

    def wrong():
        peer.assign()
        row["wrong_labels"] = oracle.wrong_labels(x[0], c[0], peer.labels()[0])

    def centroids():
        peer.fit(1)
        means, counts = oracle.means(x[0], exact, k)
        deviation = float(x[0, :1 << 20].double().std(0).mean())
        error = (peer.centroids()[0].double() - means).abs()[counts > 0].max()
        row["centroid_error"] = float(error) / deviation

    def repeat():
        peer.fit(ITERATIONS)
        first, inertia = peer.centroids().clone(), peer.inertia()
        peer.fit(ITERATIONS)
        row["same_bytes_twice"] = bool(torch.equal(first.view(torch.uint8), peer.centroids().view(torch.uint8)))
        if inertia is not None:
            expected = oracle.inertia(x[0], first[0])
            row["inertia_error"] = abs(float(inertia[0]) / expected - 1)

    if attempt(row, "load", lambda: (peer.load(x, c), True)):
        for what, function in (("labels", wrong), ("centroids", centroids), ("repeat", repeat)):
            attempt(row, what, function)
    peer.unload()
    return row


def worker(options):
    """Tasks come as JSON in options.tasks: [part, peer, shape or case]."""
    import torch
    import cases
    import peers
    tasks = json.loads(options.tasks.read_text())
    opened, failed, key, x = {}, {}, None, None
    for part, name, what in tasks:
        answer = {"part": part, "peer": name, "what": what}
        print(json.dumps({"starts": answer}), flush=True)
        kind = next(kind for kind in peers.PEERS if peer_name(kind) == name)
        if name not in opened and name not in failed:
            row = {}
            opened[name] = attempt(row, "open", lambda: kind(options))
            if opened[name] is None:
                failed[name] = row["open_failed"]
                del opened[name]
            else:
                print(json.dumps({"versions": {name: opened[name].versions()}, "takes": {name: kind.takes}}),
                      flush=True)
        if name in failed:
            print(json.dumps(answer | {"open_failed": failed[name]}), flush=True)
            continue
        if key != (part, what):
            x = c = None
            torch.cuda.empty_cache()
            if part == "speed":
                shape = cases.Shape.parse(what, options.shapes[what])
                x = cases.normal(shape)
            else:
                _, _, shape, make = next(case for case in cases.CASES if case[0] == what)
                x = make(shape)
            c, key = cases.rows_as_start(x, shape.k), (part, what)
        begin = time.perf_counter()
        row = run_speed(opened[name], shape, x, c, options.seconds) if part == "speed" else \
            run_labels(opened[name], x, c)
        print(json.dumps(answer | row), flush=True)
        log(f"{part} {what} {name}: {time.perf_counter() - begin:.1f} s", *(
            f"{row[key]['median']:.4f}" for key in ("fit_ms_per_iteration", "assign_ms") if key in row),
            *(f"{key} {row[key]}" for key in row if key.endswith("failed") or key == "wrong_labels"))


def first_result(options):
    """In a fresh process: import, points, one fit of one peer; the driver has the clock."""
    import cases
    import peers
    shape = cases.Shape.parse("first", options.shapes[options.first_shape])
    x = cases.normal(shape)
    peer = next(kind for kind in peers.PEERS if peer_name(kind) == options.first)(options)
    begin = time.perf_counter()
    peer.load(x, cases.rows_as_start(x, shape.k))
    peer.fit(ITERATIONS)
    print(json.dumps({"load_and_fit_seconds": time.perf_counter() - begin}))


# ---- the driver ----


def peer_name(kind):
    return kind.name or "flashkmeans " + kind.backend


def tasks_of(options, kinds):
    tasks = []
    for part in options.parts:
        if part == "speed":
            for shape, dims in options.shapes.items():
                if options.shape and shape not in options.shape:
                    continue
                b, n, k, d, _ = dims.split(",")
                small = int(b) * int(n) * int(k) * int(d) <= CPU_MULTIPLY_ADDS
                tasks += [[part, peer_name(kind), shape] for kind in kinds if kind.on_gpu or small]
        elif part == "labels":
            import cases
            tasks += [[part, peer_name(kind), case[0]] for case in cases.CASES for kind in kinds
                      if kind.on_gpu or peer_name(kind) == "flashkmeans cpu"]
    return tasks


def command_line(options, *more):
    return [sys.executable, os.fspath(HERE / "compare.py"), "--build", os.fspath(options.build), "--seconds",
            str(options.seconds), *more]


def run_tasks(options, tasks, report):
    """In one worker; after one that died, in another without the peer that was running."""
    while tasks:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tasks.json"
            path.write_text(json.dumps(tasks))
            process = subprocess.Popen(command_line(options, "--tasks", os.fspath(path)), stdout=subprocess.PIPE,
                                       text=True)
            running = None
            for line in process.stdout:
                if not line.startswith("{"):
                    continue
                answer = json.loads(line)
                if "starts" in answer:
                    running = answer["starts"]
                elif "versions" in answer:
                    report["versions"] |= answer["versions"]
                    report["takes"] |= answer["takes"]
                else:
                    report["rows"].append(answer)
                    running = None
                    tasks = tasks[1:]
            code = process.wait()
        if running is None:
            if tasks:
                log(f"the worker ended with code {code} between two tasks; {len(tasks)} are left out")
            report["left_out"] = tasks
            break
        report["rows"].append(running | {"open_failed": f"the process ended with code {code}"})
        tasks = [task for task in tasks if task[1] != running["peer"]]


def run_first(options, kinds, report):
    for kind in kinds:
        name = peer_name(kind)
        row = {"part": "first", "peer": name, "what": options.first_shape}
        begin = time.perf_counter()
        process = subprocess.run(command_line(options, "--first", name, "--first-shape", options.first_shape),
                                 capture_output=True, text=True)
        row["process_seconds"] = time.perf_counter() - begin
        if process.returncode == 0:
            row |= json.loads(process.stdout.splitlines()[-1])
        else:
            row = row | {"open_failed": (process.stderr.strip().splitlines() or ["no message"])[-1][:300]}
        report["rows"].append(row)
        log("first", name, {key: row[key] for key in row if key not in ("part", "peer", "what")})


def named_shapes(build):
    lines = subprocess.run([build / "bench" / "fkm-bench", "--list"], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return {name: dims for name, dims in (line.split() for line in lines) if not name.startswith("cpu-")}


def print_tables(report):
    peers_there = list(dict.fromkeys(row["peer"] for row in report["rows"]))
    for part, key, title in (("speed", "fit_ms_per_iteration", "ms per iteration of whole fits"),
                             ("speed", "assign_ms", "ms of one assignment"),
                             ("speed", "peak_bytes_per_point", "peak device bytes per point"),
                             ("labels", "wrong_labels", "wrong labels"),
                             ("labels", "centroid_error", "largest error of a mean, in standard deviations"),
                             ("labels", "same_bytes_twice", "same bytes from run to run"),
                             ("first", "process_seconds", "seconds to the first result of a fresh process")):
        rows = [row for row in report["rows"] if row["part"] == part]
        if not rows:
            continue
        print(f"\n{title}\n{'':15}" + "".join(f"{name:>19}" for name in peers_there))
        for what in dict.fromkeys(row["what"] for row in rows):
            cells = []
            for name in peers_there:
                value = next((row.get(key) for row in rows if row["what"] == what and row["peer"] == name), None)
                value = value["median"] if isinstance(value, dict) else value
                cells.append("-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value))
            print(f"{what:15}" + "".join(f"{cell:>19}" for cell in cells))
    reasons = {(row["peer"], row[key]) for row in report["rows"] for key in row if key.endswith("_failed")}
    for name, reason in sorted(reasons):
        print(f"{name}: {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default="build", help="Meson's build directory")
    parser.add_argument("--part", dest="parts", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--shape", action="append", help="of fkm-bench --list; default: all but cpu-*")
    parser.add_argument("--peer", action="append", help="default: all")
    parser.add_argument("--seconds", type=float, default=0.5, help="of timing per peer and shape")
    parser.add_argument("--first-shape", default="paper-b32")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--tasks", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.parts = options.parts or list(PARTS)
    options.library = options.build / "src" / "libflashkmeans.so.0"
    options.shapes = named_shapes(options.build)
    if options.tasks:
        return worker(options)
    if options.first:
        return first_result(options)

    import torch
    import peers
    kinds = [kind for kind in peers.PEERS if not options.peer or peer_name(kind) in options.peer]
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit_of(options.build), "device": torch.cuda.get_device_name(),
        "driver": driver_of(), "machine": {"cpu": platform.processor() or platform.machine(), "cpus": os.cpu_count()},
        "python": platform.python_version(), "torch": torch.__version__,
        "numpy": importlib.metadata.version("numpy"), "shapes": options.shapes, "versions": {}, "takes": {}, "rows": [],
        "left_out": []}
    run_tasks(options, tasks_of(options, kinds), report)
    if "first" in options.parts:
        run_first(options, [kind for kind in kinds if kind.on_gpu], report)
    print_tables(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return len(report["left_out"]) > 0


def commit_of(build):
    """As fkm-bench reports it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.json"
        subprocess.run([build / "bench" / "fkm-bench", "--backend", "cpu", "--shape", "1,64,2,2,f32", "--repeat", "1",
                        "--json", path], check=True, capture_output=True)
        return json.loads(path.read_text())["commit"]


def driver_of():
    answer = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                            capture_output=True, text=True)
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
