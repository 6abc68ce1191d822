#!/usr/bin/env bash
# Sets up, builds, checks and runs Kernels on Linux and macOS; build.ps1 has the same verbs for Windows.
# Set-up and build messages go to stderr, so that stdout is the command's own.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
artifacts=$root/.artifacts
sdk_folder=$root/.dotnet

usage() {
    cat <<'EOF'
Usage: ./build.sh VERB [ARGS]

  run [ARGS]      set up, build, and call the kernels command with ARGS (none: study --quick)
  test [ARGS]     set up, build, and run all tests; ARGS go to the xUnit.net runner (e.g. -class '*Dropout*')
  setup           install what is missing: .NET 10 SDK, an OpenCL runtime, NVRTC where it can be had, the Fashion-MNIST data
  build           build everything in Release
  lint            check the layout and style of C#, kernels, native code and scripts
  bench [FILTER]  run the benchmarks whose name matches FILTER (none: all)
  bundle          make .artifacts/bundle/kernels-linux-x64.tar.xz: tests, benches, images and run.sh for a machine without .NET
  pack            make the NuGet packages in .artifacts/package
  native [--test] [LEVEL]  make libkernels for programs without .NET, and .artifacts/native/kernels-OS-PROCESSOR.tar.xz of it; for all
                  levels of instructions (base, x86-64-v3, x86-64-v4), or for those named; --test runs the tests on each that this
                  processor has

KERNELS_NO_INSTALL=1 forbids every installation; what is missing is then skipped and said.
EOF
}

say() { printf 'build.sh: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# --- Set-up ---------------------------------------------------------------------------------------------------------

may_install() { [[ ${KERNELS_NO_INSTALL:-0} == 0 ]]; }
can_apt() { [[ $(id -u) == 0 ]] && has apt-get; }

# apt_install PACKAGE...: false, with the reason on stderr, if the packages cannot be had.
apt_install() {
    local log=$artifacts/setup/apt-get.log
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
    mkdir -p "$artifacts/setup"
    say "installing $* with apt-get (log: .artifacts/setup/apt-get.log)"
    export DEBIAN_FRONTEND=noninteractive
    # A machine's package lists are often missing or too old, so the second try comes after an update.
    "${apt[@]}" install --no-install-recommends "$@" >"$log" 2>&1 && return
    "${apt[@]}" update >>"$log" 2>&1 && "${apt[@]}" install --no-install-recommends "$@" >>"$log" 2>&1 && return
    say "apt-get could not install $*"
    { grep '^E:' "$log" || true; } | tail -n 2 >&2
    return 1
}

# install_optional PACKAGE...: tried once, then only by `setup` and `lint`, so that calls stay quick where it does not help.
install_optional() {
    local tried=$artifacts/setup/$1.tried
    [[ ! -e $tried || $verb == setup || $verb == lint ]] || return 1
    may_install && can_apt || return 1
    local status=0
    apt_install "$@" || status=1
    touch "$tried"
    return $status
}

fetch() { # URL FILE
    if has curl; then curl -fsSL --retry 3 -o "$2" "$1"; else wget -q -O "$2" "$1"; fi
}

has_sdk() { [[ $'\n'$("$1" --list-sdks 2>/dev/null) == *$'\n10.'* ]]; }

ensure_sdk() {
    has_sdk dotnet && return
    if ! has_sdk "$sdk_folder/dotnet"; then
        may_install || fail "no .NET 10 SDK, and KERNELS_NO_INSTALL is set; see https://dotnet.microsoft.com/download/dotnet/10.0"
        if ! has curl && ! has wget; then
            if ! can_apt || ! apt_install curl ca-certificates; then fail "curl or wget is needed to install the .NET 10 SDK"; fi
        fi
        local script=$sdk_folder/dotnet-install.sh
        mkdir -p "$sdk_folder"
        say "installing the .NET 10 SDK into .dotnet/ with Microsoft's dotnet-install.sh"
        fetch https://dot.net/v1/dotnet-install.sh "$script" || fail "could not download https://dot.net/v1/dotnet-install.sh"
        bash "$script" --channel 10.0 --install-dir "$sdk_folder" --no-path >&2 || fail "dotnet-install.sh failed"
        has_sdk "$sdk_folder/dotnet" || fail "the .NET 10 SDK was installed into .dotnet/ but does not start"
    fi
    export DOTNET_ROOT=$sdk_folder PATH=$sdk_folder:$PATH
}

# A platform is the loader plus a vendor's library: one that an .icd file names and that exists.
has_opencl() {
    [[ $(uname) == Linux ]] || return 0                              # elsewhere it comes with the system or the driver
    [[ -z ${OCL_ICD_VENDORS:-}${OPENCL_VENDOR_PATH:-} ]] || return 0 # the caller has chosen the platforms
    local libraries file library name
    libraries=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) || true
    [[ $libraries == *libOpenCL.so.1* ]] || return 1
    for file in /etc/OpenCL/vendors/*.icd; do
        [[ -r $file ]] || continue
        read -r library <"$file" || true # the line may lack its end
        [[ -n $library ]] || continue
        name=${library##*/}
        [[ -e $library || $libraries == *"${name%%.so*}.so"* ]] && return
    done
    return 1
}

