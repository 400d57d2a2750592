# SPDX-License-Identifier: Apache-2.0
"""Figures from results, SVG, by matplotlib: one function per figure, which takes the report."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter  # noqa: E402

import kernels  # noqa: E402
import tables  # noqa: E402

# Okabe and Ito's colours, which the colour-blind tell apart; each peer has a marker of its own too.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800", "#666666")
STYLES = {
    "flashkmeans cuda": (BLUE, "o"), "flash-kmeans": (VERMILION, "s"), "PyTorch": (ORANGE, "^"),
    "fastkmeans": (GREEN, "D"), "cuVS": (PURPLE, "v"), "FAISS GPU": (GREY, "P"), "FAISS torch": (YELLOW, "X"),
    "flashkmeans hip": (VERMILION, "o"), "flashkmeans opencl": (SKY, "o"), "flashkmeans cpu": (BLUE, "*"),
    "FAISS CPU": (GREY, "h"), "scikit-learn": (ORANGE, "p"),
}
BASE = {"n": 1048576, "k": 1024, "d": 128}

plt.rcParams.update({
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#DDDDDD",
    "axes.axisbelow": True, "svg.hashsalt": "flashkmeans", "figure.facecolor": "white", "legend.frameon": False,
    "axes.titlesize": 10, "figure.constrained_layout.use": True,
})


def size_text(value, _=None):
    """1048576: 1M."""
    for unit, text in ((1 << 20, "M"), (1 << 10, "k")):
        if value >= unit and value % unit == 0:
            return f"{value // unit:.0f}{text}"
    return f"{value:.0f}"


def plain(value, _=None):
    return f"{value:g}"


def floor_of(row):
    return max(row["floor_ms"].values())


def device_of(report):
    return f"{report['device']}, commit {report['commit']}"


def sweeps(report):
    """Milliseconds per iteration against N, K and d, and the floor."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True)
    names = {"n": "points N", "k": "clusters K", "d": "dimensions d"}
    for axis, plot in zip("nkd", axes):
        others = [other for other in BASE if other != axis]
        rows = {row[axis]: row for row in report["shapes"] if row["b"] == 1 and row["dtype"] == "f16" and
                all(row[other] == BASE[other] for other in others)}
        x = sorted(rows)
        rows = [rows[value] for value in x]
        plot.loglog(x, [row["exact"]["fit_ms_per_iteration"]["median"] for row in rows], color=BLUE, marker="o",
                    label="exact", zorder=3)
        plot.loglog(x, [row["fast"]["fit_ms_per_iteration"]["median"] for row in rows], color=ORANGE, marker="^",
                    label="fast mode", linewidth=1)
        plot.loglog(x, [floor_of(row) for row in rows], color="black", linestyle="--", label="floor")
        plot.set_xlabel(names[axis])
        plot.xaxis.set_major_locator(FixedLocator(x[::1 if axis != "n" else 2]))
        plot.xaxis.set_major_formatter(FuncFormatter(size_text))
        plot.xaxis.set_minor_locator(NullLocator())
        plot.yaxis.set_major_formatter(FuncFormatter(plain))
        plot.set_title(", ".join(f"{other.upper() if other != 'd' else 'd'} = {size_text(BASE[other])}"
                                 for other in others))
    axes[0].set_ylabel("ms per iteration")
    axes[0].legend()
    figure.suptitle(f"Whole fits, f16 ({device_of(report)})", fontsize=11)
    return figure


def horizontal_bars(count):
    figure, plot = plt.subplots(figsize=(7.5, 1.1 + 0.27 * count))
    plot.grid(axis="y", visible=False)
    plot.invert_yaxis()
    return figure, plot


def floor(report):
    """Each shape's share of the floor."""
    rows = report["shapes"]
    figure, plot = horizontal_bars(len(rows))
    shares = [row["share_of_floor"]["fit"] for row in rows]
    arithmetic = [row["floor_ms"]["multiply_adds"] >= row["floor_ms"]["reading"] for row in rows]
    bars = plot.barh([row["shape"] for row in rows], shares,
                     color=[BLUE if multiplies else ORANGE for multiplies in arithmetic], height=0.7)
    plot.bar_label(bars, [tables.percent(share) for share in shares], padding=3, fontsize=9)
    plot.set_xlim(0, max(1.0, *shares) * 1.02)
    plot.xaxis.set_major_formatter(PercentFormatter(1))
    plot.set_xlabel("floor / time of an iteration")
    plot.bar(0, 0, color=BLUE, label="floor: multiply-adds at cuBLAS' rate")
    plot.bar(0, 0, color=ORANGE, label="floor: one reading of the points")
    plot.legend(loc="lower right", fontsize=9)
    plot.set_title(f"Share of the floor that exact fits reach ({device_of(report)})", loc="left")
    return figure


STAGE_COLORS = PURPLE, ORANGE, BLUE, GREEN, SKY, GREY


