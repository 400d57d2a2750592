# SPDX-License-Identifier: Apache-2.0
"""Data of the comparisons, made on the GPU: shapes to be timed, and cases whose labels are held against f64."""
import dataclasses

import torch

from device import DEVICE

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    b: int
    n: int
    k: int
    d: int
    dtype: str

    @staticmethod
    def parse(name, dims):
        """dims: B,N,K,d,dtype as fkm-bench --list prints them."""
        b, n, k, d, dtype = dims.split(",")
        return Shape(name, int(b), int(n), int(k), int(d), dtype)

    def multiply_adds(self):
        return self.b * self.n * self.k * self.d


def normal(shape):
    """Standard normal points."""
    torch.manual_seed(0)
    x = torch.empty(shape.b, shape.n, shape.d, dtype=DTYPES[shape.dtype], device=DEVICE)
    for part in x.view(-1).split(1 << 28):
        part.copy_(torch.randn(part.shape, device=DEVICE))
    return x


def offset(shape):
    """All coordinates near 3: 3 + 0.03 N(0,1)."""
    return normal(shape).float().mul_(0.03).add_(3).to(DTYPES[shape.dtype])


def large(shape):
    """Squared norms above 65504, f16's largest number: 64 N(0,1)."""
    return normal(shape).mul_(64)


def tight(shape):
    """K blobs of deviation 0.02 about standard normal centres."""
    x = normal(shape).float().mul_(0.02)
    centres = torch.randn(shape.k, shape.d, device=DEVICE)
    return x.add_(centres[torch.arange(shape.n, device=DEVICE) % shape.k]).to(DTYPES[shape.dtype])


def far(shape):
    """4096 + N(0,1)."""
    return normal(shape).add_(4096)


def one_cluster(shape):
    """1 + N(0,1), all but 1024 points at 100; the start has one row of each kind."""
    x = normal(shape).add_(1)
    middle = shape.n * 3 // 4
    x[:, middle - 512:middle + 512] = 100
    return x


def rows_as_start(x, k):
    """K rows, one in each of K equal stretches."""
    n = x.shape[1]
    return x[:, torch.arange(k, device=x.device) * n // k + (n // k) // 2].contiguous()


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    points: str  # in words
    shape: Shape
    make: object

    @staticmethod
    def of(name, points, dtype, make):
        return Case(name, points + ", " + dtype, Shape(name, 1, 65536, 1024, 128, dtype), make)


CASES = (
    Case.of("normal", "N(0,1)", "f16", normal),
    Case.of("offset", "3 + 0.03 N(0,1)", "f16", offset),
    Case.of("large", "64 N(0,1): squared norms above 65504", "f16", large),
    Case.of("tight", "1024 tight blobs", "f16", tight),
    Case.of("normal-f32", "N(0,1)", "f32", normal),
    Case.of("far", "4096 + N(0,1)", "f32", far),
    Case("one-cluster", "25,165,824 points, nearly all in one of 2 clusters, f32",
         Shape("one-cluster", 1, (1 << 24) + (1 << 23), 2, 4, "f32"), one_cluster),
)


def case_called(name):
    return next(case for case in CASES if case.name == name)
