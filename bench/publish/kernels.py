# SPDX-License-Identifier: Apache-2.0
"""What the library's kernels are for, by their names."""
import re

# A stage of an iteration and its kernels; a kernel is of the first stage whose pattern is in its name.
STAGES = (
    ("whole iterations in one launch", "_small"),
    ("what the filter leaves, in double precision", "recheck|decide|_scan$|unique"),
    ("assignment by the filter", r"_(sm90|split|matrix_filter)_(d\d+|any)|_k_filter$"),
    ("sums of clusters", "_k_sum_|local_sums|entries|_sort_|offsets|count_labels"),
    ("centroids from sums, empty clusters", "finish|empty|shift|distances|moves|_centroids$|centroid_max"),
    ("the filter's operands, and the rest", ""),
)


def stage_of(kernel):
    """Its place in STAGES."""
    return next(i for i, (_, pattern) in enumerate(STAGES) if re.search(pattern, kernel))
