#!/usr/bin/env bash
# Called by `./dev bench` after a release build. wrk is Debian's; ./dev installs it.
set -euo pipefail
exec node "$(dirname "$0")/run.mjs"
