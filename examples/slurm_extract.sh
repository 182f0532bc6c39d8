#!/bin/bash
# Slides to features as a SLURM array: every task takes its share of the slides, all write into one folder.
#
#   sbatch examples/slurm_extract.sh /data/study/cohort.yaml --encoder uni --weights /data/weights/uni.safetensors
#
# then, when the array has ended, once without --shard: it finds everything done, packs, writes contact.html:
#
#   survfuse extract /data/study/cohort.yaml --encoder uni --weights /data/weights/uni.safetensors
#
#SBATCH --job-name=survfuse-extract
#SBATCH --array=0-15
#SBATCH --cpus-per-task=5
#SBATCH --gres=gpu:1
#SBATCH --mem=24G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=extract-%A-%a.log

set -u
cohort=${1:?usage: sbatch slurm_extract.sh COHORT [options of survfuse extract]}
shift

# One worker process: a slide that crashes its worker costs that slide, not the task.
srun survfuse extract "$cohort" "$@" --shard slurm --executor process --workers 1 --readers 4
code=$?

# 3: some slides have no features; they are named above and in state/, and trying again is of no use.
# Everything else that is not 0 fails the task; submitted again, it goes on where it was.
if [ "$code" -eq 3 ]; then
    exit 0
fi
exit "$code"
