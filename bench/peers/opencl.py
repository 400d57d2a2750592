# SPDX-License-Identifier: Apache-2.0
"""A queue and buffers of the first OpenCL GPU (or any device, where there is no GPU), through ctypes."""
import ctypes
import os

DEVICE_TYPE_GPU, DEVICE_TYPE_ALL = 4, 0xFFFFFFFF
CONTEXT_PLATFORM = 0x1084
POINTER = ctypes.c_void_p


class Buffer:
    """size bytes; released when it is no longer referred to."""

    def __init__(self, library, handle, size):
        self.library, self.handle, self.size = library, handle, size

    def __del__(self):
        self.library.clReleaseMemObject(POINTER(self.handle))


class Queue:
    """context and queue: what native_context and native_queue of flashkmeans.h want."""

    def __init__(self):
        self.library = ctypes.CDLL(os.environ.get("FKM_OPENCL_LIBRARY") or "libOpenCL.so.1")
        for function in ("clCreateContext", "clCreateCommandQueue", "clCreateBuffer"):
            getattr(self.library, function).restype = POINTER
        platform, device = self._device()
        properties = (POINTER * 3)(CONTEXT_PLATFORM, platform, None)
        self.context = self._made("clCreateContext", properties, 1, ctypes.byref(device), None, None)
        self.queue = self._made("clCreateCommandQueue", POINTER(self.context), device, ctypes.c_uint64(0))

    def _device(self):
        platforms, count = (POINTER * 8)(), ctypes.c_uint()
        self._check("clGetPlatformIDs", 8, platforms, ctypes.byref(count))
        device = POINTER()
        for kind in (DEVICE_TYPE_GPU, DEVICE_TYPE_ALL):
            for platform in platforms[:min(count.value, 8)]:
                if self.library.clGetDeviceIDs(POINTER(platform), ctypes.c_uint64(kind), 1, ctypes.byref(device),
                                               None) == 0:
                    return platform, device
        raise RuntimeError("no OpenCL platform has a device")

    def _check(self, function, *arguments):
        status = getattr(self.library, function)(*arguments)
        if status != 0:
            raise RuntimeError(f"{function}: {status}")

    def _made(self, function, *arguments):
        status = ctypes.c_int()
        made = getattr(self.library, function)(*arguments, ctypes.byref(status))
        if status.value != 0:
            raise RuntimeError(f"{function}: {status.value}")
        return made

    def buffer(self, size):
        made = self._made("clCreateBuffer", POINTER(self.context), ctypes.c_uint64(1), ctypes.c_size_t(size), None)
        return Buffer(self.library, made, size)

    def write(self, buffer, address):
        self._check("clEnqueueWriteBuffer", POINTER(self.queue), POINTER(buffer.handle), 1, ctypes.c_size_t(0),
                    ctypes.c_size_t(buffer.size), POINTER(address), 0, None, None)

    def read(self, buffer, address):
        self._check("clEnqueueReadBuffer", POINTER(self.queue), POINTER(buffer.handle), 1, ctypes.c_size_t(0),
                    ctypes.c_size_t(buffer.size), POINTER(address), 0, None, None)

    def finish(self):
        self._check("clFinish", POINTER(self.queue))