ensure_opencl() {
    has_opencl && return
    local packages=(pocl-opencl-icd ocl-icd-libopencl1)
    if install_optional "${packages[@]}" && has_opencl; then return; fi
    say "no OpenCL platform, so OpenCL is skipped; install ${packages[*]} (Debian, Ubuntu), PoCL or the GPU's driver"
}

has_nvrtc() {
    [[ -z ${KERNELS_LIBNVRTC:-}${KERNELS_LIBRARY_PATH:-} ]] || return 0 # the caller has chosen where it is
    [[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) == *libnvrtc.so.* ]]
}

# The compiler of CUDA kernels, with which tests run them on the machine of native/ where there is no GPU. It is not free
# software, so a system has it only where its sources were chosen so.
ensure_nvrtc() {
    [[ $(uname) == Linux ]] || return 0
    has_nvrtc && return
    local package
    for package in libnvrtc13 libnvrtc12 libnvrtc11.2; do
        has apt-cache && [[ -n $(apt-cache policy "$package" 2>/dev/null) ]] || continue
        if install_optional "$package" && has_nvrtc; then return; fi
    done
    say "no NVRTC, so tests of CUDA kernels are skipped; install libnvrtc11.2 (Debian, Ubuntu: non-free or multiverse) or the CUDA toolkit"
}

# Without the package the study downloads the same files when it first runs.
ensure_data() {
    [[ -d /usr/share/datasets/fashion-mnist ]] || install_optional dataset-fashion-mnist || true
}

setup() {
    ensure_sdk
    ensure_opencl
    ensure_data
}

# --- Build and check ------------------------------------------------------------------------------------------------

# in_root COMMAND...: from the repository's root, so that no global.json of the caller's folder chooses another SDK.
in_root() { (cd "$root" && "$@"); }

# `dotnet build` says "Build succeeded" even when told to be quiet; `dotnet msbuild` prints errors and warnings only.
compile() { # PROJECT [OPTION...]
    say "building $1"
    in_root dotnet msbuild "$1" -restore -p:Configuration=Release -nologo -verbosity:quiet -terminalLogger:off "${@:2}" >&2
}

# Analyzers take longer than the compiler. `build` and `lint` ask them; who wants to run something need not wait.
compile_quick() { # PROJECT
    compile "$1" -p:RunAnalyzers=false
}

# library_folders LIBRARY: what its sources are in; the stand-in for libcuda brings the machine that runs its kernels.
library_folders() {
    case $1 in
        fakecuda) printf '%s\n' "$root/native/fakecuda" "$root/native/ptxmachine" ;;
        *) printf '%s\n' "$root/native/$1" ;;
    esac
}

