#!/usr/bin/env bash
#SBATCH --job-name=regbench
#SBATCH --array=0-3
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
# One task of the array for each truth, each with a run folder of its own on the shared disk:
#
#     sbatch examples/slurm_runs.sh [any options of `regbench compare`]
#
# Submitted again, a task that was cut off goes on, and one that is done shows its answer.
set -euo pipefail

truths=(linear sine step abs)
truth=${truths[${SLURM_ARRAY_TASK_ID:-0}]}
run=runs/array/$truth
if [ -f "$run/environment.json" ]; then
  exec regbench resume "$run"
fi
exec regbench compare wdecay=0.01 dropout=0.5 wdecay=0.01+dropout=0.5 --truth "$truth" \
  --out "$run" --threads "${SLURM_CPUS_PER_TASK:-1}" "$@"
