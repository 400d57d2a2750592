# SPDX-License-Identifier: Apache-2.0
"""Markdown from results: one function per kind of block, which takes the report and the path that links name."""

DASH = "–"

# Claims of the flash-kmeans paper for the H200: what is claimed, the part and the key of compare.py's rows, the shape
# (None: whichever shows it best), whose time is over flash-kmeans' (None: the best of all but this library).
PAPER_CLAIMS = (
    ("17.9× over the best other, whole fit", "fit_ms_per_iteration", "paper-8m-1k", None),
    ("33× over cuML, whole fit", "fit_ms_per_iteration", None, "cuVS"),
    ("over 200× over FAISS, whole fit", "fit_ms_per_iteration", None, "FAISS GPU"),
    ("21.2× over a two-pass assignment (122.5 to 5.8 ms)", "assign_ms", "paper-1m-8k", "PyTorch"),
)
OURS, THEIRS = "flashkmeans cuda", "flash-kmeans"
OUR_PEERS = OURS, "flashkmeans hip", "flashkmeans opencl", "flashkmeans cpu"


def number(value):
    """Three digits."""
    if value == 0:
        return "0"
    digits = f"{value:.3g}"
    return f"{float(digits):.0f}" if "e" in digits and value >= 1 else digits


def whole(value):
    return f"{value:,}"


def percent(value):
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def table(head, rows, left=1):
    """left: columns that are text."""
    line = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, line, *rows))


def command_of(report):
    """That made the result, by what is in it."""
    if "command" in report:
        return report["command"]
    if "sklearn" in report:
        return "bench/peers/sklearn_bench.py --build build"
    sweeps = any(row["shape"].startswith("1,1048576,1024,8,") for row in report["shapes"])
    options = "--sweep n --sweep k --sweep d" if sweeps else "--check 1000 --stages"
    return f"fkm-bench --backend {report['backend']} {options}"


def origin(report, link):
    driver = f", driver {report['driver']}" if report.get("driver") else ""
    date = report["date"][:10]
    return f"{report['device']}{driver}, {date}, commit {report['commit']}: `{command_of(report)}`, [results]({link})."


def plural(count, noun):
    return f"{whole(count)} {noun}{'' if count == 1 else 's'}"


# ---- fkm-bench ----


def dims(row):
    return f"{row['b']}, {row['n']}, {row['k']}, {row['d']} {row['dtype']}"


def cuda(report, link):
    rows = [(row["shape"], dims(row), number(row["exact"]["fit_ms_per_iteration"]["median"]),
             percent(row["share_of_floor"]["fit"]) if "share_of_floor" in row else DASH,
             number(row["fast"]["fit_ms_per_iteration"]["median"])) for row in report["shapes"]]
    checked = sum(row["check"]["rows"] for row in report["shapes"] if "check" in row)
    differing = sum(row["check"]["differing"] for row in report["shapes"] if "check" in row)
    narrow = max(row["workspace_bytes_per_point"] for row in report["shapes"] if row["dtype"] != "f32")
    return "\n\n".join((
        table(("shape", "B, N, K, d, type", "ms per iteration", "of the floor", "fast mode"), rows, left=2),
        f"{whole(differing)} of {plural(checked, 'checked label')} differ from a search of all centroids in double "
        f"precision. The most device memory beyond points, labels and what K and d need: {narrow:.1f} bytes a point "
        f"for f16 and bf16. First fit of a process: {report['first_fit_ms']['fit']:.0f} ms.",
        origin(report, link)))


# ---- peers/sklearn_bench.py ----


def cpu(report, link):
    rows = [(f"{row['n']}, {row['k']}, {row['d']}", f"{row['sklearn_seconds']['median']:.3f} s",
             f"{row['seconds']['median']:.3f} s", f"{row['ratio']:.2f}",
             percent(row["multiply_adds_per_second"] / report["peak"]["multiply_adds_per_second"]),
             whole(row["sklearn_labels_off"]), whole(row["labels_off"])) for row in report["fits"]]
    return "\n\n".join((
        table(("N, K, d", "scikit-learn", "flashkmeans", "ratio", "of the f32 FMA peak", "labels off: scikit-learn",
               "flashkmeans"), rows),
        f"scikit-learn {report['sklearn']}, {max(pool['num_threads'] for pool in report['sklearn_threads'])} threads. " +
        origin(report, link)))


# ---- peers/compare.py ----


def value_of(row, key):
    value = row.get(key)
    return value["median"] if isinstance(value, dict) else value


def grid(report, part, key):
    """{(what, peer): value} and the whats, in the order of the report's shapes, and peers that have any."""
    values = {(row["what"], row["peer"]): value_of(row, key) for row in report["rows"]
              if row["part"] == part and value_of(row, key) is not None}
    shapes = list(report.get("shapes", ()))
    whats = sorted(dict.fromkeys(row["what"] for row in report["rows"] if row["part"] == part),
                   key=lambda what: shapes.index(what) if what in shapes else len(shapes))
    peers = dict.fromkeys(row["peer"] for row in report["rows"])
    return (values, [what for what in whats if any((what, peer) in values for peer in peers)],
            [peer for peer in peers if any((what, peer) in values for what in whats)])


