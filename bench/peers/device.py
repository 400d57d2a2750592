# SPDX-License-Identifier: Apache-2.0
"""The device that points live on (the CPU, where PyTorch has no GPU), and what is read off it."""
import threading
import time

import torch

HAS_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_GPU else "cpu")


def wait():
    if HAS_GPU:
        torch.cuda.synchronize()


def release():
    """Gives memory that PyTorch keeps for later back to the device."""
    if HAS_GPU:
        torch.cuda.empty_cache()


def usable():
    """Whether the device still answers: after a fault of one kernel no call of the process succeeds."""
    try:
        wait()
        return True
    except Exception:
        return False


def name():
    return torch.cuda.get_device_name() if HAS_GPU else "none"


class MemoryPeak:
    """The most device memory taken beyond what is taken at the start, None without a GPU: what the driver says, polled
    from a thread, or what PyTorch has given out, which may lie where it had reserved more than it needed before."""

    most = None

    def __enter__(self):
        wait()
        release()
        if HAS_GPU:
            self.most, self.running = 0, True
            torch.cuda.reset_peak_memory_stats()
            self.before, self.given = torch.cuda.mem_get_info()[0], torch.cuda.memory_allocated()
            self.thread = threading.Thread(target=self._poll)
            self.thread.start()
        return self

    def _look(self):
        self.most = max(self.most, self.before - torch.cuda.mem_get_info()[0])

    def _poll(self):
        while self.running:
            self._look()
            time.sleep(0.0002)

    def __exit__(self, *_):
        if HAS_GPU:
            self.running = False
            self.thread.join()
            self._look()
            self.most = max(self.most, torch.cuda.max_memory_allocated() - self.given)


class Energy:
    """The driver's counter of the GPU's energy."""

    def __init__(self):
        self.handle = None
        try:
            import pynvml
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
            self.handle, self.nvml = handle, pynvml
        except Exception:
            pass

    def joules(self):
        """None where the driver has no counter."""
        return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1e3 if self.handle else None