# One library for each stand-in. Moved into place, as a running test may have the old one loaded. Made for this processor, on
# which alone it runs; the machine for PTX answers for every rounding, so the compiler may contract and assume nothing.
build_native() {
    local compiler=${CC:-cc} name library folders sources
    local options=(-std=gnu11 -O3 -march=native -ffp-contract=off -frounding-math -fno-math-errno -Wall -Wextra)
    if [[ $(uname) != Linux ]] || ! has "$compiler"; then
        say "native/ is not built (it needs Linux and a C compiler), so the tests on it are skipped"
        return
    fi
    mkdir -p "$artifacts/native"
    for name in fakecuda faultopencl mpi_abi; do
        library=$artifacts/native/lib$name.so
        mapfile -t folders < <(library_folders "$name")
        [[ ! -e $library || -n $(find "${folders[@]}" -newer "$library") ]] || continue
        say "building native/$name"
        mapfile -t sources < <(find "${folders[@]}" -name '*.c')
        "$compiler" "${options[@]}" -fvisibility=hidden -fPIC -shared -o "$library.new" "${sources[@]}" -lm -ldl -lpthread &&
            mv "$library.new" "$library" || fail "$compiler could not build native/$name"
    done
}

# A compiler ahead of time decides how wide vectors are, so there is a build of the library for each level of instructions, and a front
# that takes the best for the processor at hand.
library_levels() {
    case $(uname -m) in
        x86_64) printf '%s\n' base x86-64-v3 x86-64-v4 ;;
        *) echo base ;;
    esac
}

# The levels that this processor has, the best one last.
own_levels() {
    local flags
    flags=" $(grep -m1 '^flags' /proc/cpuinfo 2>/dev/null) "
    echo base
    [[ $(uname -m)$flags != x86_64*\ avx2\ * ]] || echo x86-64-v3
    [[ $(uname -m)$flags != x86_64*\ avx512vl\ * ]] || echo x86-64-v4
}

library_extension() {
    if [[ $(uname) == Darwin ]]; then echo dylib; else echo so; fi
}

# runtime_identifier: of this machine, as .NET has it.
runtime_identifier() {
    local os=linux processor=x64
    [[ $(uname) != Darwin ]] || os=osx
    case $(uname -m) in aarch64 | arm64) processor=arm64 ;; esac
    echo "$os-$processor"
}

# build_library LEVEL...: libkernels and its builds for these levels, in .artifacts/native; false, with the reason on stderr, if they cannot
# be had. What is newer than the sources stays.
build_library() {
    local level library folder log compiler=${CC:-cc} extension bindings=$artifacts/bin/Kernels.Bindings/release/Kernels.Bindings.dll
    local sources=("$root/src/Kernels" "$root/src/Kernels.Native" "$root/src/Kernels.Bindings" "$root/kernels/portable" "$root/kernels/cuda"
        "$root/kernels/dialect")
    extension=$(library_extension)
    mkdir -p "$artifacts/native" "$artifacts/setup"
    has "$compiler" || { say "libkernels is not built: it needs a C compiler, as the linker"; return 1; }
    for level in "$@"; do
        library=$artifacts/native/libkernels-$level.$extension
        [[ ! -e $library || -n $(find "${sources[@]}" -type f -newer "$library" -print -quit) ]] || continue
        say "compiling libkernels ahead of time for $level"
        log=$artifacts/setup/native-$level.log
        folder=$artifacts/publish/native-$level
        if ! in_root dotnet publish src/Kernels.Native -c Release -r "$(runtime_identifier)" -p:SharedLibrary=true \
            -p:InstructionLevel="${level#base}" -p:RunAnalyzers=false -o "$folder" --nologo -v:quiet -tl:off >"$log" 2>&1; then
            say "libkernels is not built: $(grep -m1 -o 'error .*' "$log" || echo "see .artifacts/setup/native-$level.log")"
            return 1
        fi
        mv "$folder/Kernels.Native.$extension" "$library"
    done
    library=$artifacts/native/libkernels.$extension
    if [[ $(uname) != Linux ]]; then
        cp "$artifacts/native/libkernels-base.$extension" "$library"
        return
    fi
    [[ ! -e $library || -n $(find "$root/native/library" "$root/native/include" -type f -newer "$library") ]] || return 0
    in_root dotnet exec "$bindings" functions "$artifacts/bin/Kernels.Native/release_$(runtime_identifier)/Kernels.Native.dll" \
        "$artifacts/native/functions.h" &&
        "$compiler" -std=gnu11 -O2 -Wall -Wextra -fvisibility=hidden -fPIC -shared -Wl,-soname,libkernels.so -I"$root/native/include" \
            -I"$artifacts/native" "$root/native/library/library.c" -o "$library.new" -ldl -lpthread &&
        mv "$library.new" "$library"
}

