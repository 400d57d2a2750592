#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fresh process: fits points from host memory and prints the time at which centroids are in host memory.

first.py PEER LIBRARY POINTS.npy START.npy ITERATIONS; both arrays f16, [N, d] and [K, d]. Each peer imports what it
needs and no more.
"""
import json
import sys
import time

import numpy as np


def ours(backend):
    def fit(library, x, c, iterations):
        import flashkmeans

        def array(a):
            return flashkmeans.view(a.ctypes.data, flashkmeans.F16, flashkmeans.HOST, 1, *a.shape)

        opened = flashkmeans.Library(library, backend)
        labels, centroids = np.empty(len(x), np.int32), np.empty(c.shape, np.float32)
        params = opened.fit_params(len(c), init=flashkmeans.INIT_CENTROIDS, init_centroids=array(c),
                                   stop=flashkmeans.STOP_FIXED, max_iter=iterations)
        result = opened.fit_result(labels=labels.ctypes.data, centroids=centroids.ctypes.data,
                                   centroids_dtype=flashkmeans.F32)
        opened.fit(array(x), params, result)
        return centroids
    return fit


def with_torch(name):
    """By the peer of compare.py, for those that need PyTorch anyway."""
    def fit(library, x, c, iterations):
        import torch
        from peer import Unsupported
        from peers import peer_called
        try:
            peer = peer_called(name)(None)
        except Unsupported as reason:
            sys.exit(str(reason))
        peer.load(torch.from_numpy(x)[None].cuda(), torch.from_numpy(c)[None].cuda())
        peer.fit(iterations)
        return peer.centroids().cpu().numpy()
    return fit


def cuvs(library, x, c, iterations):
    from cuvs.cluster import kmeans
    from pylibraft.common import device_ndarray
    params = kmeans.KMeansParams(n_clusters=len(c), init_method="Array", max_iter=iterations, tol=1e-30, n_init=1)
    centroids = device_ndarray(c.astype(np.float32))
    kmeans.fit(params, device_ndarray(x.astype(np.float32)), centroids)
    return centroids.copy_to_host()


def faiss(gpu):
    def fit(library, x, c, iterations):
        import faiss
        if gpu and faiss.get_num_gpus() == 0:
            raise RuntimeError("FAISS finds no GPU here")
        model = faiss.Kmeans(x.shape[1], len(c), niter=iterations, gpu=gpu, max_points_per_centroid=len(x))
        model.train(x.astype(np.float32), init_centroids=c.astype(np.float32))
        return model.centroids
    return fit


def scikit_learn(library, x, c, iterations):
    from sklearn.cluster import KMeans
    return KMeans(len(c), init=c.astype(np.float32), n_init=1, max_iter=iterations, tol=0,
                  algorithm="lloyd").fit(x.astype(np.float32)).cluster_centers_


FITS = {
    "flashkmeans cuda": ours("cuda"), "flash-kmeans": with_torch("flash-kmeans"), "PyTorch": with_torch("PyTorch"),
    "fastkmeans": with_torch("fastkmeans"), "cuVS": cuvs, "FAISS GPU": faiss(True),
    "FAISS torch": with_torch("FAISS torch"), "flashkmeans hip": ours("hip"), "flashkmeans opencl": ours("opencl"),
    "flashkmeans cpu": ours("cpu"), "FAISS CPU": faiss(False), "scikit-learn": scikit_learn,
}


def main():
    name, library, points, start, iterations = sys.argv[1:]
    centroids = FITS[name](library, np.load(points), np.load(start), int(iterations))
    at = time.time()
    print(json.dumps({"at": at, "checksum": float(np.abs(centroids).sum())}))


if __name__ == "__main__":
    main()
