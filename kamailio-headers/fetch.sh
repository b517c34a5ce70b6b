#!/bin/sh
# Fetch the headers of the Kamailio that is installed, by package name and for exactly its version,
# from the Debian mirror that this machine's own apt sources name.
#
#   fetch.sh DIRECTORY    prints DIRECTORY/<version>, which then holds src/core/*.h
#
# Works without root, with deb-src disabled and without touching the system's package lists: apt
# runs on a private state inside DIRECTORY. A version that was fetched before needs no network.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
store=$(cd "$1" && pwd)

fail() {
	echo "kamailio-headers: $*" >&2
	exit 1
}

command -v dpkg-query >/dev/null ||
	fail "no dpkg-query here: set KAMAILIO_SRC to the source tree of the installed Kamailio"
# shellcheck disable=SC2016 # the braces are dpkg's
version=$(dpkg-query -W -f '${source:Version}' kamailio 2>/dev/null) && [ -n "$version" ] ||
	fail "package kamailio is not installed: run 'make deps', or set KAMAILIO_SRC"

target=$store/$version
if [ -f "$target/src/core/ver_defs.h" ]; then
	echo "$target"
	exit 0
fi

command -v apt-get >/dev/null || fail "no apt-get here: set KAMAILIO_SRC"
work=$(mktemp -d "$store/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/download"

# The archives that offer the installed version; all of them when apt's lists do not say.
archives=$(apt-cache madison kamailio 2>/dev/null | awk -F ' *[|] *' -v version="$version" '
	{ sub(/^ +/, "", $2); split($3, where, " ") }
	index($2, version) == 1 { sub(/\/$/, "", where[1]); print where[1] }' | sort -u)

# The machine's own entries, with deb turned into deb-src, whichever way they are written.
# awk would take an escape in -v for itself, so the list travels in the environment.
export archives
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -f "$file" ] || continue
	awk '
		function offers(line,    n, list, i) {
			n = split(ENVIRON["archives"], list, "\n")
			for (i = 1; i <= n; i++) if (index(line, list[i])) return 1
			return n == 0
		}
		/^[ \t]*deb(-src)?[ \t]/ && offers($0) { sub(/deb(-src)?/, "deb-src"); print }
	' "$file"
done | sort -u >"$work/sources/machine.list"
for file in /etc/apt/sources.list.d/*.sources; do
	[ -f "$file" ] || continue
	awk '
		function offers(text,    n, list, i) {
			n = split(ENVIRON["archives"], list, "\n")
			for (i = 1; i <= n; i++) if (index(text, list[i])) return 1
			return n == 0
		}
		BEGIN { RS = ""; ORS = "\n\n" }
		offers($0) {
			n = split($0, line, "\n"); text = ""
			for (i = 1; i <= n; i++) {
				if (line[i] ~ /^#/ || tolower(line[i]) ~ /^enabled:/) continue
				if (tolower(line[i]) ~ /^types:/) line[i] = "Types: deb-src"
				text = text (text == "" ? "" : "\n") line[i]
			}
			print text
		}
	' "$file" >"$work/sources/$(basename "$file")"
done

private_apt() {
	apt-get -qq \
		-o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$work/sources" \
		-o Dir::State::lists="$work/lists" \
		-o Dir::Cache="$work/cache" \
		-o Acquire::Languages=none \
		-o APT::Sandbox::User="$(id -un)" \
		-o Debug::NoLocking=1 \
		"$@"
}

echo "kamailio-headers: fetching the headers of kamailio $version" >&2
# One unreachable archive among several is no reason to stop: what counts is the package.
private_apt update >&2 || true
# Some mirrors lack the upstream signature (*.asc), and apt calls that a failure. The tarball is
# what is needed; it must have the sum that the package's description (verified by apt) gives.
(
	cd "$work/download"
	private_apt source --download-only "kamailio=$version" >&2 || true
	awk '/^[^ ]/ { on = /^Checksums-Sha256:/ }
		on && $3 ~ /[.]orig[.]tar[.][a-z0-9]+$/ { print $1 "  " $3 }' ./*.dsc >sums 2>/dev/null
	[ -s sums ] && sha256sum --check --quiet sums >&2
) || fail "apt could not fetch the source package kamailio=$version from:" \
	"${archives:-the machine's apt sources}; set KAMAILIO_SRC to its unpacked source instead"

mkdir "$work/tree"
while read -r _ tarball; do
	tar -xf "$work/download/$tarball" -C "$work/tree" --strip-components=1 --wildcards '*/src/core/*.h'
done <"$work/download/sums"
[ -f "$work/tree/src/core/ver_defs.h" ] || fail "the source package of kamailio $version holds no src/core/ver_defs.h"

# Into place in one step, so that a build running at the same time sees all of it or nothing.
mv -T "$work/tree" "$target" 2>/dev/null || [ -f "$target/src/core/ver_defs.h" ] ||
	fail "cannot move the headers to $target"
echo "$target"