def stages(report):
    """Where the time of an iteration goes: its kernels, by what they are for."""
    rows = [row for row in report["rows"] if row["part"] == "kernels" and row.get("kernels_ms") and
            row["peer"] == tables.OURS]
    figure, plot = horizontal_bars(len(rows))
    shares = [[0.0] * len(rows) for _ in kernels.STAGES]
    for i, row in enumerate(rows):
        total = sum(row["kernels_ms"].values())
        for kernel, time in row["kernels_ms"].items():
            shares[kernels.stage_of(kernel)][i] += max(0.0, time) / total
    left = [0.0] * len(rows)
    for (label, _), color, share in zip(kernels.STAGES, STAGE_COLORS, shares):
        plot.barh([row["what"] for row in rows], share, left=left, color=color, label=label, height=0.7)
        left = [a + b for a, b in zip(left, share)]
    for i, row in enumerate(rows):
        plot.text(1.01, i, f"{tables.number(sum(row['kernels_ms'].values()))} ms", va="center", fontsize=9)
    plot.set_xlim(0, 1.12)
    plot.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    plot.xaxis.set_major_formatter(PercentFormatter(1))
    plot.set_xlabel("of the kernels' time in an iteration")
    figure.legend(loc="outside lower center", fontsize=9, ncols=2)
    plot.set_title(f"Where an iteration's time goes ({device_of(report)})", loc="left")
    return figure


def legend(figure, plot, names):
    pairs = dict(zip(*reversed(plot.get_legend_handles_labels())))
    figure.legend([pairs[name] for name in names], names, loc="outside right center", fontsize=9)


def dots(report, values, whats, names, labels, width=8.0):
    """A row per what, a marker per peer."""
    figure, plot = plt.subplots(figsize=(width, 1.3 + 0.34 * len(whats)))
    plot.invert_yaxis()
    order = sorted(names, key=lambda name: name != "flashkmeans cuda", reverse=True)  # ours is drawn last, on top
    for name in order:
        points = [(values[what, name], i) for i, what in enumerate(whats) if (what, name) in values]
        color, marker = STYLES.get(name, (GREY, "."))
        filled = name != "flashkmeans opencl"
        plot.scatter([x for x, _ in points], [y for _, y in points], color=color if filled else "none",
                     edgecolors=color, marker=marker, s=52, label=name, zorder=3 + (name == "flashkmeans cuda"))
    plot.set_yticks(range(len(whats)), labels)
    legend(figure, plot, names)
    return figure, plot


def peers(report):
    """Milliseconds per iteration of every peer on every shape."""
    values, whats, names = tables.grid(report, "speed", "fit_ms_per_iteration")
    figure, plot = dots(report, values, whats, names, whats)
    plot.set_xscale("log")
    plot.xaxis.set_major_formatter(FuncFormatter(plain))
    plot.set_xlabel("ms per iteration of a whole fit")
    plot.set_title(f"All in one process ({device_of(report)})", loc="left")
    return figure


def labels(report):
    """Share of the labels that are not the nearest centroid's, by peer."""
    values, whats, names = tables.grid(report, "labels", "wrong_labels")
    points = {row["what"]: row["points"] for row in report["rows"] if "points" in row}
    least = 1e-5
    shares = {key: max(value / points[key[0]], least / 3 if value == 0 else least) for key, value in values.items()}
    spread = {}
    for i, name in enumerate(names):  # side by side, so that zeros do not hide each other
        spread.update({key: (share, (i + 0.5) / len(names) - 0.5) for key, share in shares.items() if key[1] == name})
    figure, plot = plt.subplots(figsize=(8.6, 1.4 + 0.62 * len(whats)))
    plot.invert_yaxis()
    for name in names:
        color, marker = STYLES.get(name, (GREY, "."))
        mine = [(spread[what, name][0], i + 0.8 * spread[what, name][1]) for i, what in enumerate(whats)
                if (what, name) in spread]
        plot.scatter([x for x, _ in mine], [y for _, y in mine], marker=marker, s=38, label=name, zorder=3,
                     color="none" if name == "flashkmeans opencl" else color, edgecolors=color)
    for i in range(1, len(whats)):
        plot.axhline(i - 0.5, color="#BBBBBB", linewidth=0.8)
    plot.grid(axis="y", visible=False)
    plot.set_xscale("log")
    plot.set_xlim(least / 5, 2)
    ticks = (least / 3, 1e-4, 1e-3, 1e-2, 1e-1, 1)
    plot.xaxis.set_major_locator(FixedLocator(ticks))
    plot.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "none" if x < least else f"{100 * x:g} %"))
    plot.xaxis.set_minor_locator(NullLocator())
    texts = (report["cases"].get(what, what) for what in whats)
    plot.set_yticks(range(len(whats)), [text.replace(": ", ":\n").replace("points, ", "points,\n") for text in texts])
    plot.set_xlabel("labels that do not name the nearest centroid")
    legend(figure, plot, names)
    plot.set_title(f"Wrong labels ({device_of(report)})", loc="left")
    return figure


KINDS = {function.__name__: function for function in (sweeps, floor, stages, peers, labels)}


def draw(kind, report, path, source):
    """source: the result that it is drawn from, which the file then names."""
    figure = KINDS[kind](report)
    figure.savefig(path, metadata={"Date": None, "Creator": None, "Source": source})
    plt.close(figure)
