#!/usr/bin/env bash
# Firmware images with our code frozen, from Debian's sources; nothing in those is edited.
#
#   boards/build.sh firmware [FOLDER]     build/firmware/mps2-an385.elf, unless it is up to date
#   boards/build.sh pico [FOLDER]         build/firmware/rpi-pico.uf2, likewise
#   boards/build.sh check IMAGE [FOLDER]  build an image once more, elsewhere, from nothing; compare
#   boards/build.sh pins [FOLDER]         print the lines for sources.txt that the archive has now
#
# On Debian 12 or 13, as root, once:
#   apt-get install -y --no-install-recommends make gcc libc6-dev dpkg-dev xz-utils python3 \
#       qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi
# and for the Pico:
#   apt-get install -y --no-install-recommends cmake g++ libstdc++-arm-none-eabi-newlib
set -euo pipefail

boards=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$boards")
suite=trixie
# The same bytes on any day, in any folder.
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 MICROPY_GIT_TAG=v1.25.0 MICROPY_GIT_HASH=debian

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

pins() { grep -v '^#' "$1"; }

compiler() { arm-none-eabi-gcc --version | head -1; }

sums() { (cd "$root" && find "$@" -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum); }

# apt with one list, for that suite, in the archive that this machine uses anyway.
apt() {
    apt-get -qq -o "Dir::Etc::SourceList=$out/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o "Dir::State::Lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache" \
        -o APT::Sandbox::User=root "$@"
}

update() { # deb or deb-src
    local archive
    archive=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(RELEASE)' |
        awk -v own="$(. /etc/os-release && echo "$VERSION_CODENAME")" \
            '$2 == "Debian" && $3 == "main" && $4 == own { print $1; exit }')
    [ -n "$archive" ] || fail "apt knows no Debian archive yet: apt-get update"
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
    echo "$1 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" \
        > "$out/apt/sources.list"
    apt update
}

# Download what a list of pins names, unless it is there, and check it.
fetch() { # list, deb or deb-src, ending of the file's name
    local package version sum file updated=
    while read -r package version sum; do
        file=$out/apt/${package}_$version$3
        if [ ! -e "$file" ]; then
            [ -n "$updated" ] || update "$2"
            updated=yes
            (cd "$out/apt" && case $2 in
                deb) apt download "$package=$version" ;;
                deb-src) apt source --download-only "$package=$version" ;;
            esac) || fail "$suite has no $package $version: renew $1 (build.sh pins)"
        fi
        echo "$sum  $file" | sha256sum --check --quiet ||
            fail "not the $package that $1 names: rm -r $out/apt"
    done < <(pins "$1")
}

# All sources in one tree, mbedTLS where MicroPython's build expects it.
unpack() {
    local tree=$1 target package version
    rm -rf "$tree"
    mkdir -p "$(dirname "$tree")"
    fetch "$boards/sources.txt" deb-src .dsc
    while read -r package version _; do
        target=$tree
        if [ "$package" != micropython ]; then
            target=$tree/lib/$package
            rmdir "$target"
        fi
        dpkg-source --no-copy --require-strong-checksums -x \
            "$out/apt/${package}_$version.dsc" "$target" > "$out/unpack.log" 2>&1 ||
            fail "cannot unpack $package: see $out/unpack.log"
    done < <(pins "$boards/sources.txt")
}

mps2_an385() { # tree, image to be
    local board=$boards/MPS2_AN385
    make -C "$1/mpy-cross" -j2 || return
    make -C "$1/ports/qemu" -j2 BOARD=MPS2_AN385 USER_C_MODULES="$board" \
        FROZEN_MANIFEST="$board/manifest.py" LDSCRIPT="$board/port/board.ld" \
        MICROPY_HEAP_SIZE=65536 CFLAGS_EXTRA="-I$board/port -ffile-prefix-map=$board=. \
            -DMP_CONFIGFILE='<config.h>' -DMBEDTLS_CONFIG_FILE='<mbedtls_config.h>'" || return
    cp "$1/ports/qemu/build-MPS2_AN385/firmware.elf" "$2"
}

