# SPDX-License-Identifier: Apache-2.0
"""This library, through its C interface."""
import numpy as np
import torch

import flashkmeans
import opencl
from device import DEVICE, HAS_GPU
from peer import Peer, Unsupported

CODES = {torch.float16: flashkmeans.F16, torch.bfloat16: flashkmeans.BF16, torch.float32: flashkmeans.F32}


class Ours(Peer):
    """Calls that only enqueue: trust_finite, a workspace, points and results in device memory."""

    keeps = "library", "stream"

    def versions(self):
        return {"flashkmeans": self.library.version, "device": self.library.device}

    # Device memory: a place that flashkmeans.h's arrays and results can name, of so many bytes, or of a tensor's.
    def memory(self, size):
        raise NotImplementedError

    def memory_of(self, tensor):
        raise NotImplementedError

    def tensor(self, memory, dtype, *shape):
        raise NotImplementedError

    def wait(self):
        raise NotImplementedError

    def load(self, x, c):
        def array(memory, tensor):
            return flashkmeans.view(self.address(memory), CODES[tensor.dtype], flashkmeans.DEVICE, *tensor.shape)

        (self.b, self.n, self.d), self.k = x.shape, c.shape[1]
        self.x, self.c = self.memory_of(x), self.memory_of(c)
        self.out_labels = self.memory(self.b * self.n * 4)
        self.out_centroids = self.memory(self.b * self.k * self.d * 4)
        self.points, self.start = array(self.x, x), array(self.c, c)
        self.params = self.library.fit_params(
            self.k, init=flashkmeans.INIT_CENTROIDS, init_centroids=self.start, stop=flashkmeans.STOP_FIXED,
            max_iter=1, trust_finite=1)
        self.result = self.library.fit_result(
            memory=flashkmeans.DEVICE, labels=self.address(self.out_labels),
            centroids=self.address(self.out_centroids), centroids_dtype=flashkmeans.F32)
        size = self.library.fit_workspace(self.points, self.params, self.result)
        self.workspace = self.memory(size)
        self.params.workspace, self.params.workspace_bytes = self.address(self.workspace), size

    def fit(self, iterations):
        self.params.max_iter = iterations
        self.library.fit(self.points, self.params, self.result)
        self.wait()
        return iterations

    def assign(self):
        self.library.predict(self.points, self.start, self.params, self.result)
        self.wait()

    def labels(self):
        return self.tensor(self.out_labels, torch.int32, self.b, self.n).long()

    def centroids(self):
        return self.tensor(self.out_centroids, torch.float32, self.b, self.k, self.d)


class OursCuda(Ours):
    """Tensors are memory of the backend that PyTorch was built for."""

    name = "flashkmeans cuda"
    backend = "cuda"
    profiled = True

    def __init__(self, options):
        if not HAS_GPU or not getattr(torch.version, self.backend):
            raise Unsupported(f"PyTorch finds no {self.backend.upper()} device here")
        self.stream = torch.cuda.Stream()
        self.library = flashkmeans.Library(options.library, self.backend, self.stream.cuda_stream)

    def memory(self, size):
        return torch.empty(size, dtype=torch.uint8, device=DEVICE)

    def memory_of(self, tensor):
        return tensor

    def address(self, memory):
        return memory.data_ptr()

    def tensor(self, memory, dtype, *shape):
        return memory.view(dtype).view(shape)

    def wait(self):
        self.stream.synchronize()


class OursHip(OursCuda):
    name = "flashkmeans hip"
    backend = "hip"


class OursOpenCL(Ours):
    """The points are copied into OpenCL's buffers before the clock starts."""

    name = "flashkmeans opencl"

    def __init__(self, options):
        self.stream = opencl.Queue()
        self.library = flashkmeans.Library(options.library, "opencl", self.stream.queue, self.stream.context)

    def memory(self, size):
        return self.stream.buffer(size)

    def memory_of(self, tensor):
        host = tensor.cpu().contiguous()
        buffer = self.stream.buffer(host.numel() * host.element_size())
        self.stream.write(buffer, host.data_ptr())
        return buffer

    def address(self, memory):
        return memory.handle

    def tensor(self, memory, dtype, *shape):
        host = torch.empty(shape, dtype=dtype)
        self.stream.read(memory, host.data_ptr())
        return host.to(DEVICE)

    def wait(self):
        self.stream.finish()


class OursCpu(Peer):
    name = "flashkmeans cpu"
    on_gpu = False
    takes = "f16, bf16, f32 in host memory"
    keeps = "library",

    def __init__(self, options):
        self.library = flashkmeans.Library(options.library, "cpu")

    def versions(self):
        return {"flashkmeans": self.library.version, "device": self.library.device}

    def load(self, x, c):
        def array(tensor):
            return flashkmeans.view(tensor.data_ptr(), CODES[tensor.dtype], flashkmeans.HOST, *tensor.shape)

        self.x, self.c = x.cpu(), c.cpu()
        (b, n, d), k = x.shape, c.shape[1]
        self.out_labels, self.out_inertia = np.empty((b, n), np.int32), np.empty(b)
        self.out_centroids = np.empty((b, k, d), np.float32)
        self.points, self.start = array(self.x), array(self.c)
        self.params = self.library.fit_params(k, init=flashkmeans.INIT_CENTROIDS, init_centroids=self.start,
                                              stop=flashkmeans.STOP_FIXED, trust_finite=1)
        self.result = self.library.fit_result(
            labels=self.out_labels.ctypes.data, centroids=self.out_centroids.ctypes.data,
            centroids_dtype=flashkmeans.F32, inertia=self.out_inertia.ctypes.data)

    def fit(self, iterations):
        self.params.max_iter = iterations
        self.library.fit(self.points, self.params, self.result)
        return iterations

    def assign(self):
        self.library.predict(self.points, self.start, self.params, self.result)

    def labels(self):
        return torch.from_numpy(self.out_labels).long().to(DEVICE)

    def centroids(self):
        return torch.from_numpy(self.out_centroids).to(DEVICE)

    def inertia(self):
        return self.out_inertia
