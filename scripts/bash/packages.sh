# shellcheck shell=bash
# Sourced after steps.sh: packages of the system, through apt for root, else named.

# what a command comes from, where the package has another name
declare -A package_of=([nc]=netcat-openbsd [ip]=iproute2 [ss]=iproute2 [ping]=iputils-ping
    [setpriv]=util-linux [unshare]=util-linux [nsenter]=util-linux [ps]=procps [sysctl]=procps [cc]=gcc
    [scp]=openssh-client [sshd]=openssh-server [pg_ctlcluster]=postgresql)

is_root() { [[ $(id -u) == 0 ]]; }

has_command() { command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 || -x /sbin/$1 ]]; }

missing_commands() { # prints the packages, one a line, of those commands that are not there
    local name
    for name in "$@"; do
        has_command "$name" || printf '%s\n' "${package_of[$name]:-$name}"
    done | sort -u
}

apt_get() { # the lists of a fresh machine are empty or old, so they are fetched when it fails
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -y -q -o DPkg::Lock::Timeout=300)
    "${apt[@]}" install --no-install-recommends "$@" && return
    "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"
}

# Installs packages, or says which. $1: need (nothing goes without them) or want.
provide() {
    local kind=$1
    shift
    [[ $# -gt 0 ]] || return 0
    if is_root && command -v apt-get >/dev/null; then
        long_step "apt-get install $*" "see above" apt_get "$@" && return
        [[ $kind == want ]] ||
            fail "these could not be installed: $* (see above; \`apt-get update\` may help)"
        say "without $* some of it will not work"
    elif [[ $kind == need ]]; then
        fail "missing: $* (Debian, Ubuntu: sudo apt-get install $*), then run this again"
    else
        say "not installed: $* (Debian, Ubuntu: sudo apt-get install $*); going on without"
    fi
}
