#!/usr/bin/env bash
# Installs what the tests need beside Python: real clients, real servers, and what builds container images.
# Usage: install.sh        Quick when all of it is there already; nothing that is there at the right version is touched.
# Debian's packages need root (or sudo); the Go programs go where `go install` puts them, each at one exact version.
set -u

PACKAGES=(
  skopeo podman buildah        # clients of the registry; buildah and podman also build and run docker/Dockerfile
  podman-compose netavark aardvark-dns iptables  # start docker/compose.yaml, with a network of its own
  pngquant                     # makes the pictures of the pages small
  umoci jq                     # look into image layouts
  postgresql                   # the database of an installation with several nodes
  debootstrap                  # makes the base image that docker/Dockerfile is built on where none can be pulled
  chromium                     # shows the pages to the tests of them
  curl ca-certificates
)
# the program's package, the module that it is in, its exact version, and its name where that is not the package's
PROGRAMS=(
  "github.com/google/go-containerregistry/cmd/crane github.com/google/go-containerregistry v0.22.1"
  "oras.land/oras/cmd/oras oras.land/oras v1.3.6"
  "github.com/regclient/regclient/cmd/regctl github.com/regclient/regclient v0.11.7"
  "github.com/distribution/distribution/v3/cmd/registry github.com/distribution/distribution/v3 v3.1.2"
  "github.com/opencontainers/distribution-spec/conformance github.com/opencontainers/distribution-spec/conformance v0.0.0-20260831232431-97274622c111"
  "github.com/compose-spec/compose-go/v2/cmd github.com/compose-spec/compose-go/v2 v2.16.2 compose-spec"
)
TRIES=3

say() { echo "install: $*"; }
fail() { echo "install: $*" >&2; exit 1; }

patiently() { # command: runs it, again after a while when it fails: what comes over a network fails now and then
  local try
  for try in $(seq "$TRIES"); do
    "$@" && return 0
    if [ "$try" -lt "$TRIES" ]; then
      echo "install: '$*' failed (try $try of $TRIES), trying again" >&2
      sleep $((try * 5))
    fi
  done
  echo "install: '$*' failed $TRIES times" >&2
  return 1
}

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" in ii*) ;; *) echo "$package" ;; esac
  done
  # Node.js brings its own npm, whose packages the tests read; Debian's has as many.
  command -v npm >/dev/null || echo npm
}

install_packages() { # names
  local root=() apt
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "needs root to install: $*"
    root=(sudo)
  fi
  # Another apt may be at work (unattended upgrades): its lock is waited for. No question is asked.
  apt=(${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300
    -o Acquire::Retries=3)
  patiently "${apt[@]}" update || return 1
  patiently "${apt[@]}" install --no-install-recommends "$@"
}

go_folder() {
  local bin
  bin=$(go env GOBIN)
  echo "${bin:-$(go env GOPATH)/bin}"
}

is_installed() { # file, module, version
  [ -x "$1" ] && go version -m "$1" 2>/dev/null | awk -v m="$2" -v v="$3" '$1 == "mod" && $2 == m && $3 == v { f = 1 } END { exit !f }'
}

missing_programs() {
  local folder line package module version name
  folder=$(go_folder)
  for line in "${PROGRAMS[@]}"; do
    read -r package module version name <<<"$line"
    name=${name:-${package##*/}}
    is_installed "$folder/$name" "$module" "$version" || echo "$package@$version:$name"
  done
}

install_programs() { # package@version:name …
  local folder program package made
  folder=$(go_folder)
  mkdir -p "$folder" || return 1
  for program in "$@"; do
    package=${program%:*}
    echo "go install $package"
    # Made apart and then moved, because Go would name it after the last part of its package.
    made=$(mktemp -d) || return 1
    if ! GOBIN=$made patiently go install "$package" || ! mv -f "$made"/* "$folder/${program##*:}"; then
      rm -rf "$made"
      return 1
    fi
    rmdir "$made"
  done
}

begun=$SECONDS
[ -x /usr/local/go/bin/go ] && PATH=$PATH:/usr/local/go/bin
packages=() programs=()
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  mapfile -t packages < <(missing_packages)
else
  say "no apt here: install these by your own means, by whatever name they have: ${PACKAGES[*]}"
fi
command -v go >/dev/null ||
  fail "needs Go (1.26.7 or newer) to install crane, oras, regctl, the reference registry and the conformance program"
mapfile -t programs < <(missing_programs)

bash "$(dirname "${BASH_SOURCE[0]}")/scanners.sh" || fail "the scanners that packages are compared with are not there"
if [ ${#packages[@]} -eq 0 ] && [ ${#programs[@]} -eq 0 ]; then
  say "everything is there already"
  exit 0
fi
logs=$(mktemp -d) || fail "cannot make a temporary directory"
trap 'rm -rf "$logs"' EXIT
status=0
if [ ${#packages[@]} -gt 0 ]; then
  say "packages: ${packages[*]}"
  install_packages "${packages[@]}" >"$logs/packages" 2>&1 </dev/null &
  packages_job=$!
fi
if [ ${#programs[@]} -gt 0 ]; then
  say "Go programs: ${programs[*]}"
  install_programs "${programs[@]}" >"$logs/programs" 2>&1 </dev/null &
  programs_job=$!
fi
if [ -n "${packages_job:-}" ]; then
  if wait "$packages_job"; then
    say "packages are there after $((SECONDS - begun)) s"
  else
    tail -n 60 "$logs/packages" >&2
    status=1
  fi
fi
if [ -n "${programs_job:-}" ]; then
  if wait "$programs_job"; then
    say "Go programs are there after $((SECONDS - begun)) s"
  else
    tail -n 60 "$logs/programs" >&2
    status=1
  fi
fi
[ "$status" -eq 0 ] || fail "something could not be installed; its output is above"
