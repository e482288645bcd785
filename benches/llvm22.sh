#!/usr/bin/env bash
# Lets `cargo build --features cuda` build where only package registries are reached: a dependency of CubeCL's downloads LLVM 23.1 from a
# release page and links it; this presents Debian's LLVM 22 in its place. To be run once, on Debian 12 or later, by the user who builds.
# Undone by  rm -r ~/.local/share/tracel
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get update -qq
# Polly is a package of its own, where it is one.
as_root apt-get install -y -qq llvm-22-dev libpolly-22-dev libz3-dev libxml2-dev zlib1g-dev libzstd-dev >/dev/null ||
    as_root apt-get install -y -qq llvm-22-dev libz3-dev libxml2-dev zlib1g-dev libzstd-dev >/dev/null
bundle="$HOME/.local/share/tracel/tracel-llvm-23.1.0-4"
mkdir -p "$bundle/bin"
ln -sfn /usr/lib/llvm-22/lib "$bundle/lib"
ln -sfn /usr/lib/llvm-22/include "$bundle/include"
touch "$bundle/.tracel-llvm-installed"
# Debian's names libraries by their paths, where names are wanted.
cat > "$bundle/bin/llvm-config" <<'CONFIG'
#!/bin/sh
out=$(/usr/lib/llvm-22/bin/llvm-config "$@") || exit $?
printf '%s\n' "$out" | sed -E -e 's#/usr/lib/x86_64-linux-gnu/lib([a-z0-9]+)\.so#-l\1#g' -e 's/-lPollyISL//g' -e 's/-lPolly( |$)/\1/g'
CONFIG
chmod +x "$bundle/bin/llvm-config"
"$bundle/bin/llvm-config" --version
