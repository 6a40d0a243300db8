"""What the README does at the shell, done from Python: each command, and below it the same.

python examples/from_python.py                               # some minutes
python examples/from_python.py --epochs 20 --replicates 3    # some seconds
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import regbench as rb


def main() -> None:
    """Run one experiment after the other and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=30)
    given = parser.parse_args()
    replicates = given.replicates
    training = rb.Training(epochs=given.epochs)

    print("$ regbench wdecay --lambda 0.001,0.01,0.1")
    arms = [rb.WeightDecay(strength) for strength in (0.001, 0.01, 0.1)]
    print(rb.run(rb.Study(arms=arms, training=training, replicates=replicates)), "\n")

    print("$ regbench dropout --p 0.5 --vary init")
    study = rb.Study(arms=rb.Dropout(0.5), training=training, replicates=replicates, vary="init")
    for arm, parts in zip(study.arm_names, rb.run(study).decompositions[-1], strict=True):
        assert parts  # of several replicates
        print(f"{arm}: bias² {parts.bias_squared.value:.4f}, variance {parts.variance.value:.4f}")

    print("\n$ regbench decoupled --lambda 0.01 --optimizer adam")
    adam = rb.Training(epochs=given.epochs, optimizer="adam")
    print(rb.run(rb.Study(arms=rb.DecoupledDecay(0.01), training=adam, replicates=replicates)))

    print("\n$ regbench compare wdecay=0.01 dropout=0.5 wdecay=0.01+dropout=0.5")
    decay, dropout = rb.WeightDecay(0.01), rb.Dropout(0.5)
    study = rb.Study(
        arms=[decay, dropout, decay + dropout], training=training, replicates=replicates
    )
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        result = rb.run(study, folder=folder, progress=True)
        print(result)
        print("files:", ", ".join(sorted(path.name for path in folder.iterdir())))

        print("\n$ regbench report RUN --json | jq .history.baseline.test_loss[-1]")
        print(rb.load(folder).history.test_loss[-1, 0])

    print("\n$ regbench wdecay --lambda logspace:1e-4:1:9 --confirm 30 --require better")
    sweep = rb.Study(
        arms=[rb.WeightDecay(float(strength)) for strength in np.logspace(-4, 0, 9)],
        training=training,
        replicates=replicates,
    )
    result = rb.run(sweep, rb.Question(confirm=replicates, require="better"))
    print(result.confirmation)
    print("exit code", result.exit_code)

    print("\n$ regbench wdecay --config configs/ridge.toml")
    ridge = rb.Study(
        arms=[rb.WeightDecay(strength) for strength in (0.001, 0.01, 0.1, 1.0)],
        task=rb.Task(truth="sine", slope=1.0, points=20, test_points=50),
        network=rb.Network(features="polynomial:9", depth=0),
        training=rb.Training(lr=0.1, epochs=10 * given.epochs, log_every=5000),
        replicates=replicates,
    )
    print(rb.run(ridge, machine=rb.Machine(engine="batched", device="cpu")))

    print("\n$ regbench dropout-scale --p 0.1,0.5 --units 1000 --trials 500")
    for scale in rb.run(rb.DropoutScale(p=[0.1, 0.5], units=1000, trials=500)).scales:
        print(
            f"p={scale.drop_probability}: mean of the output {scale.outputs.mean():.1f} in training"
        )

    print("\n$ regbench wdecay --lambda -1")
    try:
        rb.WeightDecay(-1)
    except rb.UsageError as error:
        print("refused:", error)


if __name__ == "__main__":
    main()
