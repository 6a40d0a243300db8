#!/usr/bin/env bash
# A gate for CI: is the best of these strengths better than none, on replicates that did not choose it?
#
#     bash examples/gate.sh [options of `regbench wdecay`, --lambda first if other strengths] \
#       >> "$GITHUB_STEP_SUMMARY"
#
# stdout gets the answer as Markdown, stderr one line that says what the exit code means.
set -uo pipefail

[[ ${1:-} == --lambda* ]] || set -- --lambda 0.003,0.01,0.03 "$@"
regbench wdecay --confirm 30 --require better --format markdown "$@"
code=$?
case $code in
  0) echo "gate: met" >&2 ;;
  1) echo "gate: the run failed, or an arm diverged" >&2 ;;
  2) echo "gate: wrong usage; nothing was trained" >&2 ;;
  3) echo "gate: not met: the confirmed strength is worse" >&2 ;;
  4) echo "gate: cannot tell; give --confirm more replicates" >&2 ;;
  130 | 143) echo "gate: interrupted; 'regbench resume' goes on" >&2 ;;
esac
exit $code
