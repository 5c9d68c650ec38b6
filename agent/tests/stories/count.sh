#!/bin/bash
# A training program in small: counts to $1, checkpoints every $2 steps, and keeps a number that
# depends on every step it ever did. $3 says how it misbehaves.
set -u
total=$1 every=$2 mode=${3:-} step=0 state=7 now= stop=
trap 'stop=1' TERM
trap 'now=1' USR1
for folder in "$TRAINSPOT_CHECKPOINT_DIR"/*/; do
  n=$(basename "$folder")
  if [[ $n =~ ^[0-9]+$ ]] && ((n > step)); then step=$n state=$(<"$folder/state"); fi
done
resumed=$step
checkpoint() {
  local partial="$TRAINSPOT_CHECKPOINT_DIR/$step.partial"
  mkdir -p "$partial/deep" && echo "$state" >"$partial/state" && echo "$step" >"$partial/deep/step"
  rm -rf "${partial%.partial}" && mv "$partial" "${partial%.partial}"
}
while ((step < total)); do
  step=$((step + 1)) state=$(((state * 31 + step) % 1000003))
  echo "{\"step\":$step,\"total\":$total,\"rate\":50,\"cold_start\":{\"import_s\":0.5},\"at\":\"2026-11-23T02:00:00Z\"}" >"$TRAINSPOT_OUTPUT_DIR/.p"
  mv "$TRAINSPOT_OUTPUT_DIR/.p" "$TRAINSPOT_OUTPUT_DIR/progress.json"
  if [[ -n $now ]] || ((step % every == 0)); then now= && checkpoint; fi
  if [[ -n $stop && $mode != deaf ]]; then
    [[ $mode == hasty ]] || checkpoint
    exit 143
  fi
  if [[ $mode == stalls && $step -ge 3 ]]; then step=$((step - 1)); fi
  read -rt 0.01 <> <(:)
done
echo "resumed at $resumed, state $state"
echo "{\"state\":$state,\"resumed\":$resumed}" >"$TRAINSPOT_OUTPUT_DIR/answer.json"
