# SPDX-License-Identifier: Apache-2.0
"""What compare.py asks of each system that it runs."""
import importlib.metadata


class Unsupported(Exception):
    """What a peer cannot do; the text is the reason that the report gives."""


class Peer:
    """Made with the options of the worker, once per process; raises where the system cannot run here.

    load() takes points [b, n, d] and a start [b, K, d], torch tensors on the device in the type of the shape, and
    converts them, untimed, to what the system's own interface wants. fit(i) makes i whole Lloyd iterations from the
    start, assign() one assignment to it; both return when their results are there.
    """

    name = ""
    on_gpu = True
    takes = "f16, bf16, f32 on the device"  # the type and place of the points that are timed
    packages = ()
    own_start = False  # fits begin from rows of its own choice
    profiled = False   # the time of each of its kernels is wanted
    keeps = ()         # members that outlive unload()

    def __init__(self, options):
        pass

    def versions(self):
        return {package: importlib.metadata.version(package) for package in self.packages}

    def load(self, x, c):
        self.x, self.c = x, c

    def fit(self, iterations):
        """Returns how many iterations were made, the mean over a batch."""
        raise NotImplementedError

    def assign(self):
        raise NotImplementedError

    def parts_of_assign(self):
        """{name: seconds} of another assignment, each part waited for; {} where it has none."""
        return {}

    # Tensors on the device. Labels, int64 [b, n], of the last assign(); centroids [b, K, d] and inertia, [b] or None
    # where none is given, of the last fit().
    def labels(self):
        raise NotImplementedError

    def centroids(self):
        raise NotImplementedError

    def inertia(self):
        return None

    def unload(self):
        for name in set(vars(self)) - set(self.keeps):
            delattr(self, name)
