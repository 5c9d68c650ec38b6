#!/bin/sh
# A pipeline without Python: sort, awk and files. `train` counts, `evaluate` scores, each shard of `recommend`
# writes its users' lines, `gather` puts them together. Events are CSV: user,item,at.
set -eu
export LC_ALL=C # the same order on every host

data=$TRAINSPOT_DATA_DIR input=$TRAINSPOT_INPUT_DIR output=$TRAINSPOT_OUTPUT_DIR checkpoints=$TRAINSPOT_CHECKPOINT_DIR
stop=
trap 'stop=1' TERM
trap '' USR1 # a wish for a checkpoint: each part is one anyway

fail() { # <exit code> <reason> <hint>: for people, and for the classifier
  echo "{\"reason\": \"$2\", \"hint\": \"$3\"}" >"$output/failure.json"
  echo "$2" >&2
  exit "$1"
}

param() { # <name>: a whole number from the spec's params
  sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$TRAINSPOT_PARAMS"
}

events() { # by user, then by time; the header goes
  sort -t, -k1,1 -k3,3n "$data"/*.csv | awk -F, '$3 ~ /^[0-9]+$/'
}

tell() { # <step> <total>: the heartbeat, by rename
  echo "{\"step\": $1, \"total\": $2}" >"$output/progress.json.partial"
  mv "$output/progress.json.partial" "$output/progress.json"
}

train() { # how often each item was taken; a user's last event is kept back, to be judged by
  events >events.csv
  [ -s events.csv ] || fail 65 "no line user,item,at in $data" "seconds since 1970 in the third column"
  awk -F, '$1 == user { print item } { user = $1; item = $2 }' events.csv |
    sort | uniq -c | sort -k1,1nr -k2,2 | awk '{ print $2 "\t" $1 }' >"$output/popular.tsv"
}

evaluate() { # the share of users whose last event is one of the ten most popular items
  events | awk -F, '$1 != user && NR > 1 { print item } { user = $1; item = $2 } END { print item }' >last
  head -n 10 "$input/train/popular.tsv" | cut -f 1 >top
  awk 'NR == FNR { top[$1]; next } { hits += $1 in top } END { printf "%d %.6f\n", FNR, hits / FNR }' top last >score
  read -r users rate <score
  cat >"$output/metrics.json" <<JSON
{"schema": 1, "gate_protocol": "last_event", "best": "popularity", "protocols": {"last_event":
  {"users": $users, "candidates": {"popularity": {"hit_rate_at_10": {"mean": $rate}}}}}}
JSON
}

# The signal reaches everything that runs here, so any of these may be cut off in the middle: what counts has its
# name by a rename, and whatever failed because of the signal is done again or left to the next host.
one_part() { # <number>: the users' next items, the popular ones that they do not have
  awk -F, -v first=$(($1 * size)) -v size="$size" -v k="$k" '
    FILENAME == "users" { if (FNR > first && FNR <= first + size) order[++n] = $1; next }
    FILENAME == "events.csv" { had[$1, $2]; next }
    { popular[++m] = $1 }
    END { for (i = 1; i <= n; i++) for (j = found = 0; j < m && found < k; ) {
      if (!((order[i], popular[++j]) in had)) printf "%s,%d,%s\n", order[i], ++found, popular[j] } }' \
    users events.csv FS='\t' "$input/train/popular.tsv" >part &&
    mv part "$output/$(printf 'part-%05d.csv' "$1")"
}

keep() { # <parts>: all parts so far as a checkpoint
  rm -rf "$checkpoints/$1.partial" && mkdir "$checkpoints/$1.partial" &&
    cp "$output"/part-* "$checkpoints/$1.partial/" &&
    rm -rf "${checkpoints:?}/$1" && mv "$checkpoints/$1.partial" "$checkpoints/$1"
}

recommend() { # this shard's users, a part at a time; what is finished when the host goes is never done again
  size=$(param users_per_part) k=$(param top_k)
  events >events.csv
  awk -F, -v shard="$TRAINSPOT_SHARD" -v shards="$TRAINSPOT_SHARDS" \
    '$1 != user { user = $1; if (n++ % shards == shard) print user }' events.csv >users
  total=$((($(wc -l <users) + size - 1) / size))

  done=$(ls "$checkpoints" | grep -E '^[0-9]+$' | sort -n | tail -n 1)
  done=${done:-0}
  if [ "$done" -gt 0 ]; then cp "$checkpoints/$done"/part-* "$output/"; fi
  while [ "$done" -lt "$total" ]; do
    if one_part "$done"; then
      done=$((done + 1))
      tell "$done" "$total" || true
    elif [ -z "$stop" ]; then
      fail 70 "part $done of shard $TRAINSPOT_SHARD failed" "see the log"
    fi
    if [ "$done" -gt 0 ] && { [ -n "$stop" ] || [ $((done % 20)) -eq 0 ]; }; then
      keep "$done" || { [ -n "$stop" ] && keep "$done"; } || fail 70 "no checkpoint of $done parts" "see the log"
    fi
    if [ -n "$stop" ] && [ "$done" -lt "$total" ]; then exit 143; fi
  done
}

gather() { # every shard's parts, every user once
  cat "$input"/recommend/*/part-*.csv | sort -t, -k1,1 -k2,2n >"$output/recommendations.csv"
  wanted=$(events | cut -d, -f1 | uniq | wc -l)
  got=$(cut -d, -f1 "$output/recommendations.csv" | uniq | wc -l)
  twice=$(cut -d, -f1,2 "$output/recommendations.csv" | uniq -d | wc -l)
  if [ "$got" -ne "$wanted" ] || [ "$twice" -ne 0 ]; then
    fail 70 "$got of $wanted users have recommendations, $twice lines come twice" "a shard lost some, or users had every item"
  fi
  echo "{\"verified\": true, \"users\": $got}" >"$output/recommendations.json"
}

case ${1:-} in
train | evaluate | recommend | gather) "$1" ;;
*) fail 64 "the stage must be train, evaluate, recommend or gather, received: ${1:-nothing}" "see pipeline.toml" ;;
esac
