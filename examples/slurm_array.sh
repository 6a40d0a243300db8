#!/bin/bash
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
# One shard of a study for each task of an array, which must be 1-N without gaps. A task that is started
# again resumes its own unfinished run folder:
#
#     id=$(sbatch --parsable --array=1-16 slurm_array.sh wdecay --replicates 10000)
#     sbatch --dependency=afterok:$id --wrap "regbench merge parts-$id/* --out merged"
set -eu
part=parts-$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID
plugins=() before=
for word in "$@"; do # a run that used plug-ins is resumed with them
    case $before$word in
        --plugin=*) plugins+=("$word") ;;
        --plugin?*) plugins+=(--plugin "$word") ;;
    esac
    before=
    if [ "$word" = --plugin ]; then before=$word; fi
done
if [ -f "$part/environment.json" ]; then
    exec regbench resume "$part" ${plugins[@]+"${plugins[@]}"}
fi
exec regbench "$@" --shard slurm --out "$part"
