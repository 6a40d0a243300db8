"""Draw one fit, to show what the test loss asks and what the risk asks.

python docs/pictures/fit.py docs/pictures/fit.png [--epochs 2000]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import regbench as rb


def main() -> None:
    """Train the default baseline on one replicate and draw its fit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--epochs", type=int, default=2000)
    given = parser.parse_args()
    study = rb.Study(
        arms=rb.WeightDecay(0.01), replicates=1, training=rb.Training(epochs=given.epochs)
    )
    history = rb.run(study).history
    fit, x, truth = history.predictions[-1, 0, 0], history.grid_x, history.grid_truth

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(x, truth, fit, color="#cc79a7", alpha=0.25, lw=0, label="what the risk sees")
    axes.plot(x, truth, color="0.45", lw=1.2, label="truth")
    axes.plot(x, fit, color="#d55e00", lw=2, label="fit of the network, not regularized")
    train: dict[str, Any] = {"s": 42, "color": "#0072b2", "zorder": 3, "label": "training points"}
    axes.scatter(history.train_x, history.train_y[0], **train)
    test: dict[str, Any] = {"s": 42, "facecolors": "none", "edgecolors": "#009e73", "zorder": 3}
    axes.scatter(history.test_x, history.test_y[0], label="the article's test points", **test)
    axes.set(xlabel="x", ylabel="y")
    axes.set_title(
        f"The article's test points stand at the inputs that were memorised\n"
        f"test loss {history.test_loss[-1, 0, 0]:.3f}; risk {history.risk[-1, 0, 0]:.3f}",
        fontsize=11,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    FigureCanvasAgg(figure)
    figure.savefig(given.file, dpi=110)


if __name__ == "__main__":
    main()
