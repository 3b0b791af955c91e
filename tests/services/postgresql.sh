#!/usr/bin/env bash
# Starts one real PostgreSQL on 127.0.0.1.  Usage: postgresql.sh PORT DATA_DIR [--quick]
# The superuser is "portolan", without a password. A data directory that is there already is started again as it is.
# --quick waits for no disk (fsync off): for tests that are not about durability.
# Stop it with: kill -INT "$(cat DATA_DIR/pid)"   (SIGTERM would wait for every client to leave by itself)
set -u
SERVER=postgresql
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
FSYNC=on
case "$#${3:-}" in 2) ;; 3--quick) FSYNC=off ;; *) die "usage: $0 PORT DATA_DIR [--quick]" ;; esac

# Debian keeps the server's programs off the PATH, one folder a version: the newest one is taken.
BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$BIN/initdb" ] || BIN=$(dirname "$(command -v initdb)") 2>/dev/null
[ -x "$BIN/initdb" ] || die "no PostgreSQL server here; install it (Debian's package postgresql)"
prepare "$1" "$2"
CLUSTER=$DATA/cluster

# PostgreSQL refuses root. In a user namespace root's own files stay usable as they are; where that is not allowed, the
# unprivileged user that Debian's package made runs it, and must be able to reach every path.
AS_USER=()
if [ "$(id -u)" -eq 0 ]; then
  if unshare --user --map-user=1000 --map-group=1000 true 2>/dev/null; then
    AS_USER=(unshare --user --map-user=1000 --map-group=1000)
  else
    USER_NAME=$(id -un postgres 2>/dev/null || echo nobody)
    chown -R "$USER_NAME" "$DATA" || die "cannot hand $DATA to the user $USER_NAME"
    AS_USER=(setpriv "--reuid=$USER_NAME" "--regid=$(id -gn "$USER_NAME")" --clear-groups)
    "${AS_USER[@]}" test -w "$DATA" || die "the user $USER_NAME cannot reach $DATA; choose a directory that it can"
  fi
fi
as_user() { ${AS_USER[@]+"${AS_USER[@]}"} "$@"; }

if [ ! -s "$CLUSTER/PG_VERSION" ]; then
  rm -rf "$CLUSTER"
  as_user "$BIN/initdb" --pgdata="$CLUSTER" --username=portolan --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync \
    --no-instructions >>"$LOG" 2>&1 || { tail -n 20 "$LOG" >&2; die "initdb failed (whole log: $LOG)"; }
fi
# After kill -9 a lock file is left in the cluster. PostgreSQL tells a stale one by itself, but not while the process
# that died still waits to be collected.
if [ -s "$CLUSTER/postmaster.pid" ] && ! alive "$(head -n 1 "$CLUSTER/postmaster.pid")"; then
  rm -f "$CLUSTER/postmaster.pid"
fi
launch ${AS_USER[@]+"${AS_USER[@]}"} "$BIN/postgres" -D "$CLUSTER" -p "$PORT" -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c max_connections=200 -c shared_buffers=64MB -c fsync="$FSYNC" \
  -c full_page_writes="$FSYNC" -c logging_collector=off -c log_min_messages=warning
wait_ready "${START_TIMEOUT:-60}" "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT" -U portolan -d postgres
