# SPDX-License-Identifier: Apache-2.0
"""The other systems, each in the settings that its documentation recommends, points on the GPU where it takes them."""
import contextlib
import io
import itertools
import os
import time

import numpy as np
import torch

import device
from device import DEVICE
from peer import Peer, Unsupported


def need_gpu():
    if not device.HAS_GPU:
        raise Unsupported("PyTorch finds no CUDA device here")


def norms(x):
    """Squared norms of rows, f32, a piece of the points at a time."""
    return torch.cat([(part.float() ** 2).sum(-1) for part in x.split(1 << 20, -2)], -1)


class FlashKMeansTriton(Peer):
    """Triton kernels of the paper's authors, tiles by their own heuristic; squared norms made before assign's clock."""

    name = "flash-kmeans"
    packages = ("flash-kmeans", "triton")
    keeps = "_fit", "_assign"

    def __init__(self, options):
        need_gpu()
        import flash_kmeans
        from flash_kmeans.assign_euclid_triton import euclid_assign_triton
        self._fit, self._assign = flash_kmeans.batch_kmeans_Euclid, euclid_assign_triton

    def load(self, x, c):
        super().load(x, c.contiguous())
        self.x_sq = norms(x)

    def fit(self, iterations):
        self.out = self._fit(self.x, self.c.shape[1], max_iters=iterations, tol=-1.0, init_centroids=self.c)
        device.wait()
        return iterations

    def assign(self):
        self.out = (self._assign(self.x, self.c, self.x_sq, use_heuristic=True),)
        device.wait()

    def labels(self):
        return self.out[0].long()

    def centroids(self):
        return self.out[1]


