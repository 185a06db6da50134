# shellcheck shell=bash
# Sourced first by each script: its steps have names, and none fails in silence.
#
# A script that ends without success says on stderr which step failed and what to do. `step` names
# what comes next; `fail` ends with one line and status 2. What is not foreseen is caught by traps.

unset CDPATH # `cd` would print where it went
shopt -s execfail # an `exec` that fails is a failed command, not a silent end
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
script=$(readlink -f -- "$0") # its name, also where it was called by a link
script=${script##*/}
told=  # whether the reader knows already why it ends
doing="starting"
advice="\`bash -x $0\` shows each command"

# A descriptor that is closed would be given to the next file that is opened.
{ : <&0; } 2>/dev/null || exec </dev/null
{ : >&1; } 2>/dev/null || exec >/dev/null
{ : >&2; } 2>/dev/null || exec 2>/dev/null

say() { printf '%s: %s\n' "$script" "$*" >&2; }

fail() { # what is wrong, and what to do
    told=yes
    end_progress
    say "$@"
    exit 2
}

step() { # $1: what is done, as in "failed while ..."; $2: what to do if it fails
    doing=$1
    advice=${2:-"\`bash -x $0\` shows each command"}
}

# -- the end --------------------------------------------------------------------------------------
on_error() { # $1: status, $2: line, $3: command
    [[ $BASH_SUBSHELL == 0 ]] || exit "$1" # the script itself speaks
    [[ -z $told ]] || exit "$1"
    fail "failed while $doing (status $1 of \`${3%%$'\n'*}\`, line $2): $advice"
}

clean_up() { :; } # a script that leaves something while it runs has its own

on_exit() { # whatever ended it
    local status=$?
    end_progress
    [[ $BASH_SUBSHELL != 0 ]] || clean_up
    if [[ $status != 0 && -z $told && $BASH_SUBSHELL == 0 ]]; then
        say "failed while $doing (status $status): $advice"
    fi
}

on_signal() { # $1: its name
    end_progress
    [[ -n $told ]] || say "ended by SIG$1 while $doing; run it again to go on"
    told=yes
    clean_up
    trap - "$1" EXIT
    kill "-$1" $$
}

trap 'on_error $? $LINENO "$BASH_COMMAND"' ERR
trap on_exit EXIT
for name in INT TERM HUP; do
    # shellcheck disable=SC2064 # the name is meant as it is now
    trap "on_signal $name" "$name"
done
unset name

# -- long steps -----------------------------------------------------------------------------------
progress= # the process that shows it
alive=    # the end of a pipe to it: closed, also because we are no more, it ends
step_log=      # what the step has printed

begin_progress() { # $1: what is done
    [[ -t 2 ]] || say "$1"
    exec {alive}> >(show_progress "$1" 9>&-) # not with the lock of scripts/setup
    progress=$!
}

end_progress() {
    [[ $BASH_SUBSHELL == 0 ]] || return 0
    [[ -z $step_log ]] || rm -f "$step_log" || true
    [[ -n $progress ]] || return 0
    exec {alive}>&-
    wait "$progress" 2>/dev/null || true
    progress=
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
}

show_progress() { # $1: what is done. One line that counts on a terminal, one each half minute elsewhere
    local seconds=0 status=129
    trap - ERR EXIT INT TERM HUP
    set +e
    while ((status > 128)); do # the status of a `read` that waited in vain
        if [[ -t 2 ]]; then
            printf '\r\033[K%s: %s ... %s s' "$script" "$1" "$seconds" >&2
        elif ((seconds > 0 && seconds % 30 == 0)); then
            say "$1 ($seconds s so far)"
        fi
        read -r -t 1
        status=$?
        seconds=$((seconds + 1))
    done
}

# Runs a command that takes long, its output shown only if it fails. $1: what is done, $2: what to do
# if it fails, then the command. Returns its status.
long_step() {
    local status=0 began=$SECONDS
    step "$1" "$2"
    step_log=$(mktemp) || fail "no temporary file could be made: is there space in ${TMPDIR:-/tmp}?"
    trap - ERR # the command's failure is told below, by the caller
    begin_progress "$1"
    ("${@:3}") </dev/null >"$step_log" 2>&1 || status=$? # a trap within would write there
    trap 'on_error $? $LINENO "$BASH_COMMAND"' ERR
    if [[ $status != 0 ]]; then
        [[ ! -t 2 ]] || printf '\r\033[K' >&2
        tail -n 15 "$step_log" >&2 || true
    fi
    end_progress
    if [[ $status == 0 && -t 2 ]]; then
        say "$1: $((SECONDS - began)) s"
    fi
    return "$status"
}

lines() { # sets the array $1 to the lines that a command prints; fails if that fails
    local text
    text=$("${@:2}") || return
    local -n _lines=$1
    _lines=()
    [[ -z $text ]] || mapfile -t _lines <<<"$text"
}

# -- what several scripts do ----------------------------------------------------------------------
help_or_go() { # prints the script's help and ends, if it is asked for
    local word
    for word in "$@"; do
        case $word in
            -h | --help)
                [[ -f $root/scripts/help/$script ]] ||
                    fail "the checkout is not complete: clone it again"
                step "writing the help" "is there space where it goes?"
                cat "$root/scripts/help/$script"
                exit
                ;;
            --) return ;;
        esac
    done
}

# shellcheck disable=SC2120 # most have none
set_up() { # options are those of scripts/setup, which says itself what is wrong
    told=yes
    "$root/scripts/setup" "$@"
    told=
}

become() { # replaces the script by a program
    step "starting $1" "remove $root/.venv and run this again"
    set +e # with it bash ends at once if `exec` fails
    exec "$@"
}

# Replaces the script by a program that needs namespaces and devices. Who is not root gets the rights
# in a user namespace, if allowed. There everybody is called root, but the temporary files of the real
# root stay out of reach.
run_with_rights() {
    if [[ $(id -u) != 0 ]] && unshare --user --map-root-user true 2>/dev/null; then
        export LOGNAME="${LOGNAME:-uid$(id -u)}"
        become unshare --user --map-root-user "$@"
    fi
    become "$@"
}