# One archive: the library, its header and table, the Python package, examples. Tests have theirs in a folder of their own.
make_native() { # [--test] [LEVEL...]
    local folder=${KERNELS_TEST_ARCHIVE:-$artifacts/native} stage archive level levels=() extension tests=
    for level in "$@"; do
        case $level in
            --test) tests=yes ;;
            base | x86-64-v3 | x86-64-v4) levels+=("$level") ;;
            *) fail "native takes --test and levels (base, x86-64-v3, x86-64-v4), not '$level'" ;;
        esac
    done
    ensure_sdk
    has xz || { can_apt && may_install && apt_install xz-utils; } || fail "xz is needed to make the archive"
    [[ ${#levels[@]} != 0 ]] || mapfile -t levels < <(library_levels)
    [[ $(uname) == Linux ]] || levels=(base)
    build_library "${levels[@]}" || fail "without the library there is no archive"
    extension=$(library_extension)
    stage=$folder/stage/kernels
    archive=$folder/kernels-$(runtime_identifier).tar.xz
    rm -rf "$stage" "$archive"
    mkdir -p "$stage/lib" "$stage/include"
    cp "$artifacts/native/libkernels.$extension" "$stage/lib/"
    if [[ $(uname) == Linux ]]; then
        for level in "${levels[@]}"; do cp "$artifacts/native/libkernels-$level.$extension" "$stage/lib/"; done
    fi
    cp "$root"/native/include/kernels.* "$stage/include/"
    cp -R "$root/native/examples" "$stage/examples"
    [[ ! -d $root/native/python ]] || cp -R "$root/native/python" "$stage/python"
    find "$stage" -name __pycache__ -prune -exec rm -rf {} +
    cp "$root/LICENSE" "$stage/"
    # The page as it stands beside these files, without what is about the repository.
    sed -E '/^## How it is checked/,$ d; /^ +\.\/build.sh native/,+1 d; s#\]\(\.\./\.\./native/#](#g
        s#\[([^]]*)\]\([a-z]+\.md[^)]*\)#\1#g' "$root/kernels/docs/native.md" >"$stage/README.md"
    tar -C "$folder/stage" -c kernels | xz -T0 >"$archive"
    say "$(du -h "$archive" | cut -f1) in ${archive#"$root/"}"
    [[ -z $tests ]] || test_library "${levels[@]}"
}

# test_library LEVEL...: what programs see of the library, by each of its builds that this processor can run.
test_library() {
    local level failed=
    compile_quick tests/Kernels.Tests
    build_native
    for level in "$@"; do
        if [[ " $(own_levels | tr '\n' ' ') " != *" $level "* ]]; then
            say "this processor has no $level, so that build is not tested"
            continue
        fi
        say "testing libkernels of $level"
        KERNELS_INSTRUCTION_SET=$level run_test_program -class 'Kernels.Tests.Native.SharedLibraryTests' \
            -class 'Kernels.Tests.Native.PythonTests' || failed+=" $level"
    done
    [[ -z $failed ]] || fail "tests on libkernels failed:$failed"
}

build() {
    ensure_sdk
    compile Kernels.sln
    build_native
}

output() { # ASSEMBLY
    printf '%s/bin/%s/release/%s.dll' "$artifacts" "$1" "$1"
}

# Rebuilt, as what is up to date may have been compiled without analyzers. The formatter compiles too, by the source generator that this
# builds, and hides why its restore fails.
lint_csharp() {
    compile Kernels.sln -t:Rebuild &&
        in_root env Configuration=Release dotnet format Kernels.sln --no-restore --verify-no-changes
}

# Versions of clang-format differ in details; Debian 12's counts where several are installed.
clang_format() {
    if has clang-format-14; then clang-format-14 "$@"; else clang-format "$@"; fi
}

lint_native() {
    if ! has clang-format-14 && ! has clang-format && ! install_optional clang-format; then
        say "clang-format is missing, so kernels/ and native/ are not checked"
        [[ ${CI:-} != true ]]
        return
    fi
    local files=() file
    while IFS= read -r file; do files+=("$root/$file"); done < <(
        cd "$root" && find kernels native -type f \( -name '*.c' -o -name '*.cl' -o -name '*.cu' -o -name '*.h' \) 2>/dev/null | sort
    )
    [[ ${#files[@]} == 0 ]] || clang_format --style=file --dry-run -Werror --ferror-limit=1 "${files[@]}"
}

lint_scripts() {
    local script status=0
    for script in build.sh .ci/run bench/bundle/run.sh; do
        in_root bash -n "$script" || status=1
        ! has shellcheck || in_root shellcheck -S warning "$script" || status=1
    done
    return $status
}

# Lines have at most 140 characters, 120 in kernels/ and native/. Tables and code blocks of Markdown are as wide as what they show.
lint_lines() {
    local long page
    long=$(
        cd "$root" && export LC_ALL=C.UTF-8
        find kernels native -type f -name '*.[ch]*' -exec grep -nE '^.{121,}' /dev/null {} +
        find src tests bench native .ci build.* -type f \( -name '*.cs' -o -name '*.*proj' -o -name '*.props' -o -name '*.py' \
            -o -name '*.sh' -o -name '*.ps1' -o -name run \) -exec grep -nE '^.{141,}' /dev/null {} +
        find kernels src tests bench native ./*.md -type f -name '*.md' | while read -r page; do
            awk '/^ *```/ { code = !code } code || /^ *\|/ { print ""; next } { print }' "$page" | grep -nE '^.{141,}' | sed "s|^|$page:|"
        done
    ) || true
    [[ -n $long ]] || return 0
    cut -d: -f1,2 <<<"$long" | sed 's/$/: the line is too long/' >&2
    return 1
}

lint() {
    local part failed=
    ensure_sdk
    for part in csharp native scripts lines; do
        say "checking $part"
        "lint_$part" || failed+=" $part"
    done
    [[ -z $failed ]] || fail "lint failed:$failed (dotnet format Kernels.sln and clang-format -i FILE repair most of it)"
    say "lint passed"
}

# --- Run ------------------------------------------------------------------------------------------------------------

run_tests() {
    setup
    ensure_nvrtc
    # Beside the compiler of C#, which keeps one core busy at first.
    build_native &
    local native=$!
    compile_quick tests/Kernels.Tests
    wait "$native"
    build_library "$(own_levels | tail -n 1)" || say "the tests on libkernels are skipped"
    run_test_program "$@"
}

run_test_program() {
    local log=$artifacts/test.log status=0
    # References are arrays of doubles that live for one comparison: a youngest generation that holds more of them is collected less often.
    export DOTNET_GCgen0size=0x8000000
    dotnet exec "$(output Kernels.Tests)" -noColor -noAutoReporters -reporter condensed "$@" 2>&1 | tee "$log" || status=$?
    [[ " $* " != *" -list "* ]] || return $status
    # The last line says `N passed, N failed, N skipped`.
    case $(tail -n 1 "$log") in
        '0 passed, 0 failed, 0 skipped') fail "no test matched: $*" ;;
        *' passed, 0 failed, '*' skipped') return $status ;;
        *' passed, '*' failed, '*' skipped') return 1 ;;
        *) fail "the test run broke off without a summary (exit code $status)" ;;
    esac
}

run_command() {
    setup </dev/null
    compile_quick src/Kernels.Cli </dev/null
    [[ $# != 0 ]] || set -- study --quick
    exec dotnet exec "$(output Kernels.Cli)" "$@"
}

bench() {
    setup
    compile_quick bench/Kernels.Bench
    local filter=${1:-*}
    shift $(($# > 0))
    in_root dotnet exec "$(output Kernels.Bench)" --filter "$filter" --artifacts "$artifacts/benchmarks" "$@"
}

pack() {
    local project
    ensure_sdk
    for project in Kernels Kernels.Reference Kernels.Cli; do
        in_root dotnet pack "src/$project" -c Release -p:ContinuousIntegrationBuild=true -o "$artifacts/package" --nologo -v:quiet \
            -tl:off >&2
    done
    ls "$artifacts/package"
}

# bundle_data FOLDER: the files of the study; of the 60,000 training images the first 13,000, all that it reads.
bundle_data() {
    local source=${KERNELS_DATA:-/usr/share/datasets/fashion-mnist}
    [[ -d $source ]] || { say "no Fashion-MNIST in $source, so the bundle has no images"; return; }
    mkdir -p "$1"
    cp "$source"/t10k-*.gz "$1"
    first_items "$source/train-images-idx3-ubyte.gz" '\0\0\10\3\0\0\62\310\0\0\0\34\0\0\0\34' 784 >"$1/train-images-idx3-ubyte.gz"
    first_items "$source/train-labels-idx1-ubyte.gz" '\0\0\10\1\0\0\62\310' 1 >"$1/train-labels-idx1-ubyte.gz"
}

# first_items FILE HEADER BYTES: the first 13,000 items of so many bytes, behind a header that says so. What follows is read too, since
# gzip calls a reader that leaves early an error.
first_items() {
    local header
    header=$(printf "$2" | wc -c)
    {
        printf "$2"
        gzip -dc "$1" | { head -c "$header" >/dev/null; head -c $((13000 * $3)); cat >/dev/null; }
    } | gzip -9n
}

# One folder for all programs, so that they share one copy of the runtime.
bundle() {
    ensure_sdk
    local stage=$artifacts/bundle/kernels archive=$artifacts/bundle/kernels-linux-x64.tar.xz project
    has xz || { can_apt && may_install && apt_install xz-utils; } || fail "xz is needed to make the bundle"
    rm -rf "$stage" "$archive"
    mkdir -p "$stage/bin"
    for project in bench/Kernels.Bench tests/Kernels.Tests src/Kernels.Cli; do
        say "publishing $project"
        in_root dotnet publish "$project" -c Release -r linux-x64 --self-contained -p:DebugType=none \
            -o "$stage/bin" --nologo -v:quiet -tl:off >&2
    done
    rm -rf "$stage"/bin/*.xml "$stage"/bin/*.pdb
    cp -R "$root/bench/peers" "$stage/peers"
    # Benches on a GPU time the library in PyTorch's process where it is there.
    if (make_native); then cp -R "$artifacts/native/stage/kernels" "$stage/native"; else say "the bundle has no native library"; fi
    ensure_data
    bundle_data "$stage/data"
    cp "$root/bench/bundle/run.sh" "$root/LICENSE" "$stage/"
    tar -C "$artifacts/bundle" -c kernels | xz -T0 -9e >"$archive"
    say "$(du -h "$archive" | cut -f1) in .artifacts/bundle/${archive##*/}; unpack it and call ./run.sh [OUT]"
}

# The .NET CLI and NuGet keep their files under HOME and stop without one.
if [[ ! -d ${HOME:-} || ! -w ${HOME:-} ]]; then
    export HOME=$sdk_folder/home
    mkdir -p "$HOME"
fi
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
# Nothing here depends on a culture, and a small machine has no ICU library.
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1

verb=${1:-help}
shift $(($# > 0))
case $verb in
    run) run_command "$@" ;;
    test) run_tests "$@" ;;
    setup) setup && ensure_nvrtc ;;
    build) build ;;
    lint) lint ;;
    bench) bench "$@" ;;
    bundle) bundle ;;
    pack) pack ;;
    native) make_native "$@" ;;
    help | -h | --help) usage ;;
    *)
        say "unknown verb '$verb'"
        usage >&2
        exit 2
        ;;
esac