rpi_pico() {
    local package version port=$1/ports/rp2
    if [ ! -e "$1/lib/tinyusb/src" ]; then
        fetch "$boards/RPI_PICO/packages.txt" deb _all.deb
        while read -r package version _; do
            dpkg -x "$out/apt/${package}_${version}_all.deb" "$1/sdk"
        done < <(pins "$boards/RPI_PICO/packages.txt")
        rm -rf "$1/lib/pico-sdk" "$1/lib/tinyusb"
        mv "$1/sdk/usr/src/pico-sdk" "$1/sdk/usr/src/tinyusb" "$1/lib/"
        touch "$1/lib/micropython-lib/README.md"
    fi
    make -C "$1/mpy-cross" -j2 || return
    CFLAGS="-ffile-prefix-map=$1=." CXXFLAGS="-ffile-prefix-map=$1=." \
        cmake -S "$port" -B "$port/build" -DMICROPY_BOARD=RPI_PICO -DPICO_NO_PICOTOOL=1 \
        -DPICO_BUILD_DOCS=0 -DMICROPY_FROZEN_MANIFEST="$boards/RPI_PICO/manifest.py" || return
    make -C "$port/build" -j2 || return
    python3 "$1/tools/uf2conv.py" -b 0x10000000 -f RP2040 -c "$port/build/firmware.bin" -o "$2"
}

# Where each part of an image came from.
origin() { # image, tree, board
    local file folder
    (cd "$out" && sha256sum "$1")
    echo "compiler: $(compiler)"
    find "$boards/sources.txt" "$boards/$3" -name '*s.txt' -exec grep -hv '^#' {} + |
        sed "s/^/Debian $suite: /"
    cd "$2"/ports/*/build*/frozen_mpy
    find . -name '*.mpy' | sed 's/^..//; s/mpy$/py/' | sort | while read -r file; do
        for folder in common device boards "boards/$3"; do
            [ ! -e "$root/$folder/$file" ] || (cd "$root" && sha256sum "$folder/$file")
        done
    done | sed 's/^/frozen: /'
    sums "boards/$3" | grep /port/ | sed 's/^/compiled: /' || true
}

image() { # name, function, board
    local tree=$out/$3 fixed all
    # A change in here needs a clean tree; make sees all other changes itself.
    fixed=$(compiler && sums boards/build.sh boards/sources.txt "boards/$3" | grep -v '\.py$')
    all=$(echo "$fixed" && sums boards common/skerry device/skerry_device)
    if [ ! -e "$out/$1" ] || [ "$all" != "$(cat "$tree.stamp" 2> /dev/null)" ]; then
        rm -f "$tree.stamp"
        # So does another place: make's notes on what depends on what name ours.
        if [ "$root $fixed" != "$(cat "$tree/stamp" 2> /dev/null)" ]; then
            unpack "$tree"
        fi
        "$2" "$tree" "$out/$1" > "$out/$1.log" 2>&1 || fail "no image: see $out/$1.log"
        echo "$root $fixed" > "$tree/stamp"
        origin "$1" "$tree" "$3" > "$out/$1.origin"
        echo "$all" > "$tree.stamp"
    fi
    touch "$out/$1" # it is as new as its sources, whatever their times say
    cat "$out/$1.origin"
}

check() { # name, function, board
    image "$@"
    unpack "$out/again/from/nothing"
    "$2" "$out/again/from/nothing" "$out/again/$1" > "$out/again.log" 2>&1 ||
        fail "no second image: see $out/again.log"
    cmp "$out/$1" "$out/again/$1" || fail "two builds differ"
    rm -rf "$out/again"
    echo "build.sh: a second build gives the same bytes"
}

folder() {
    mkdir -p "${1:-$root/build/firmware}"
    out=$(cd "${1:-$root/build/firmware}" && pwd)
}

what=image name=${1:-firmware}
if [ "$name" = check ]; then
    what=check
    shift
    name=${1:-firmware}
fi
folder "${2:-}"
case $name in
    firmware) "$what" mps2-an385.elf mps2_an385 MPS2_AN385 ;;
    pico) "$what" rpi-pico.uf2 rpi_pico RPI_PICO ;;
    pins)
        update deb-src
        cd "$out/apt"
        pins "$boards/sources.txt" | while read -r package _; do
            apt source --download-only "$package" >&2
            dsc=$(ls -t "${package}"_*.dsc | head -1)
            version=${dsc#*_}
            echo "$package ${version%.dsc} $(sha256sum "$dsc" | cut -d' ' -f1)"
        done
        ;;
    *) fail "firmware, pico, check or pins?" ;;
esac
