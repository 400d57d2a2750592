# SPDX-License-Identifier: Apache-2.0
"""flash-kmeans' kmeans_largeN: an iteration on points that stream from pinned host memory, beside fkm-bench-stream.

    python3 bench/peers/large_n.py [--shape N,K,d,dtype]... [--iterations I] [--repeat R] [--json FILE]

The time of an iteration is the difference between fits of 2 I and of I iterations, divided by I; the bandwidth is that of
one copy of all points out of the same memory. BLOCK_N, the rows of a copy, is 1048576 by default.
"""
import argparse
import importlib.metadata
import json
import statistics
import time

import torch

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
BLOCKS = (1 << 18, 1 << 19, 1 << 20, 1 << 21)


def pinned_points(n, d, dtype):
    """Standard normal points, made on the device a piece at a time."""
    x = torch.empty(n, d, dtype=dtype, pin_memory=True)
    for part in x.split(1 << 22):
        part.copy_(torch.randn(part.shape, device="cuda", dtype=dtype))
    return x


def seconds(call):
    torch.cuda.synchronize()
    before = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - before


def bandwidth(x):
    """Bytes per second to the device, at best."""
    there = torch.empty(min(len(x), 1 << 22), x.shape[1], dtype=x.dtype, device="cuda")

    def copy():
        for part in x.split(len(there)):
            there[:len(part)].copy_(part, non_blocking=True)

    return x.numel() * x.element_size() / min(seconds(copy) for _ in range(3))


def iteration_ms(x, k, block, options):
    from flash_kmeans.kmeans_large import kmeans_largeN
    start = x[:: len(x) // k][:k].clone()

    def fit(iterations):
        return seconds(lambda: kmeans_largeN(x, k, max_iters=iterations, tol=-1.0, BLOCK_N=block, init_centroids=start,
                                             device="cuda:0"))

    fit(1)  # compiles
    return [(fit(2 * options.iterations) - fit(options.iterations)) * 1e3 / options.iterations
            for _ in range(options.repeat)]


def measure(text, options):
    n, k, d, dtype = text.split(",")
    x = pinned_points(int(n), int(d), DTYPES[dtype])
    rate = bandwidth(x)
    copying = x.numel() * x.element_size() / rate * 1e3
    result = {"shape": text, "bytes_per_second": rate, "copies_ms": copying, "blocks": {}}
    for block in BLOCKS:
        times = iteration_ms(x, int(k), block, options)
        result["blocks"][block] = times
        print(f"{text} BLOCK_N {block:8} {statistics.median(times):9.2f} ms per iteration; copies {copying:8.2f} ms "
              f"at {rate * 1e-9:.1f} GB/s", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", metavar="N,K,d,dtype")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    shapes = options.shape or ["67108864,1024,128,f16", "16777216,8192,128,f32"]
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__,
              "flash-kmeans": importlib.metadata.version("flash-kmeans"),
              "results": [measure(text, options) for text in shapes]}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
