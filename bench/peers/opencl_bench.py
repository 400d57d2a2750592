#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenCL beside the CUDA backend's portable tile and a plain two-pass PyTorch iteration, on one NVIDIA GPU.

Ours are timed by fkm-bench, a process each, everything in device memory: ms per iteration of whole exact fits of 20
iterations, ms of one assignment, ms of one update of all rows (fkm_update less its checks: bench/report_device.c). PyTorch
is the adapter of compare.py (others.py): the same in its own process; its update is the fit's iteration less the assignment,
or nothing where the two differ by no more than they vary. The rates beside the times are 2 B N K d floating-point
operations over the assignment, and one reading of the points over the update.

  python bench/peers/opencl_bench.py --build build --json bench/results/FILE.json    (PyTorch: requirements-gpu.txt)
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ITERATIONS = 20
SHAPES = ("1,1048576,1024,64,f16", "1,1048576,1024,64,f32", "1,1048576,1024,128,f16", "1,1048576,1024,128,f32",
          "1,131072,4096,256,f16", "1,131072,4096,256,f32", "1,65536,4096,768,f32", "1,4194304,256,128,f16",
          "online-small", "online-mid", "1,1000,10,4,f32", "1,10000,100,32,f32")


def log(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- ours ----


def device_arguments(build, backend, device):
    """The number that fkm devices gives the OpenCL device of that name."""
    if backend != "opencl":
        return []
    for line in subprocess.run([build / "tools" / "fkm", "devices"], check=True, capture_output=True,
                               text=True).stdout.splitlines():
        found = re.match(r"opencl\s+(\d+)\s+(.*)", line)
        if found and device.lower() in found[2].lower():
            return ["--device", found[1]]
    sys.exit(f"opencl_bench.py: fkm devices lists no OpenCL device {device}")


def run_bench(options, backend, kernel, shapes):
    """The report of fkm-bench; with the shapes that it could measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.json"
        command = [options.build / "bench" / "fkm-bench", "--backend", backend, "--stages", "--seconds",
                   str(options.seconds), "--check", str(options.check), "--json", path,
                   *device_arguments(options.build, backend, options.device)]
        for shape in shapes:
            command += ["--shape" if "," in shape else "--name", shape]
        environment = dict(os.environ)
        environment |= {"FKM_KERNEL": kernel} if kernel else {}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        log(done.stdout)
        return json.loads(path.read_text()) | {"exit_status": done.returncode}


def row_of(shape):
    return {"fit_ms_per_iteration": shape["exact"]["fit_ms_per_iteration"]["median"],
            "assign_ms": shape["exact"]["assign_ms"]["median"], "update_ms": shape["stages_ms"]["update"],
            "kernel": shape["kernel"], "checked": shape.get("check")}


# ---- PyTorch ----


def torch_rows(options, shapes):
    """In a process of its own, which this one starts with --torch."""
    import torch

    import cases
    import others
    rows = {}
    for name, dims in shapes.items():
        shape = cases.Shape.parse(name, dims)
        x = cases.normal(shape)
        peer = others.TorchTwoPass(options)
        peer.load(x, cases.rows_as_start(x, shape.k))
        row = {}
        for key, function, times in (("fit_ms_per_iteration", lambda: peer.fit(ITERATIONS), ITERATIONS),
                                     ("assign_ms", peer.assign, 1)):
            function()
            spent, begin = [], time.perf_counter()
            while len(spent) < 3 or time.perf_counter() - begin < options.seconds / 2 and len(spent) < 100:
                torch.cuda.synchronize()
                start = time.perf_counter()
                function()
                torch.cuda.synchronize()
                spent.append(1e3 * (time.perf_counter() - start) / times)
            row[key] = statistics.median(spent)
        row["update_ms"] = max(0.0, row["fit_ms_per_iteration"] - row["assign_ms"])
        rows[name] = row
        peer.unload()
        del x
    print(json.dumps({"version": torch.__version__, "rows": rows}))


def run_torch(options, shapes):
    command = [sys.executable, os.fspath(HERE / "opencl_bench.py"), "--build", os.fspath(options.build), "--seconds",
               str(options.seconds), "--torch", json.dumps(shapes)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"failed": f"exit status {done.returncode}", "rows": {}}
    return json.loads(done.stdout.splitlines()[-1])


# ---- the table ----

CONTENDERS = "OpenCL", "CUDA portable", "PyTorch"


def dims_of(shape):
    return f"{shape['b']},{shape['n']},{shape['k']},{shape['d']},{shape['dtype']}"


def print_table(report):
    print(f"{'B,N,K,d,type':24}{'':15}{'ms per iteration':>18}{'assign ms':>12}{'TFLOP/s':>9}{'update ms':>12}{'TB/s':>7}  kernel")
    for row in report["rows"]:
        for name in CONTENDERS:
            if name in row:
                one = row[name]
                known = "update_tb_s" in one
                update, rate = (f"{one['update_ms']:.4f}", f"{one['update_tb_s']:.2f}") if known else ("-", "-")
                print(f"{row['shape']:24}{name:15}{one['fit_ms_per_iteration']:18.4f}{one['assign_ms']:12.4f}"
                      f"{one['assign_tflops']:9.2f}{update:>12}{rate:>7}  {one.get('kernel', '')}")


def add_rates(row, dims):
    b, n, k, d, dtype = dims.split(",")
    size = int(b) * int(n) * int(d)
    row["assign_tflops"] = 2 * size * int(k) / row["assign_ms"] / 1e9
    if row["update_ms"] > 0:
        row["update_tb_s"] = size * (4 if dtype == "f32" else 2) / row["update_ms"] / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default="build", help="Meson's build directory")
    parser.add_argument("--shape", action="append", help="B,N,K,d,DTYPE or a name of fkm-bench --list; may be repeated")
    parser.add_argument("--device", default="nvidia", help="a part of the OpenCL device's line in fkm devices")
    parser.add_argument("--seconds", type=float, default=0.3, help="of timing per contender and shape")
    parser.add_argument("--check", type=int, default=500, help="labels of each shape held against f64")
    parser.add_argument("--without", action="append", default=[], choices=CONTENDERS)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--torch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch:
        return torch_rows(options, json.loads(options.torch))

    shapes = options.shape or SHAPES
    report, rows = {"reports": {}, "rows": []}, {}
    for name, backend, kernel in (("OpenCL", "opencl", None), ("CUDA portable", "cuda", "portable")):
        if name not in options.without:
            made = report["reports"][name] = run_bench(options, backend, kernel, shapes)
            for shape in made["shapes"]:
                rows.setdefault(dims_of(shape), {})[name] = row_of(shape)
    if "PyTorch" not in options.without:
        made = report["reports"]["PyTorch"] = run_torch(options, {dims: dims for dims in rows})
        for dims, row in made["rows"].items():
            rows[dims]["PyTorch"] = row
    for dims, row in rows.items():
        for name in row:
            add_rates(row[name], dims)
        report["rows"].append({"shape": dims} | row)
    print_table(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return any(made.get("exit_status") or "failed" in made for made in report["reports"].values())


if __name__ == "__main__":
    sys.exit(main())