def times(report, key, most=False):
    """A row per shape, the fastest in bold; and who that is. most: only systems that were timed on most shapes."""
    values, whats, peers = grid(report, "speed", key)
    if most:
        peers = [peer for peer in peers if sum((what, peer) in values for what in whats) * 2 > len(whats)]
    rows, beaten = [], []
    for what in whats:
        here = {peer: values[what, peer] for peer in peers if (what, peer) in values}
        best = min(here, key=here.get)
        others = {peer: value for peer, value in here.items() if peer not in OUR_PEERS}
        ratio = min(others.values()) / here[OURS] if others and OURS in here else None
        ours = min((value for peer, value in here.items() if peer in OUR_PEERS), default=None)
        faster = [peer for peer in sorted(others, key=others.get) if ours is not None and others[peer] < ours]
        if faster:
            beaten.append(f"{', '.join(faster)} on {what}")
        rows.append([what, *(DASH if peer not in here else f"**{number(here[peer])}**" if peer == best else
                             number(here[peer]) for peer in peers), f"{number(ratio)}×" if ratio else DASH])
    says = "Faster than this library: " + "; ".join(beaten) + "." if beaten else \
        "No other system is the fastest on any of these shapes."
    return table(("shape", *peers, "best other / ours"), rows) + "\n\n" + says


def peers(report, link):
    return "\n\n".join((times(report, "fit_ms_per_iteration", most=True), origin(report, link)))


def fits(report, link):
    return "\n\n".join((times(report, "fit_ms_per_iteration"), origin(report, link)))


def assignments(report, link):
    return "\n\n".join((times(report, "assign_ms"), reasons(report, ("speed",)),
                        origin(report, link)))


def claims(report, link):
    """What the paper claims over others, what its kernels reach here, and what this library reaches."""
    rows = []
    for claim, key, shape, over in PAPER_CLAIMS:
        values, whats, names = grid(report, "speed", key)
        found = []
        for what in [shape] if shape else whats:
            others = [values[what, name] for name in names if (name == over if over else name not in (
                THEIRS, *OUR_PEERS)) and (what, name) in values]
            if others and (what, THEIRS) in values and (what, OURS) in values:
                found.append((min(others) / values[what, THEIRS], min(others) / values[what, OURS], what))
        theirs, ours, what = max(found, default=(None, None, shape))
        rows.append((claim, what or DASH, *(f"{number(ratio)}×" if ratio else DASH for ratio in (theirs, ours))))
    parts = next((row["assign_parts_ms"] for row in report["rows"]
                  if row["part"] == "speed" and row["what"] == "paper-b32" and "assign_parts_ms" in row), None)
    assigns = grid(report, "speed", "assign_ms")[0]
    said = ""
    if parts and ("paper-b32", OURS) in assigns:
        said = (f"\n\nThe paper puts 2.6 ms of distance arithmetic against 23 ms of matrix traffic at (32, 65536, "
                f"1024, 128). Here PyTorch's product, which writes the matrix, takes {number(parts['product'])} ms and "
                f"the reading of it {number(parts['argmin'])} ms; this library's whole exact assignment "
                f"{number(assigns['paper-b32', OURS])} ms.")
    return table(("claim for flash-kmeans", "shape", "flash-kmeans here", "this library here"), rows, left=2) + said


def labels(report, link):
    values, whats, names = grid(report, "labels", "wrong_labels")
    points = {row["what"]: row["points"] for row in report["rows"] if "points" in row}
    rows = [(report["cases"].get(what, what), whole(points[what]),
             *(whole(values[what, name]) if (what, name) in values else DASH for name in names)) for what in whats]
    return "\n\n".join((table(("points", "N", *names), rows), origin(report, link)))


def quality(report, link):
    blocks = []
    for key, title, text in (
            ("centroid_error", "Root mean square error of the coordinates of means after one iteration, each mean "
                               "counted as often as it has points, in standard deviations of the data", number),
            ("inertia_excess", "Inertia (f64) of the centroids after 5 iterations, over that of Lloyd's algorithm in "
                               "f64, less one", lambda value: f"{value:.1e}"),
            ("inertia_error", "Relative error of the inertia that is reported", lambda value: f"{value:.1e}"),
            ("same_bytes_twice", "The same bytes from run to run", lambda value: "yes" if value else "no")):
        values, whats, names = grid(report, "labels", key)
        if whats:
            rows = [(what, *(text(values[what, name]) if (what, name) in values else DASH for name in names))
                    for what in whats]
            blocks.append(f"{title}:\n\n" + table(("case", *names), rows))
    return "\n\n".join((*blocks, reasons(report, ("labels",)), origin(report, link)))


def costs(report, link):
    """Per peer: first results, energy, memory."""
    first, _, _ = grid(report, "first", "seconds")
    joules, shapes, _ = grid(report, "speed", "joules_per_fit")
    memory, large, _ = grid(report, "speed", "peak_bytes_per_point")
    large = [what for what in large if what in ("paper-8m-1k", "f32-1m-1k")]
    rows = []
    for peer in dict.fromkeys(row["peer"] for row in report["rows"]):
        cells = [first.get((what, peer)) for what in ("compiling", "again")] + \
            [joules.get((what, peer)) for what in shapes] + [memory.get((what, peer)) for what in large]
        if any(value is not None for value in cells):
            rows.append((peer, *(DASH if value is None else number(value) for value in cells)))
    head = ("system", "first result, s", "again, s", *(f"{what}: J per fit" for what in shapes),
            *(f"{what}: peak bytes per point" for what in large))
    return "\n\n".join((table(head, rows), reasons(report, ("first",)), origin(report, link)))


def reasons(report, parts):
    """What was not measured, and why."""
    found = {}
    for row in report["rows"]:
        for key in row:
            if key.endswith("_failed") and row["part"] in parts:
                found.setdefault((row["peer"], row[key]), []).append(row["what"])
    if not found:
        return "Nothing was left out."
    return "Not measured, and why:\n\n" + "\n".join(
        f"- {peer}, {', '.join(dict.fromkeys(whats))}: {reason}" for (peer, reason), whats in found.items())


KINDS = {function.__name__: function for function in
         (cuda, cpu, peers, fits, assignments, claims, labels, quality, costs)}
