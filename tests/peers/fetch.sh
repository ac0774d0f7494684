#!/usr/bin/env bash
# The peers that are not Python packages, into build/peers; nothing is installed.
#
#   libcoap   4.3.4 with OSCORE, Debian 13's build for amd64, with the libraries it runs on
#   aiocoap   the source of the release that the hub uses: its plug test server and client
#
# On Debian, with an Internet connection; needs no root.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/build/peers
suite=trixie
libcoap=4.3.4
packages="libcoap3-bin libcoap3t64 libssl3t64 libzstd1 zlib1g libc6"

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

# apt with one list, for that suite, in the archive that this machine uses anyway.
apt() {
    apt-get -qq -o "Dir::Etc::SourceList=$out/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o "Dir::State::Lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache" \
        -o "APT::Sandbox::User=$(id -un)" "$@"
}

archive() {
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT)' |
        awk '$2 == "Debian" && $3 == "main" { print $1; exit }'
}

fetch_libcoap() {
    local from
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "libcoap is fetched for amd64 only"
    from=$(archive)
    [ -n "$from" ] || fail "apt knows no Debian archive yet: apt-get update"
    rm -rf "$out/apt" "$out/libcoap.new"
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" \
        > "$out/apt/sources.list"
    apt update # which checks the archive's signature
    (cd "$out/apt" && apt download $packages)
    ls "$out"/apt/libcoap3-bin_"$libcoap"-*.deb > /dev/null || fail "$suite has another libcoap"
    for file in "$out"/apt/*.deb; do
        dpkg-deb -x "$file" "$out/libcoap.new"
    done
    mv "$out/libcoap.new" "$out/libcoap"
}

fetch_aiocoap() {
    local release
    release=$("$root/.venv/bin/python" -c 'import aiocoap.meta; print(aiocoap.meta.version)')
    rm -rf "$out/aiocoap"
    mkdir -p "$out/aiocoap"
    "$root/.venv/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --no-binary aiocoap --dest "$out" "aiocoap==$release"
    tar xzf "$out/aiocoap-$release.tar.gz" -C "$out/aiocoap" --strip-components 1
}

[ -e "$out/libcoap" ] || fetch_libcoap
[ -e "$out/aiocoap/contrib/oscore-plugtest" ] || fetch_aiocoap
