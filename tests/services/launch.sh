# shellcheck shell=bash
# Shared by the start scripts in this folder; sourced, never run. The script that sources it sets SERVER, its own name.

die() { echo "$SERVER: $*" >&2; exit 1; }

alive() { # pid: runs, and is not merely waiting to be collected by a parent that takes its time
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  case "${stat##*) }" in [ZX]*) return 1 ;; esac
}

prepare() { # port, data directory: checks both; sets PORT, DATA, PID_FILE, LOG
  case "$1" in *[!0-9]* | "") die "the port must be a number, not '$1'" ;; esac
  PORT=$1
  mkdir -p "$2" || die "cannot make the data directory $2"
  DATA=$(cd "$2" && pwd)
  PID_FILE=$DATA/pid
  LOG=$DATA/server.log
  if [ -s "$PID_FILE" ] && alive "$(cat "$PID_FILE")"; then
    die "already running from $DATA (pid $(cat "$PID_FILE"))"
  fi
  if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then die "port $PORT is in use"; fi
  : >"$LOG"
}

launch() { # command: starts it apart from this terminal, its output in the log; notes its pid
  setsid nohup "$@" >>"$LOG" 2>&1 </dev/null &
  PID=$!
  echo "$PID" >"$PID_FILE"
}

wait_ready() { # seconds, command: runs it until it succeeds; the server's end or the time's is a failure
  local begun=$SECONDS limit=$1
  shift
  while [ $((SECONDS - begun)) -lt "$limit" ]; do
    if ! alive "$PID"; then
      tail -n 40 "$LOG" >&2
      rm -f "$PID_FILE"
      die "the server ended while starting (whole log: $LOG)"
    fi
    if "$@" >/dev/null 2>&1; then
      echo "$SERVER: ready on port $PORT after $((SECONDS - begun)) s (pid $PID, log $LOG)"
      return 0
    fi
    sleep 0.1
  done
  tail -n 40 "$LOG" >&2
  kill "$PID" 2>/dev/null
  rm -f "$PID_FILE"
  die "not ready after $limit s (whole log: $LOG)"
}
