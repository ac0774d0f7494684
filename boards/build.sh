#!/usr/bin/env bash
# Firmware images with our code frozen, from Debian's sources; nothing in those is edited.
#
#   boards/build.sh qemu [FOLDER]       build/firmware/*.elf, unless they are up to date
#   boards/build.sh pico [FOLDER]       build/firmware/rpi-pico.uf2, likewise
#   boards/build.sh check WHAT [FOLDER] build these once more, elsewhere, from nothing; compare
#   boards/build.sh pins [FOLDER]       print the lines for sources.txt that the archive has now
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
export PYTHONHASHSEED=0 # the tools that write tables of pins go through sets

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

qemu_image() { # tree, image to be, board, flag
    local port=$boards/MPS2_AN385/port build
    build=build-$(basename "$2" .elf)
    make -C "$1/ports/qemu" -j2 BOARD="$3" BUILD="$build" USER_C_MODULES="$boards/MPS2_AN385" \
        FROZEN_MANIFEST="$boards/$3/manifest.py" LDSCRIPT="$boards/$3/port/board.ld" \
        MICROPY_HEAP_SIZE=65536 CFLAGS_EXTRA="-I$port -ffile-prefix-map=$boards=. ${4:-} \
            -DMP_CONFIGFILE='<config.h>' -DMBEDTLS_CONFIG_FILE='<mbedtls_config.h>'" || return
    cp "$1/ports/qemu/$build/firmware.elf" "$2"
}

qemu() { # tree, folder of the images to be
    make -C "$1/mpy-cross" -j2 || return
    qemu_image "$1" "$2/mps2-an385.elf" MPS2_AN385 || return
    qemu_image "$1" "$2/mps2-an385-plain.elf" MPS2_AN385 -DMICROPY_PY_CRYPTOLIB=0 || return
    qemu_image "$1" "$2/microbit.elf" MICROBIT
}

pico() { # tree, folder of the image to be
    local package version port=$1/ports/rp2
    local build=$port/build-rpi-pico
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
        cmake -S "$port" -B "$build" -DMICROPY_BOARD=RPI_PICO -DPICO_NO_PICOTOOL=1 \
        -DPICO_BUILD_DOCS=0 -DMICROPY_FROZEN_MANIFEST="$boards/RPI_PICO/manifest.py" || return
    make -C "$build" -j2 || return
    python3 "$1/tools/uf2conv.py" -b 0x10000000 -f RP2040 -c "$build/firmware.bin" \
        -o "$2/rpi-pico.uf2"
}

# Where each part of an image came from.
origin() { # image, tree
    local file folder
    (cd "$out" && sha256sum "$1")
    echo "compiler: $(compiler)"
    (cd "$root" && cat boards/sources.txt && find $parts -name 'packages.txt' -exec cat {} +) |
        grep -v '^#' | sed "s/^/Debian $suite: /"
    cd "$2"/ports/*/"build-${1%.*}"/frozen_mpy
    find . -name '*.mpy' | sed 's/^..//; s/mpy$/py/' | sort | while read -r file; do
        for folder in common device boards $parts; do
            [ -e "$root/$folder/$file" ] || continue
            (cd "$root" && sha256sum "$folder/$file")
            break
        done
    done | sed 's/^/frozen: /'
    sums $parts | grep /port/ | sed 's/^/compiled: /' || true
}

# Build the images of a set, unless they are there and made from what is here.
images() {
    local tree=$out/$kind fixed all image missing=
    # A change in here needs a clean tree; make sees all other changes itself.
    fixed=$(compiler && sums boards/build.sh boards/sources.txt $parts | grep -v '\.py$')
    all=$(echo "$fixed" && sums boards common/skerry device/skerry_device)
    for image in $images; do
        [ -e "$out/$image" ] || missing=yes
    done
    if [ -n "$missing" ] || [ "$all" != "$(cat "$tree.stamp" 2> /dev/null)" ]; then
        rm -f "$tree.stamp"
        # So does another place: make's notes on what depends on what name ours.
        if [ "$root $fixed" != "$(cat "$tree/stamp" 2> /dev/null)" ]; then
            unpack "$tree"
        fi
        "$kind" "$tree" "$out" > "$out/$kind.log" 2>&1 || fail "no image: see $out/$kind.log"
        echo "$root $fixed" > "$tree/stamp"
        for image in $images; do
            origin "$image" "$tree" > "$out/$image.origin"
        done
        echo "$all" > "$tree.stamp"
    fi
    for image in $images; do
        touch "$out/$image" # it is as new as its sources, whatever their times say
        cat "$out/$image.origin"
    done
}

check() {
    local image
    images
    unpack "$out/again/from/nothing"
    "$kind" "$out/again/from/nothing" "$out/again" > "$out/again.log" 2>&1 ||
        fail "no second image: see $out/again.log"
    for image in $images; do
        cmp "$out/$image" "$out/again/$image" || fail "two builds of $image differ"
    done
    rm -rf "$out/again"
    echo "build.sh: second builds give the same bytes: $images"
}

print_pins() {
    local package version dsc
    update deb-src
    cd "$out/apt"
    pins "$boards/sources.txt" | while read -r package _; do
        apt source --download-only "$package" >&2
        dsc=$(ls -t "${package}"_*.dsc | head -1)
        version=${dsc#*_}
        echo "$package ${version%.dsc} $(sha256sum "$dsc" | cut -d' ' -f1)"
    done
}

# Tell what is missing before anything is downloaded.
needs() { # commands
    local each
    for each in make gcc dpkg-source arm-none-eabi-gcc "$@"; do
        command -v "$each" > /dev/null || fail "needs $each: boards/README.md says how to install it"
    done
}

action=images
if [ "${1:-}" = check ]; then
    action=check
    shift
fi
kind=${1:-}
out=${2:-$root/build/firmware}
case $kind in
    qemu)
        parts="boards/MICROBIT boards/MPS2_AN385"
        images="mps2-an385.elf mps2-an385-plain.elf microbit.elf"
        needs
        ;;
    pico)
        parts=boards/RPI_PICO
        images=rpi-pico.uf2
        needs cmake arm-none-eabi-g++
        [ -e "$(arm-none-eabi-g++ -print-file-name=libstdc++.a)" ] ||
            fail "needs libstdc++-arm-none-eabi-newlib: boards/README.md says how to install it"
        ;;
    pins) action=print_pins ;;
    *) fail "build what? qemu, pico, check qemu, check pico or pins" ;;
esac
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$action"
