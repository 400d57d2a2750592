# SPDX-License-Identifier: Apache-2.0
"""Every system that compare.py runs, in the order of its tables."""
import ours
import others

PEERS = (ours.OursCuda, others.FlashKMeansTriton, others.TorchTwoPass, others.FastKMeans, others.Cuvs, others.FaissGpu,
         others.FaissTorch, ours.OursHip, ours.OursOpenCL, ours.OursCpu, others.FaissCpu, others.ScikitLearn)


def peer_called(name):
    return next(kind for kind in PEERS if kind.name == name)
