# SPDX-License-Identifier: Apache-2.0
"""Labels and means in f64, to hold the peers against."""
import torch


def distances(x, c):
    """Sums of squared differences of paired rows, f64."""
    return (x - c).square_().sum(-1)


def nearest(x, c):
    """The nearest centroid of each row of x [n, d] (f64, of c [K, d] f64): by a matrix product of centred values, whose
    error is some 1e-15 of the squared norms."""
    shift = c.mean(0)
    y, z = x - shift, c - shift
    return torch.addmm((z * z).sum(-1)[None, :], y, z.T, alpha=-2.0).argmin(-1)


def chunks(n, k):
    rows = max(1, (1 << 28) // k)
    return ((i, min(n, i + rows)) for i in range(0, n, rows))


def exact_labels(x, c):
    """[n] for x [n, d], c [K, d] of any type."""
    c = c.double()
    return torch.cat([nearest(x[i:j].double(), c) for i, j in chunks(len(x), len(c))])


def wrong_labels(x, c, labels):
    """How many labels name a centroid that is farther than the nearest one."""
    c = c.double()
    wrong = 0
    for i, j in chunks(len(x), len(c)):
        part = x[i:j].double()
        given = labels[i:j].clamp(0, len(c) - 1)
        least = distances(part, c[nearest(part, c)])
        wrong += int((distances(part, c[given]) > least).sum()) + int((labels[i:j] != given).sum())
    return wrong


def means(x, labels, k):
    """[K, d] f64, and the counts [K]."""
    sums = torch.zeros(k, x.shape[1], dtype=torch.float64, device=x.device)
    for i, j in chunks(len(x), 64):
        sums.index_add_(0, labels[i:j], x[i:j].double())
    counts = torch.bincount(labels, minlength=k)
    return sums / counts.clamp(min=1)[:, None], counts


def inertia(x, c):
    """Of the nearest centroids."""
    c = c.double()
    total = 0.0
    for i, j in chunks(len(x), len(c)):
        part = x[i:j].double()
        total += float(distances(part, c[nearest(part, c)]).sum())
    return total


def iterate(x, c):
    """One Lloyd iteration in f64; a cluster without points stays where it is."""
    sums, counts = means(x, exact_labels(x, c), len(c))
    return sums.where(counts[:, None] > 0, c)
