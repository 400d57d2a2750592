# SPDX-License-Identifier: Apache-2.0
"""The process that measures: takes tasks [part, peer, shape or case] in turn and prints a line of JSON for each.

compare.py starts it, reads the lines, and starts another where this one ends early.
"""
import json
import math
import statistics
import sys
import time

import torch

import cases
import device
import oracle
from peer import Unsupported
from peers import peer_called

ITERATIONS = 20
REPEATED = 5            # iterations of the fits whose bytes are compared
SLOW_SECONDS = 1.0      # a fit longer than that is made shorter
MOST_REPEATS = 200
ENERGY_SECONDS = 1.0    # of fits in a row: the driver's counter moves every 0.1 s
LOST_DEVICE = 3         # exit status


def log(*words):
    print(*words, file=sys.stderr, flush=True)


def say(**members):
    print(json.dumps(members), flush=True)


def seconds_of(function, *arguments):
    device.wait()
    start = time.perf_counter()
    result = function(*arguments)
    device.wait()
    return time.perf_counter() - start, result


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "count": len(values)}


def one_line(error):
    kind = "" if isinstance(error, Unsupported) else type(error).__name__ + ": "
    return f"{kind}{error}".splitlines()[0][:300]


def attempt(row, what, function):
    """Calls it; where it fails, notes why in row[what + "_failed"] and returns None."""
    try:
        return function()
    except Exception as error:
        row[what + "_failed"] = one_line(error)
        if device.usable():
            device.release()
        return None


# ---- speed ----


def warm_up(peer):
    """Seconds of a fit of one iteration, the peer's kernels made and loaded by another before."""
    peer.fit(1)
    return seconds_of(peer.fit, 1)[0]


def repeat(function, least_seconds, most):
    """[(seconds, result) of each call]"""
    calls, begin = [], time.perf_counter()
    while not calls or time.perf_counter() - begin < least_seconds and len(calls) < most:
        calls.append(seconds_of(function))
    return calls


def speed_of(peer, shape, x, c, row, seconds):
    """Memory counts from before the peer was loaded: what it takes beside the points and the start, a copy of them in
    another type included."""
    with device.MemoryPeak() as peak:
        peer.load(x, c)
        iteration = warm_up(peer)
    if peak.most is not None and peer.on_gpu:
        row["peak_bytes"] = peak.most
        row["peak_bytes_per_point"] = peak.most / (shape.b * shape.n)
    row["iterations"] = max(1, min(ITERATIONS, int(SLOW_SECONDS / max(iteration, 1e-9))))
    calls = [(iteration, 1)] if iteration > SLOW_SECONDS else \
        repeat(lambda: peer.fit(row["iterations"]), seconds, MOST_REPEATS)
    row["fit_ms_per_iteration"] = spread([1e3 * time_ / max(made, 1) for time_, made in calls])
    return True


def energy_of(peer, row):
    meter = device.Energy()
    before = meter.joules()
    if before is None:
        row["energy_failed"] = "the driver has no counter of energy"
        return
    calls = repeat(lambda: peer.fit(row["iterations"]), ENERGY_SECONDS, math.inf)
    row["joules_per_fit"] = (meter.joules() - before) / sum(max(made, 1) for _, made in calls) * ITERATIONS


def assign_of(peer, row, seconds):
    if row["fit_ms_per_iteration"]["median"] < 1e3 * SLOW_SECONDS:  # else the fits have made all that it needs
        peer.assign()
    row["assign_ms"] = spread([1e3 * time_ for time_, _ in repeat(peer.assign, seconds, MOST_REPEATS)])
    parts = peer.parts_of_assign()
    if parts:
        row["assign_parts_ms"] = {name: 1e3 * part for name, part in parts.items()}


def run_speed(peer, shape, x, c, options):
    row = {}
    if attempt(row, "fit", lambda: speed_of(peer, shape, x, c, row, options.seconds)):
        attempt(row, "assign", lambda: assign_of(peer, row, options.seconds / 2))
        if peer.on_gpu and shape.name in options.energy_shapes:
            attempt(row, "energy", lambda: energy_of(peer, row))
    return row


# ---- kernels ----


def kernels_of(peer):
    """{kernel: ms per iteration}: a fit of 1 iteration from one of ITERATIONS more; what is done once drops out."""
    from torch.profiler import ProfilerActivity, profile

    def milliseconds(iterations):
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            peer.fit(iterations)
        return {event.key: event.self_device_time_total / 1e3 for event in profiled.key_averages()
                if event.self_device_time_total > 0}

    milliseconds(1)  # the profiler's own start
    once, more = milliseconds(1), milliseconds(1 + ITERATIONS)
    return {name: (time_ - once.get(name, 0)) / ITERATIONS for name, time_ in more.items()}


