#!/usr/bin/env bash
# Starts distribution, the reference registry, on 127.0.0.1, its storage in DATA_DIR.
# Usage: distribution.sh PORT DATA_DIR [--jwks FILE --realm URL --service NAME --issuer NAME]
# With --jwks it asks for tokens that a key of that JSON Web Key Set signed, and sends clients to the realm for them.
# Any other setting: the environment, as distribution reads it (REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=…, …).
# REGISTRY_PROGRAM names the program to run. Stop it with: kill "$(cat DATA_DIR/pid)"
set -u
SERVER=distribution
. "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
USAGE="usage: $0 PORT DATA_DIR [--jwks FILE --realm URL --service NAME --issuer NAME]"
[ $# -ge 2 ] || die "$USAGE"
WHERE_PORT=$1 WHERE_DATA=$2 JWKS="" REALM="" SERVICE=portolan ISSUER=portolan
shift 2
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "$USAGE"
  case "$1" in
    --jwks) JWKS=$2 ;;
    --realm) REALM=$2 ;;
    --service) SERVICE=$2 ;;
    --issuer) ISSUER=$2 ;;
    *) die "$USAGE" ;;
  esac
  shift 2
done
[ -z "$JWKS" ] || [ -r "$JWKS" ] || die "cannot read the key set $JWKS"
[ -z "$JWKS" ] || [ -n "$REALM" ] || die "--jwks needs --realm"

# The name "registry" is a common one: Go's own folder comes before the PATH.
PROGRAM=${REGISTRY_PROGRAM:-}
if [ -z "$PROGRAM" ]; then
  for PROGRAM in "$(go env GOBIN 2>/dev/null)/registry" "$(go env GOPATH 2>/dev/null)/bin/registry" \
    "$(command -v registry)"; do
    [ -x "$PROGRAM" ] && break
  done
fi
[ -x "$PROGRAM" ] || die "the program 'registry' is missing; run tests/services/install.sh"
prepare "$WHERE_PORT" "$WHERE_DATA"

cat >"$DATA/config.yml" <<YML
version: 0.1
log:
  accesslog:
    disabled: true
  level: warn
  formatter: text
storage:
  filesystem:
    rootdirectory: $DATA/storage
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
http:
  addr: 127.0.0.1:$PORT
  secret: one-process-needs-no-shared-secret
YML
if [ -n "$JWKS" ]; then
  cat >>"$DATA/config.yml" <<YML
auth:
  token:
    realm: $REALM
    service: $SERVICE
    issuer: $ISSUER
    jwks: $(cd "$(dirname "$JWKS")" && pwd)/$(basename "$JWKS")
    signingalgorithms: [ES256]
YML
fi
# Nothing is traced: without this it looks for a collector of traces on this machine.
export OTEL_TRACES_EXPORTER=${OTEL_TRACES_EXPORTER:-none}
launch "$PROGRAM" serve "$DATA/config.yml"
# Any answer will do: with tokens on, the ping is answered by 401.
wait_ready "${START_TIMEOUT:-30}" curl -sS --noproxy '*' --max-time 5 -o /dev/null "http://127.0.0.1:$PORT/v2/"
