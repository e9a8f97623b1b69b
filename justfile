# What is typed often. `just` alone lists it.

default:
    @just --list

# Everything that CI runs: format, lints, dependencies, tests.
check:
    tests/run

# Format, lints and the fast tests, in a minute or so.
quick:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo test --locked --lib

# Format the code.
fmt:
    cargo fmt

# The gateway without a machine, a broker or settings.
demo *ARGS:
    cargo run --release --locked -- demo {{ARGS}}

# The firmware binary of a board: `just build generic-arm64`. With cross where it and a container engine are; else with cargo.
build board:
    #!/usr/bin/env bash
    set -euo pipefail
    profile="boards/{{board}}/board.yaml"
    [[ -f $profile ]] || { echo "there is no board {{board}}; see boards/" >&2; exit 64; }
    target=$(sed -n 's/^target: *\([a-z0-9_-]*\).*/\1/p' "$profile")
    options=(build --locked --profile firmware --no-default-features --target "$target")
    if command -v cross >/dev/null; then
        CROSS_CONFIG=cross.toml cross "${options[@]}"
    else
        rustup target add "$target"
        if [[ $target != "$(rustc -vV | sed -n 's/^host: //p')" ]]; then
            # Debian's cross compiler, package gcc-aarch64-linux-gnu and its sisters
            gcc="${target/-unknown/}-gcc"
            command -v "$gcc" >/dev/null || { echo "neither cross nor $gcc is here; install Debian's gcc for $target or cross" >&2; exit 69; }
            name=${target//-/_}
            export "CC_$name=$gcc" "CARGO_TARGET_${name^^}_LINKER=$gcc"
        fi
        cargo "${options[@]}"
    fi
    ls -l "${CARGO_TARGET_DIR:-target}/$target/firmware/millgate"
