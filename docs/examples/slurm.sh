#!/bin/bash
# Extract the features of DATA on several machines as a Slurm array, one shard for each task, and merge the caches.
#
#   sbatch docs/examples/slurm.sh
#
# Edit the four lines below. DATA must have the same path on all machines. Each task writes its own folder in SHARDS.
# Slurm passes the environment of the shell that submits the job; featx must be on its PATH.
#SBATCH --job-name=featx
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --output=featx-%A_%a.log
set -euo pipefail

DATA=${DATA:-/shared/images}
SHARDS=${SHARDS:-/shared/shards}
MERGED=${MERGED:-/shared/cache}
OPTIONS=${OPTIONS:---precision float32} # the same on all machines, whatever their CPUs

number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
# A task that is repeated (scontrol requeue, or the same command again) continues where it was stopped.
# shellcheck disable=SC2086 # OPTIONS are several words
featx extract "$DATA" --shard "$number/$SLURM_ARRAY_TASK_COUNT" --cache "$SHARDS/$number" $OPTIONS

# The merge is a job of its own, after the whole array:
#
#   sbatch --dependency=afterok:JOB_ID --wrap "featx cache merge $SHARDS/* --cache $MERGED"
#
# It can also be run by hand at any time; it names the shards that are missing.
