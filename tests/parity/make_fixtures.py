#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes fixtures/: small inputs and what scikit-learn makes of them, for parity.c.

Run with the versions of requirements.txt. The last bits of scikit-learn's sums depend on its threads and on the
processor's BLAS; it runs on one thread here, so that a second run on the same machine writes the same bytes.

The oracle is the public sklearn.cluster.KMeans.fit on the f64 upcast of f32 points, from a given start (n_init=1,
algorithm='lloyd'). Its result is kept only if rounding cannot have decided anything: a Lloyd run by direct differences
in extended precision (class Extended) must agree with it, and in that run every decision (nearest centroid, farthest
points, shift against tolerance) must be clear by a margin far beyond double rounding.

fixtures/cases.txt has one line per case, the fields of FIELDS separated by blanks; "-" stands for no weights; floats
are C hexadecimal.
"""
import io
import pathlib
import sys
import warnings

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_iris
from threadpoolctl import threadpool_limits

PINNED = {"numpy": "2.4.6", "scikit-learn": "1.9.1"}
FIELDS = "name points start weights max_iter tol n_iter inertia labels centroids"
FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures"
CLEAR = 1e-9  # margin of a decision, relative to the size of what is compared; double rounding stays below 1e-12


class Unclear(Exception):
    """A decision that rounding could turn."""


def require_clear(larger, smaller, scale, what):
    margin = np.min((larger - smaller) / scale)
    if margin < CLEAR:
        raise Unclear(f"{what}: margin {margin:.1e}")


class Extended:
    """Lloyd's algorithm with scikit-learn's rules, by direct differences in extended precision."""

    def __init__(self, points, start, weights, max_iter, tol):
        self.x = points.astype(np.longdouble)
        self.c = start.astype(np.longdouble)
        self.k = len(start)
        self.w = np.ones(len(points), np.longdouble) if weights is None else weights.astype(np.longdouble)
        self.middle = self.x.mean(axis=0)
        self.relocations = []  # empty clusters relocated, per iteration
        self.run(max_iter, tol * np.var(self.x, axis=0).mean())

    def assign(self):
        """Labels and distances to the nearest centroids; raises if a nearest one is not clearly so."""
        distances = np.stack([((self.x - c) ** 2).sum(axis=1) for c in self.c], axis=1)
        order = np.argpartition(distances, 1, axis=1)[:, :2]
        nearest, second = np.sort(np.take_along_axis(distances, order, axis=1), axis=1).T
        # What scikit-learn compares is a difference of products of centred vectors: its rounding is relative to these.
        norms = ((self.x - self.middle) ** 2).sum(axis=1) + ((self.c - self.middle) ** 2).sum(axis=1)[order].max(axis=1)
        require_clear(second, nearest, norms, "nearest centroid")
        return distances.argmin(axis=1), nearest

    def update(self, labels, distances):
        sums = np.stack([(self.w[:, None] * self.x)[labels == k].sum(axis=0) for k in range(self.k)])
        totals = np.array([self.w[labels == k].sum() for k in range(self.k)])
        empty = np.flatnonzero(totals == 0)
        self.relocations.append(len(empty))
        if len(empty):
            order = np.argsort(-distances, kind="stable")
            far = distances[order[: len(empty) + 1]]
            require_clear(far[:-1], far[1:], far[0], "farthest points")
            for cluster, row in zip(empty, order):
                sums[labels[row]] -= self.w[row] * self.x[row]
                totals[labels[row]] -= self.w[row]
                sums[cluster] = self.w[row] * self.x[row]
                totals[cluster] = self.w[row]
        if (totals == 0).any():  # the libraries' rules differ here, on purpose
            raise Unclear("a cluster without weight after relocation")
        return sums / totals[:, None]

    def run(self, max_iter, threshold):
        labels, distances = self.assign()
        unchanged = False
        self.reason = "max_iter"
        for self.n_iter in range(1, max_iter + 1):
            new = self.update(labels, distances)
            shift = ((new - self.c) ** 2).sum()
            self.c = new
            previous, (labels, distances) = labels, self.assign()
            if unchanged:
                self.reason = "unchanged"
                break
            if shift == 0:  # only weightless points moved: whether scikit-learn gets exactly 0 is a matter of rounding
                raise Unclear("a shift of 0 with changed labels")
            if threshold > 0:
                require_clear(max(shift, threshold), min(shift, threshold), max(shift, threshold), "shift")
            if shift <= threshold:
                self.reason = "shift"
                break
            unchanged = (labels == previous).all()  # seen by the test of the next iteration
        self.labels = labels
        self.inertia = (self.w * distances).sum()


def fit(points, start, weights, max_iter, tol):
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        model = KMeans(len(start), init=start.astype(np.float64), n_init=1, max_iter=max_iter, tol=tol,
                       algorithm="lloyd")
        return model.fit(points.astype(np.float64), sample_weight=weights)


def make_case(name, points, start, weights=None, max_iter=300, tol=0.0):
    """scikit-learn's result, and the extended run that confirms it."""
    points, start = np.float32(points), np.float32(start)
    check = Extended(points, start, weights, max_iter, tol)
    model = fit(points, start, weights, max_iter, tol)
    reach = np.abs(points - points.mean(axis=0, dtype=np.float64)).max()
    if not np.array_equal(check.labels, model.labels_) or check.n_iter != model.n_iter_:
        raise Unclear("scikit-learn differs from the extended run")
    if abs(check.inertia - model.inertia_) > 1e-11 * check.inertia:
        raise Unclear("inertia")
    if np.abs(check.c - model.cluster_centers_).max() > 1e-11 * reach:
        raise Unclear("centroids")
    return check, model