class TorchTwoPass(Peer):
    """A plain Lloyd iteration: the matrix of distances by a matrix product, argmin, index_add in f32."""

    name = "PyTorch"
    packages = ("torch",)

    def load(self, x, c):
        super().load(x, c)
        # As many rows at a time as keep the matrix of distances below 16 GB.
        self.rows = max(1, min(x.shape[1], (16 << 30) // (c.shape[1] * x.element_size())))

    @staticmethod
    def _distances(x, c):
        """Less the squared norm of x, which all share."""
        return torch.addmm((c.float() ** 2).sum(-1).to(x.dtype)[None, :], x, c.T, alpha=-2.0)

    def _nearest(self, x, c):
        return torch.cat([self._distances(part, c).argmin(-1) for part in x.split(self.rows)])

    def fit(self, iterations):
        c = self.c
        for _ in range(iterations):
            new = torch.empty_like(c)
            for b in range(len(c)):
                labels = self._nearest(self.x[b], c[b])
                sums = torch.zeros(c.shape[1:], dtype=torch.float32, device=c.device)
                for part, ids in zip(self.x[b].split(1 << 22), labels.split(1 << 22)):
                    sums.index_add_(0, ids, part.float())
                counts = torch.bincount(labels, minlength=c.shape[1])[:, None]
                new[b] = torch.where(counts > 0, sums / counts.clamp(min=1), c[b].float()).to(c.dtype)
            c = new
        self.out_centroids = c
        device.wait()
        return iterations

    def assign(self):
        self.out_labels = torch.stack([self._nearest(x, c) for x, c in zip(self.x, self.c)])
        device.wait()

    def parts_of_assign(self):
        """The arithmetic, which also writes the matrix, and the reading of it."""
        parts = {"product": 0.0, "argmin": 0.0}
        for x, c in zip(self.x, self.c):
            for rows in x.split(self.rows):
                begin = time.perf_counter()
                matrix = self._distances(rows, c)
                device.wait()
                middle = time.perf_counter()
                matrix.argmin(-1)
                device.wait()
                parts["product"] += middle - begin
                parts["argmin"] += time.perf_counter() - middle
        return parts

    def labels(self):
        return self.out_labels

    def centroids(self):
        return self.out_centroids


class FastKMeans(Peer):
    """What its train() runs, given points on the GPU already (train() itself takes host arrays, whose copies would be
    timed), in f16, as it chooses on a GPU, and in larger pieces than its default, which it is faster with. assign() is
    what its predict() runs: the same kernel, with f32 norms."""

    name = "fastkmeans"
    takes = "f16 on the device"
    packages = ("fastkmeans", "triton")
    own_start = True
    keeps = "_fit", "_assign"
    rows = 1 << 20

    def __init__(self, options):
        need_gpu()
        from fastkmeans.kmeans import _kmeans_torch_double_chunked
        from fastkmeans.triton_kernels import triton_kmeans
        self._fit, self._assign = _kmeans_torch_double_chunked, triton_kmeans

    def load(self, x, c):
        super().load(x.half(), c.half())
        self.x_sq = norms(x)

    def fit(self, iterations):
        outs = []
        for x, x_sq in zip(self.x, self.x_sq):
            torch.manual_seed(0)
            outs.append(self._fit(x, x_sq, self.c.shape[1], DEVICE, max_iters=iterations, tol=-1.0,
                                  chunk_size_data=self.rows, max_points_per_centroid=None, use_triton=True)[0])
        self.out_centroids = torch.stack(outs)
        return iterations

    def assign(self):
        c_sq = norms(self.c)
        self.out_labels = torch.zeros(self.x.shape[:2], dtype=torch.int64, device=DEVICE)
        for b, x in enumerate(self.x):
            for part, part_sq, ids in zip(x.split(self.rows), self.x_sq[b].split(self.rows),
                                          self.out_labels[b].split(self.rows)):
                self._assign(part, part_sq, self.c[b], c_sq[b], ids)
        device.wait()

    def labels(self):
        return self.out_labels

    def centroids(self):
        return self.out_centroids.to(DEVICE)


class Cuvs(Peer):
    """NVIDIA's; f32 only, one problem at a time, memory by RMM's default. Its tolerance must be above 0: of the least, a
    fit ends early only where the inertia rises or nothing moves."""

    name = "cuVS"
    takes = "f32 on the device"
    packages = ("cuvs-cu13", "libcuvs-cu13")
    tolerance = 1e-30
    keeps = "kmeans", "resources"

    def __init__(self, options):
        need_gpu()
        from cuvs.cluster import kmeans
        from cuvs.common import Resources
        self.kmeans, self.resources = kmeans, Resources()

    def load(self, x, c):
        super().load(x.float(), c.float())

    def _params(self, iterations):
        return self.kmeans.KMeansParams(n_clusters=self.c.shape[1], init_method="Array", max_iter=iterations,
                                        tol=self.tolerance, n_init=1)

    def fit(self, iterations):
        done = 0
        self.out_centroids, self.out_inertia = self.c.clone(), []
        for x, c in zip(self.x, self.out_centroids):
            _, inertia, made = self.kmeans.fit(self._params(iterations), x, c, resources=self.resources)
            done += min(made, iterations)  # one more is counted where it ends at the limit
            self.out_inertia.append(float(inertia))
        self.resources.sync()
        return done / len(self.x)

    def assign(self):
        outs = [self.kmeans.predict(self._params(1), x, c, resources=self.resources)[0]
                for x, c in zip(self.x, self.c)]
        self.resources.sync()
        self.out_labels = torch.stack([torch.as_tensor(labels, device=DEVICE) for labels in outs])

    def labels(self):
        return self.out_labels.long()

    def centroids(self):
        return self.out_centroids

    def inertia(self):
        return self.out_inertia


class Faiss(Peer):
    """faiss.Clustering with a flat index: f32 arrays in host memory, as its interface takes them, no subsampling."""

    takes = "f32 in host memory"
    keeps = "faiss",

    def __init__(self, options):
        import faiss
        self.faiss = faiss

    def versions(self):
        return {"faiss": self.faiss.__version__}

    def load(self, x, c):
        self.x, self.c = x.float().cpu().numpy(), c.float().cpu().numpy()

    def _index(self):
        raise NotImplementedError

    def fit(self, iterations):
        self.out_centroids = []
        k, d = self.c.shape[1:]
        for x, c in zip(self.x, self.c):
            parameters = self.faiss.ClusteringParameters()
            parameters.niter, parameters.min_points_per_centroid = iterations, 1
            parameters.max_points_per_centroid = len(x) // k + 1
            parameters.check_input_data_for_NaNs = False
            clustering = self.faiss.Clustering(d, k, parameters)
            self.faiss.copy_array_to_vector(c.ravel(), clustering.centroids)
            clustering.train(x, self._index())
            self.out_centroids.append(self.faiss.vector_to_array(clustering.centroids).reshape(k, d))
        return iterations

    def assign(self):
        self.out_labels = np.stack([self._search(x, c) for x, c in zip(self.x, self.c)])

    def _search(self, x, c):
        index = self._index()
        index.add(c)
        return index.search(x, 1)[1][:, 0]

    def labels(self):
        return torch.from_numpy(self.out_labels).long().to(DEVICE)

    def centroids(self):
        return torch.from_numpy(np.stack(self.out_centroids)).to(DEVICE)


class FaissCpu(Faiss):
    name = "FAISS CPU"
    on_gpu = False

    def _index(self):
        return self.faiss.IndexFlatL2(self.c.shape[2])


class FaissGpu(Faiss):
    """By FAISS' own kernels or by cuVS', with centroids in f32 or, where the points are 16 bits wide, in f16: whichever is
    the fastest on the first rows. What FAISS reserves for temporary memory, 1.5 GiB by default, is anew for each task."""

    name = "FAISS GPU"
    sample = 1 << 15

    def __init__(self, options):
        need_gpu()
        super().__init__(options)
        if not hasattr(self.faiss, "StandardGpuResources"):
            raise Unsupported("this build of FAISS has no GPU code")

    def load(self, x, c):
        super().load(x, c)
        self._choose((False, True) if x.element_size() == 2 else (False,))

    def _choose(self, widths):
        self.resources = self.faiss.StandardGpuResources()
        seconds = {}
        for way in itertools.product((False, True), widths):
            self.use_cuvs, self.narrow = way
            with contextlib.suppress(Exception):
                for _ in range(2):
                    begin = time.perf_counter()
                    self._search(self.x[0][:self.sample], self.c[0])
                    device.wait()
                    seconds[way] = time.perf_counter() - begin
        self.use_cuvs, self.narrow = min(seconds, key=seconds.get, default=(False, False))

    def _index(self):
        config = self.faiss.GpuIndexFlatConfig()
        config.useFloat16, config.use_cuvs = self.narrow, self.use_cuvs
        return self.faiss.GpuIndexFlatL2(self.resources, self.c.shape[2], config)


class FaissTorch(FaissGpu):
    """FAISS' own k-means for PyTorch tensors (faiss.contrib), points on the GPU."""

    name = "FAISS torch"
    takes = "f32 on the device"
    keeps = "faiss", "_kmeans", "_points"

    def __init__(self, options):
        super().__init__(options)
        import faiss.contrib.torch_utils  # noqa: F401  FAISS takes tensors from here on
        from faiss.contrib.clustering import kmeans
        from faiss.contrib.torch.clustering import DatasetAssignGPU

        class Points(DatasetAssignGPU):
            """Begins from a given start."""

            def __init__(self, resources, x, start, search):
                super().__init__(resources, x)
                self.start, self.search = start, search

            def get_subset(self, indices):
                return self.start.clone()

            def perform_search(self, centroids):
                return self.search(self.x, centroids)

        self._kmeans, self._points = kmeans, Points

    def load(self, x, c):
        self.x, self.c = x.float(), c.float()
        self._choose((False,))

    def _knn(self, x, c):
        return self.faiss.knn_gpu(self.resources, x, c, 1, use_cuvs=self.use_cuvs)

    def _search(self, x, c):
        return self._knn(x, c)[1][:, 0]

    def fit(self, iterations):
        outs = []
        with contextlib.redirect_stdout(io.StringIO()):
            for x, c in zip(self.x, self.c):
                points = self._points(self.resources, x, c, self._knn)
                outs.append(self._kmeans(len(c), points, niter=iterations, verbose=False))
        self.out_centroids = torch.stack(outs)
        device.wait()
        return iterations

    def assign(self):
        self.out_labels = torch.stack([self._search(x, c) for x, c in zip(self.x, self.c)])
        device.wait()

    def labels(self):
        return self.out_labels.long()

    def centroids(self):
        return self.out_centroids


class ScikitLearn(Peer):
    """assign() is what its predict() runs, on all cores; unlike predict(), fits centre the points first."""

    name = "scikit-learn"
    on_gpu = False
    takes = "f32 in host memory"
    packages = ("scikit-learn",)
    keeps = "sklearn",

    def __init__(self, options):
        import sklearn.cluster
        self.sklearn = sklearn.cluster

    def load(self, x, c):
        self.x, self.c = x.float().cpu().numpy(), c.float().cpu().numpy()

    def fit(self, iterations):
        self.models = [self.sklearn.KMeans(len(c), init=c, n_init=1, max_iter=iterations, tol=0,
                                           algorithm="lloyd").fit(x) for x, c in zip(self.x, self.c)]
        return sum(model.n_iter_ for model in self.models) / len(self.models)

    def assign(self):
        labels = []
        for x, c in zip(self.x, self.c):
            model = self.sklearn.KMeans(len(c), init=c, n_init=1, max_iter=1)
            model._n_threads = os.cpu_count()
            model.cluster_centers_, model._n_features_out, model.n_features_in_ = c.copy(), len(c), c.shape[1]
            labels.append(model.predict(x))
        self.out_labels = np.stack(labels)

    def labels(self):
        return torch.from_numpy(self.out_labels).long().to(DEVICE)

    def centroids(self):
        return torch.from_numpy(np.stack([model.cluster_centers_ for model in self.models])).to(DEVICE)

    def inertia(self):
        return [model.inertia_ for model in self.models]
