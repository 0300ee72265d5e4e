# Sourced by the scripts beside it. `ensure_env server` or `ensure_env dev` leaves $VENV holding the project and what it
# needs, at the versions of requirements.lock; when nothing changed that costs one checksum. `server` serves any database;
# a script that starts a PostgreSQL of its own needs `dev`, which brings one.

ROOT=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
PYTHON=$VENV/bin/python

say() { printf 'ringfence: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

_find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die 'needs Python 3.11 or newer: none found as python3, python3.14 … python3.11'
}

_extras() { if [ "$1" = dev ]; then echo server,postgres,panel,dev; else echo server,postgres; fi; }

# The path is part of the stamp: a copied tree must not use the environment of the one it was copied from.
_wanted_stamp() {
  printf '%s %s %s\n' "$(cat "$ROOT/pyproject.toml" "$ROOT/requirements.lock" | cksum)" "$(_extras "$1")" "$VENV"
}

_is_current() { [ -x "$PYTHON" ] && [ "$(cat "$VENV/stamp.$1" 2>/dev/null)" = "$(_wanted_stamp "$1")" ]; }

_install() {
  local level=$1 extras server_stamp dev_stamp python
  extras=$(_extras "$level")
  # Before the work, not after it: what changes meanwhile was not installed.
  server_stamp=$(_wanted_stamp server)
  dev_stamp=$(_wanted_stamp dev)
  if ! [ -x "$PYTHON" ] || ! grep -qF "$VENV" "$VENV/pyvenv.cfg"; then
    python=$(_find_python) || exit 1
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$VENV" ||
      die "could not make .venv with $python (on Debian and Ubuntu: apt install python3-venv)"
  fi
  say "installing .[$extras] into .venv"
  # As variables, not as -c: so they also bind the isolated environment that builds the project (newer pip wants the second).
  PIP_CONSTRAINT=$ROOT/requirements.lock PIP_BUILD_CONSTRAINT=$ROOT/requirements.lock \
    "$PYTHON" -m pip install -qq --no-input --disable-pip-version-check -e "$ROOT[$extras]" </dev/null ||
    die 'pip could not install the project; what it said stands above'
  # The dev set contains the server's.
  printf '%s\n' "$server_stamp" >"$VENV/stamp.server"
  [ "$level" = dev ] && printf '%s\n' "$dev_stamp" >"$VENV/stamp.dev"
  return 0
}

ensure_env() {
  _is_current "$1" && return
  local python
  python=$(_find_python) || exit 1
  mkdir -p "$ROOT/build"
  exec 9>"$ROOT/build/env.lock"
  # Python takes the lock on our descriptor, and we keep it: flock(1) is not everywhere, and this lock dies with us.
  "$python" - <<'PY' || exit 1
import fcntl
import sys

try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("ringfence: waiting for another script that is setting up .venv", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
PY
  _is_current "$1" || _install "$1"
  exec 9>&-
}

# protoc over all protos under a folder: run_protoc PROTOS OPTION...
run_protoc() {
  local protos=$1 includes files
  shift
  includes=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') # google/api, google/rpc
  files=$(cd "$protos" && find . -name '*.proto' | sed 's|^\./||' | LC_ALL=C sort)
  # shellcheck disable=SC2086  # proto names hold no blanks
  "$PYTHON" -m grpc_tools.protoc -I"$protos" -I"$includes" --fatal_warnings "$@" $files
}
