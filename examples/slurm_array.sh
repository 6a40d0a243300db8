#!/bin/bash
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
# One shard of a study for each task of an array; a task that is started again goes on with its own:
#
#     id=$(sbatch --parsable --array=1-16 slurm_array.sh wdecay --replicates 10000)
#     sbatch --dependency=afterok:$id --wrap "regbench merge parts-$id/* --out merged"
set -eu
part=parts-$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID
if [ -d "$part" ]; then
    exec regbench resume "$part"
fi
exec regbench "$@" --shard slurm --out "$part"