def run_kernels(peer, x, c):
    row = {}
    if attempt(row, "load", lambda: (peer.load(x, c), True)):
        row["kernels_ms"] = attempt(row, "kernels", lambda: kernels_of(peer))
    return row


# ---- labels ----


class Truth:
    """What f64 says of a case; made once for all peers."""

    def __init__(self, x, c):
        self.x, self.c, self.k = x[0], c[0], c.shape[1]
        self.labels = oracle.exact_labels(self.x, self.c)
        self.means, self.counts = oracle.means(self.x, self.labels, self.k)
        self.deviation = float(self.x[:1 << 20].double().std(0).mean())
        centroids = self.c.double()
        for _ in range(REPEATED):
            centroids = oracle.iterate(self.x, centroids)
        self.inertia = oracle.inertia(self.x, centroids)


def run_labels(peer, x, c, truth):
    row = {"points": x.shape[1]}

    def wrong():
        peer.assign()
        row["wrong_labels"] = oracle.wrong_labels(truth.x, truth.c, peer.labels()[0])

    def centroids():
        if peer.own_start:
            raise Unsupported("fits begin from rows of its own choice")
        peer.fit(1)
        squares = (peer.centroids()[0].double() - truth.means).square().mean(1) * truth.counts
        row["centroid_error"] = float(squares.sum() / truth.counts.sum()) ** 0.5 / truth.deviation

    def again():
        peer.fit(REPEATED)
        first, inertia = peer.centroids().clone(), peer.inertia()
        peer.fit(REPEATED)
        row["same_bytes_twice"] = bool(torch.equal(first.view(torch.uint8), peer.centroids().view(torch.uint8)))
        reached = oracle.inertia(truth.x, first[0])
        if not peer.own_start:
            row["inertia_excess"] = reached / truth.inertia - 1
        if inertia is not None:
            row["inertia_error"] = abs(float(inertia[0]) / reached - 1)

    if attempt(row, "load", lambda: (peer.load(x, c), True)):
        for what, function in (("labels", wrong), ("centroids", centroids), ("repeat", again)):
            attempt(row, what, function)
    return row


# ---- tasks ----


class Worker:
    def __init__(self, options):
        self.options, self.opened, self.failed = options, {}, {}
        self.key = None

    def peer(self, name):
        """None where it cannot be opened; failed says why."""
        if name not in self.opened and name not in self.failed:
            row, kind = {}, peer_called(name)
            peer = attempt(row, "open", lambda: kind(self.options))
            if peer is None:
                self.failed[name] = row["open_failed"]
            else:
                self.opened[name] = peer
                say(versions={name: peer.versions()}, takes={name: peer.takes})
        return self.opened.get(name)

    def make_data(self, part, what):
        if self.key == (part, what):
            return
        self.x = self.c = self.truth = None
        device.release()
        if part == "labels":
            case = cases.case_called(what)
            self.shape, self.x = case.shape, case.make(case.shape)
        else:
            self.shape = cases.Shape.parse(what, self.options.shapes[what])
            self.x = cases.normal(self.shape)
        self.c = cases.rows_as_start(self.x, self.shape.k)
        if part == "labels":
            self.truth = Truth(self.x, self.c)
        self.key = part, what

    def run(self, part, name, what):
        peer = self.peer(name)
        if peer is None:
            return {"open_failed": self.failed[name]}
        self.make_data(part, what)
        if part == "speed":
            row = run_speed(peer, self.shape, self.x, self.c, self.options)
        elif part == "kernels":
            row = run_kernels(peer, self.x, self.c)
        else:
            row = run_labels(peer, self.x, self.c, self.truth)
        peer.unload()
        return row


def work(options):
    worker = Worker(options)
    for part, name, what in json.loads(options.tasks.read_text()):
        say(starts=[part, name, what])
        begin = time.perf_counter()
        row = worker.run(part, name, what)
        say(row={"part": part, "peer": name, "what": what, **row})
        log(f"{part} {what} {name}: {time.perf_counter() - begin:.1f} s", *(
            f"{row[key]['median']:.4f}" for key in ("fit_ms_per_iteration", "assign_ms") if key in row),
            *(f"{key} {row[key]}" for key in row if key.endswith("failed") or key == "wrong_labels"))
        if not device.usable():
            log("the device is lost")
            return LOST_DEVICE
    return 0
