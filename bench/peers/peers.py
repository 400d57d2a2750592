# SPDX-License-Identifier: Apache-2.0
"""The systems that compare.py runs, one small class each.

A peer is loaded with points [b, n, d] and a start [b, K, d] (torch tensors on the GPU, in the type of the shape) and
converts them, untimed, to what its own interface wants. fit(i) runs i whole Lloyd iterations from the start, assign()
one assignment to it; both return when their results are there. What a peer cannot do raises Unsupported with the reason.
"""
import importlib.metadata
import os

import numpy as np
import torch

import flashkmeans


class Unsupported(Exception):
    pass


class Peer:
    name = ""
    on_gpu = True
    takes = "f16, bf16, f32 on the GPU"  # the type and place of the points that are timed
    packages = ()

    def versions(self):
        return {package: importlib.metadata.version(package) for package in self.packages}

    def load(self, x, c):
        self.x, self.c = x, c

    def fit(self, iterations):
        """Returns how many iterations were made."""
        raise NotImplementedError

    def assign(self):
        raise NotImplementedError

    # Of the last fit or assign: int64 [b, n]; of the last fit: [b, K, d]; [b] or None where none is given.
    def labels(self):
        raise NotImplementedError

    def centroids(self):
        raise NotImplementedError

    def inertia(self):
        return None

    def unload(self):
        for name in list(vars(self)):
            if name not in ("library", "stream", "options"):
                delattr(self, name)


# ---- this library ----

CODES = {torch.float16: flashkmeans.F16, torch.bfloat16: flashkmeans.BF16, torch.float32: flashkmeans.F32}


class Ours(Peer):
    """Calls that only enqueue: trust_finite, a workspace, results on the device."""

    name = "flashkmeans cuda"

    def __init__(self, options):
        self.stream = torch.cuda.Stream()
        self.library = flashkmeans.Library(options.library, "cuda", self.stream.cuda_stream)

    def versions(self):
        return {"flashkmeans": self.library.version}

    def load(self, x, c):
        def array(tensor):
            return flashkmeans.view(tensor.data_ptr(), CODES[tensor.dtype], flashkmeans.DEVICE, *tensor.shape)

        super().load(x, c)
        (b, n, d), k = x.shape, c.shape[1]
        self.out_labels = torch.empty(b, n, dtype=torch.int32, device=x.device)
        self.out_centroids = torch.empty(b, k, d, dtype=torch.float32, device=x.device)
        self.points, self.start = array(x), array(c)
        self.params = self.library.fit_params(
            k, init=flashkmeans.INIT_CENTROIDS, init_centroids=self.start, stop=flashkmeans.STOP_FIXED, max_iter=1,
            trust_finite=1)
        self.result = self.library.fit_result(
            memory=flashkmeans.DEVICE, labels=self.out_labels.data_ptr(), centroids=self.out_centroids.data_ptr(),
            centroids_dtype=flashkmeans.F32)
        size = self.library.fit_workspace(self.points, self.params, self.result)
        self.workspace = torch.empty(size, dtype=torch.uint8, device=x.device)
        self.params.workspace, self.params.workspace_bytes = self.workspace.data_ptr(), size

    def fit(self, iterations):
        self.params.max_iter = iterations
        self.library.fit(self.points, self.params, self.result)
        self.stream.synchronize()
        return iterations

    def assign(self):
        self.library.predict(self.points, self.start, self.params, self.result)
        self.stream.synchronize()

    def labels(self):
        return self.out_labels.long()

    def centroids(self):
        return self.out_centroids


class OursOnHost(Peer):
    """Arrays in host memory; for OpenCL their copies to the device are part of the time."""

    backend = "cpu"
    on_gpu = False
    takes = "f16, bf16, f32 in host memory"

    def __init__(self, options):
        self.name = "flashkmeans " + self.backend
        self.library = flashkmeans.Library(options.library, self.backend)

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
        return torch.from_numpy(self.out_labels).long().cuda()

    def centroids(self):
        return torch.from_numpy(self.out_centroids).cuda()

    def inertia(self):
        return self.out_inertia


class OursOpenCL(OursOnHost):
    backend = "opencl"
    on_gpu = True