def first_clear(make, wanted=lambda check: True, seeds=2000):
    """The first of some seeded cases that is clear and shows what is wanted of it."""
    reason = None
    for seed in range(seeds):
        case = make(np.random.default_rng(seed))
        try:
            check, model = make_case(**case)
        except Unclear as unclear:
            reason = unclear
            continue
        if wanted(check):
            return case, check, model
        reason = "not what was wanted"
    sys.exit(f"make_fixtures: no seed gives a clear case {case['name']}: {reason}")


def gaussian(rng, n, d):
    return rng.standard_normal((n, d))


def blobs(rng, n, d, centers, spread=1.0):
    return rng.uniform(-6, 6, (centers, d))[rng.integers(centers, size=n)] + spread * rng.standard_normal((n, d))


def rows(rng, points, k):
    return points[rng.choice(len(points), k, replace=False)]


def cases():
    """(builder, wanted) of every case."""
    def simple(name, points_of, k, weights_of=None, far=0, **options):
        def make(rng):
            points = np.float32(points_of(rng))
            start = rows(rng, points, k)
            if far:  # starts that attract no point: the last ones, and the first, so that ascending order is seen
                where = np.r_[0, k - far + 1:k] if far > 1 else [k // 2]
                start = start.copy()
                start[where] = points.mean(axis=0) + 1000 * np.ptp(points, axis=0) * (1 + np.arange(far))[:, None]
            weights = None if weights_of is None else weights_of(rng, points, start)
            return dict(name=name, points=points, start=start, weights=weights, **options)
        return make

    def some_zero(rng, points, start):
        weights = rng.uniform(0.1, 5.0, len(points))
        weights[rng.random(len(points)) < 0.2] = 0
        return weights

    def one_cluster_zero(rng, points, start):
        """Weights that leave the cluster of the first start without weight, though not without points."""
        nearest = ((points[:, None, :] - start[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
        return np.float32(np.where(nearest == 0, 0, rng.uniform(0.5, 2.0, len(points))))

    def f32_weights(rng, points, start):
        return np.float32(rng.exponential(size=len(points)))

    def unscaled(rng):
        return blobs(rng, 800, 6, 9) * [1, 100, 1e-3, 5e4, 1e-2, 10]

    iris = load_iris().data
    cancer = load_breast_cancer().data
    for tol, suffix, reasons in (
            (0.0, "", ["unchanged"]), (1e-4, "-tol", ["unchanged", "shift"]), (2e-2, "-shift", ["shift"])):
        several = lambda check, reasons=reasons: check.n_iter >= 5 and check.reason in reasons
        yield simple("gauss-2d" + suffix, lambda r: gaussian(r, 500, 2), 7, tol=tol), several
        yield simple("gauss-16d" + suffix, lambda r: gaussian(r, 1000, 16), 25, tol=tol), several
        yield simple("blobs" + suffix, lambda r: blobs(r, 1200, 5, 12, 2.0), 12, tol=tol), several
        yield simple("offset" + suffix, lambda r: 1e4 + blobs(r, 900, 8, 10, 2.5), 10, tol=tol), several
        yield simple("unscaled" + suffix, unscaled, 9, tol=tol), several
        yield simple("weights" + suffix, lambda r: blobs(r, 700, 3, 8, 2.0), 8, some_zero, tol=tol), several
        yield simple("one-empty" + suffix, lambda r: blobs(r, 600, 4, 6, 1.5), 9, far=1, tol=tol), \
            lambda check, several=several: check.relocations[0] == 1 and several(check)
        yield simple("iris" + suffix, lambda r: iris, 5, tol=tol), several
    several = lambda check: check.n_iter >= 5
    yield simple("gauss-64d", lambda r: gaussian(r, 400, 64), 10), several
    yield simple("gauss-1d", lambda r: gaussian(r, 300, 1), 6), several
    yield simple("weights-f32", lambda r: gaussian(r, 500, 10), 12, f32_weights), several
    yield simple("offset-weights", lambda r: 1e4 + gaussian(r, 500, 6), 8, some_zero), several
    yield simple("offset-empty", lambda r: 1e4 + blobs(r, 500, 3, 6, 1.5), 8, far=2), \
        lambda check: check.relocations[0] == 2
    yield simple("four-empty", lambda r: blobs(r, 600, 4, 6, 1.5), 12, far=4), \
        lambda check: check.relocations[0] == 4
    yield simple("empty-weights", lambda r: blobs(r, 500, 3, 6, 1.5), 9, some_zero, far=2), \
        lambda check: check.relocations[0] == 2
    yield simple("weightless-cluster", lambda r: blobs(r, 400, 3, 6, 1.5), 7, one_cluster_zero), \
        lambda check: check.relocations[0] == 1 and sum(check.relocations) == 1
    yield simple("later-empty", lambda r: gaussian(r, 40, 2), 16), \
        lambda check: check.relocations[0] == 0 and sum(check.relocations) > 0
    yield simple("max-iter", lambda r: gaussian(r, 600, 12), 15, max_iter=4), lambda check: check.n_iter == 4
    yield simple("one-iteration", lambda r: gaussian(r, 300, 5), 6, max_iter=1), lambda check: check.n_iter == 1
    yield simple("max-iter-empty", lambda r: blobs(r, 400, 4, 6, 1.5), 8, far=1, max_iter=1), \
        lambda check: check.relocations == [1]
    yield simple("cancer", lambda r: cancer, 8), several


def npy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array))
    return stream.getvalue()


def main():
    if (np.__version__, sklearn.__version__) != tuple(PINNED.values()):
        sys.exit(f"make_fixtures: needs {PINNED}, see requirements.txt")

    files, by_content = {}, {}

    def store(name, array):
        """The name of the file that holds the array; arrays of equal bytes share one."""
        content = npy_bytes(array)
        if content not in by_content:
            by_content[content] = name
            files[name] = content
        return by_content[content]

    lines = [f"# {FIELDS}"]
    for make, wanted in cases():
        case, check, model = first_clear(make, wanted)
        name = case["name"]
        weights = "-" if case["weights"] is None else store(f"{name}.weights.npy", case["weights"])
        lines.append(" ".join([
            name, store(f"{name}.points.npy", case["points"]), store(f"{name}.start.npy", case["start"]), weights,
            str(case.get("max_iter", 300)), float(case.get("tol", 0)).hex(), str(model.n_iter_),
            float(model.inertia_).hex(), store(f"{name}.labels.npy", model.labels_.astype(np.uint8)),
            store(f"{name}.centroids.npy", model.cluster_centers_)]))
        n, d = case["points"].shape
        print(f"{name:20} {n:5} x {d:2}, k {len(case['start']):2}: {model.n_iter_:3} iterations, "
              f"{sum(check.relocations)} relocated, {check.reason}", file=sys.stderr)
    files["cases.txt"] = ("\n".join(lines) + "\n").encode()

    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
