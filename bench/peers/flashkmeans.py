# SPDX-License-Identifier: Apache-2.0
"""The calls of flashkmeans.h that the comparisons need, through ctypes."""
import ctypes
import os

F16, BF16, F32, F64 = 1, 2, 3, 4
HOST, DEVICE = 0, 1
INIT_CENTROIDS = 2
STOP_RELATIVE, STOP_FIXED = 0, 2


class Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int), ("memory", ctypes.c_int)] + [
        (name, ctypes.c_int64) for name in ("offset_bytes", "batch", "rows", "dims", "row_stride", "batch_stride")]


class ContextParams(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t), ("backend", ctypes.c_char_p), ("device", ctypes.c_int32),
        ("threads", ctypes.c_int32), ("memory_budget_bytes", ctypes.c_int64), ("native_queue", ctypes.c_void_p),
        ("native_context", ctypes.c_void_p), ("log", ctypes.c_void_p), ("log_user", ctypes.c_void_p),
        ("log_level", ctypes.c_int), ("device_name", ctypes.c_char_p), ("communicator", ctypes.c_void_p),
        ("devices", ctypes.c_void_p), ("device_count", ctypes.c_int32)]


class FitParams(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t), ("clusters", ctypes.c_int64), ("metric", ctypes.c_int),
        ("init", ctypes.c_int), ("init_centroids", Array), ("weights", Array), ("max_iter", ctypes.c_int32),
        ("tol", ctypes.c_double), ("stop", ctypes.c_int), ("empty", ctypes.c_int), ("n_init", ctypes.c_int32),
        ("seed", ctypes.c_uint64), ("precision", ctypes.c_int), ("kernel", ctypes.c_char_p),
        ("chunk_rows", ctypes.c_int64), ("trust_finite", ctypes.c_int32), ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_int64), ("progress", ctypes.c_void_p), ("progress_user", ctypes.c_void_p),
        ("progress_within", ctypes.c_int32), ("checkpoint", ctypes.c_void_p), ("checkpoint_user", ctypes.c_void_p),
        ("resume", ctypes.c_void_p), ("resume_bytes", ctypes.c_int64), ("checkpoint_interval", ctypes.c_int32)]


class Seconds(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in
                ("check", "copy", "seed", "assign", "update", "finish", "total")]


class Diagnosis(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in
                ("rechecked", "exact_ties", "relocations", "workspace_bytes", "empty_clusters")] + [
        ("kernel", ctypes.c_char * 64), ("tile", ctypes.c_char * 64), ("fused", ctypes.c_int32),
        ("threads", ctypes.c_int32), ("seconds", Seconds), ("registers", ctypes.c_int32),
        ("spilled_bytes", ctypes.c_int32), ("streamed_rows", ctypes.c_int64),
        ("reserved", ctypes.c_int64 * 6)]


class FitResult(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t), ("memory", ctypes.c_int), ("labels", ctypes.c_void_p),
        ("centroids", ctypes.c_void_p), ("centroids_dtype", ctypes.c_int), ("counts", ctypes.c_void_p),
        ("order", ctypes.c_void_p), ("offsets", ctypes.c_void_p), ("distances", ctypes.c_void_p),
        ("inertia", ctypes.c_void_p), ("n_iter", ctypes.c_void_p), ("reason", ctypes.c_void_p),
        ("diagnosis", Diagnosis)]


def view(address, dtype, memory, batch, rows, dims):
    """Of a packed array [batch, rows, dims]."""
    return Array(address, dtype, memory, 0, batch, rows, dims, 0, 0)


class Library:
    """libflashkmeans.so with one context."""

    def __init__(self, path, backend, queue=None, context=None):
        self.library = ctypes.CDLL(os.fspath(path))
        for function in ("fkm_error_message", "fkm_version", "fkm_context_device"):
            getattr(self.library, function).restype = ctypes.c_char_p
        params = self._filled(ContextParams, self.library.fkm_context_params_init_size)
        params.backend, params.native_queue, params.native_context = backend.encode(), queue, context
        self.context = ctypes.c_void_p()
        self._check(self.library.fkm_context_create(ctypes.byref(params), ctypes.byref(self.context)))
        self.version = self.library.fkm_version().decode()
        self.device = self.library.fkm_context_device(self.context).decode()

    def close(self):
        self.library.fkm_context_destroy(self.context)

    def _check(self, status):
        if status != 0:
            raise RuntimeError(self.library.fkm_error_message().decode())

    def _filled(self, kind, init):
        struct = kind()
        init(ctypes.byref(struct), ctypes.c_size_t(ctypes.sizeof(kind)))
        return struct

    def fit_params(self, clusters=0, **members):
        params = self._filled(FitParams, self.library.fkm_fit_params_init_size)
        params.clusters = clusters
        for name, value in members.items():
            setattr(params, name, value)
        return params

    def fit_result(self, **members):
        result = self._filled(FitResult, self.library.fkm_fit_result_init_size)
        for name, value in members.items():
            setattr(result, name, value)
        return result

    def fit(self, points, params, result):
        self._check(self.library.fkm_fit(self.context, ctypes.byref(points), ctypes.byref(params),
                                         ctypes.byref(result)))

    def predict(self, points, centroids, params, result):
        self._check(self.library.fkm_predict(self.context, ctypes.byref(points), ctypes.byref(centroids),
                                             ctypes.byref(params), ctypes.byref(result)))

    def fit_workspace(self, points, params, result):
        size = ctypes.c_int64()
        self._check(self.library.fkm_fit_workspace(self.context, ctypes.byref(points), ctypes.byref(params),
                                                   ctypes.byref(result), ctypes.byref(size)))
        return size.value