# ---- others on the GPU ----


class FlashKMeansTriton(Peer):
    """Triton kernels of the paper's authors, tiles by their own heuristic; squared norms made before assign's clock."""

    name = "flash-kmeans"
    packages = ("flash-kmeans", "triton")

    def __init__(self, options):
        import flash_kmeans
        from flash_kmeans.assign_euclid_triton import euclid_assign_triton
        self._fit, self._assign = flash_kmeans.batch_kmeans_Euclid, euclid_assign_triton

    def load(self, x, c):
        super().load(x, c.contiguous())
        self.x_sq = torch.cat([(part.float() ** 2).sum(-1) for part in x.split(1 << 20, 1)], 1)

    def fit(self, iterations):
        self.out = self._fit(self.x, self.c.shape[1], max_iters=iterations, tol=-1.0, init_centroids=self.c)
        torch.cuda.synchronize()
        return iterations

    def assign(self):
        self.out = (self._assign(self.x, self.c, self.x_sq, use_heuristic=True),)
        torch.cuda.synchronize()

    def labels(self):
        return self.out[0].long()

    def centroids(self):
        return self.out[1]

    def unload(self):
        for name in ("x", "c", "x_sq", "out"):
            vars(self).pop(name, None)


class TorchTwoPass(Peer):
    """A plain Lloyd iteration: the matrix of distances by a matrix product, argmin, index_add in f32."""

    name = "PyTorch"
    packages = ("torch",)

    def __init__(self, options):
        pass

    def load(self, x, c):
        super().load(x, c)
        # As many rows at a time as keep the matrix of distances below 16 GB.
        self.rows = max(1, min(x.shape[1], (16 << 30) // (c.shape[1] * x.element_size())))

    def _nearest(self, x, c):
        norms = (c.float() ** 2).sum(-1).to(x.dtype)[None, :]
        return torch.cat([torch.addmm(norms, part, c.T, alpha=-2.0).argmin(-1) for part in x.split(self.rows)])

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
        torch.cuda.synchronize()
        return iterations

    def assign(self):
        self.out_labels = torch.stack([self._nearest(x, c) for x, c in zip(self.x, self.c)])
        torch.cuda.synchronize()

    def labels(self):
        return self.out_labels

    def centroids(self):
        return self.out_centroids


class Cuvs(Peer):
    """NVIDIA's; f32 only, one problem at a time. A tolerance of 0 ends a fit where the inertia stands still."""

    name = "cuVS"
    takes = "f32 on the GPU"
    packages = ("cuvs-cu13", "libcuvs-cu13")

    def __init__(self, options):
        from cuvs.cluster import kmeans
        from pylibraft.common import DeviceResources
        self.kmeans, self.resources = kmeans, DeviceResources()

    def load(self, x, c):
        super().load(x.float(), c.float())

    def _params(self, iterations):
        return self.kmeans.KMeansParams(n_clusters=self.c.shape[1], init_method="Array", max_iter=iterations, tol=0.0,
                                        n_init=1)

    def fit(self, iterations):
        done = 0
        self.out_centroids, self.out_inertia = self.c.clone(), []
        for x, c in zip(self.x, self.out_centroids):
            _, inertia, made = self.kmeans.fit(self._params(iterations), x, c, resources=self.resources)
            done += made
            self.out_inertia.append(float(inertia))
        self.resources.sync()
        return done / len(self.x)

    def assign(self):
        outs = [self.kmeans.predict(self._params(1), x, c, resources=self.resources)[0]
                for x, c in zip(self.x, self.c)]
        self.resources.sync()
        self.out_labels = torch.stack([torch.as_tensor(labels, device="cuda") for labels in outs])

    def labels(self):
        return self.out_labels.long()

    def centroids(self):
        return self.out_centroids

    def inertia(self):
        return self.out_inertia

    def unload(self):
        for name in ("x", "c", "out_centroids", "out_labels", "out_inertia"):
            vars(self).pop(name, None)


class FaissGpu(Peer):
    """faiss.Clustering with GpuIndexFlatL2: f32 arrays in host memory, as its interface takes them, no subsampling; the
    index holds f16 centroids where the points are 16 bit wide."""

    name = "FAISS GPU"
    takes = "f32 in host memory"
    packages = ("faiss-gpu-cu12",)

    def __init__(self, options):
        import faiss
        self.faiss = faiss
        if not hasattr(faiss, "StandardGpuResources"):
            raise Unsupported("this build of FAISS has no GPU code")
        self.resources = faiss.StandardGpuResources()

    def _index(self):
        config = self.faiss.GpuIndexFlatConfig()
        config.useFloat16 = self.narrow
        return self.faiss.GpuIndexFlatL2(self.resources, self.c.shape[2], config)

    def load(self, x, c):
        self.narrow = x.element_size() == 2
        self.x, self.c = x.float().cpu().numpy(), c.float().cpu().numpy()

    def fit(self, iterations):
        self.out_centroids, self.out_inertia = [], []
        k, d = self.c.shape[1:]
        for x, c in zip(self.x, self.c):
            parameters = self.faiss.ClusteringParameters()
            parameters.niter, parameters.min_points_per_centroid = iterations, 1
            parameters.max_points_per_centroid = len(x) // k + 1
            clustering = self.faiss.Clustering(d, k, parameters)
            self.faiss.copy_array_to_vector(c.ravel(), clustering.centroids)
            clustering.train(x, self._index())
            self.out_centroids.append(self.faiss.vector_to_array(clustering.centroids).reshape(k, d))
            self.out_inertia.append(clustering.iteration_stats.at(clustering.iteration_stats.size() - 1).obj)
        return iterations

    def assign(self):
        out = []
        for x, c in zip(self.x, self.c):
            index = self._index()
            index.add(c)
            out.append(index.search(x, 1)[1][:, 0])
        self.out_labels = np.stack(out)

    def labels(self):
        return torch.from_numpy(self.out_labels).long().cuda()

    def centroids(self):
        return torch.from_numpy(np.stack(self.out_centroids)).cuda()

    def unload(self):
        for name in ("x", "c", "out_centroids", "out_labels", "out_inertia"):
            vars(self).pop(name, None)


class FaissCpu(FaissGpu):
    name = "FAISS CPU"
    on_gpu = False

    def __init__(self, options):
        import faiss
        self.faiss = faiss

    def _index(self):
        return self.faiss.IndexFlatL2(self.c.shape[2])


class FastKMeans(Peer):
    """f32 arrays in host memory and a random start of its own: speed only. Triton kernels, as it chooses on such a GPU."""

    name = "fastkmeans"
    takes = "f32 in host memory"
    packages = ("fastkmeans",)

    def __init__(self, options):
        import fastkmeans
        self.fastkmeans = fastkmeans

    def load(self, x, c):
        self.x, self.k = x.float().cpu().numpy(), c.shape[1]

    def fit(self, iterations):
        self.out_centroids = []
        for x in self.x:
            model = self.fastkmeans.FastKMeans(x.shape[1], self.k, niter=iterations, tol=-1.0, gpu=True)
            model.train(x)
            self.out_centroids.append(model.centroids)
        return iterations

    def assign(self):
        raise Unsupported("takes no centroids of the caller's")

    def labels(self):
        raise Unsupported("takes no centroids of the caller's")

    def centroids(self):
        return torch.from_numpy(np.stack(self.out_centroids)).cuda()

    def unload(self):
        for name in ("x", "k", "out_centroids"):
            vars(self).pop(name, None)


class ScikitLearn(Peer):
    name = "scikit-learn"
    on_gpu = False
    takes = "f32 in host memory"
    packages = ("scikit-learn",)

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
        return torch.from_numpy(self.out_labels).long().cuda()

    def centroids(self):
        return torch.from_numpy(np.stack([model.cluster_centers_ for model in self.models])).cuda()

    def inertia(self):
        return [model.inertia_ for model in self.models]

    def unload(self):
        for name in ("x", "c", "models", "out_labels"):
            vars(self).pop(name, None)


PEERS = (Ours, FlashKMeansTriton, TorchTwoPass, Cuvs, FaissGpu, FastKMeans, OursOpenCL, OursOnHost, FaissCpu,
         ScikitLearn)
