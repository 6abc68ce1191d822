#!/usr/bin/env bash
# Gathers evidence on the machine it is unpacked on: ./run.sh [OUT]. Needs no .NET. The steps run in the order of their worth, each with its
# own limit and log, so that a run that is cut off early has still said whether the kernels are right. Results are JSON files, summary.md
# and HTML pages in OUT (default: results beside this script).
set -uo pipefail

case ${1:-} in -*)
    sed -n '2,/^[^#]/ s/^# //p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/results}
mkdir -p "$out/logs"
out=$(CDPATH='' cd -- "$out" && pwd)

# .NET and the program cache want a home that can be written to.
if [[ ! -d ${HOME:-} || ! -w ${HOME:-} ]]; then
    HOME=$(mktemp -d)
    export HOME
fi
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_NOLOGO=1 KERNELS_DATA=${KERNELS_DATA:-$here/data}

kernels() { "$here/bin/Kernels.Cli" "$@"; }
say() { printf '%s\n' "$*" | tee -a "$out/run.log"; }

# --- What is there ------------------------------------------------------------------------------------------------------

find_python() {
    local candidate
    for candidate in "${KERNELS_PYTHON:-}" python3 /usr/bin/python3; do
        [[ -n $candidate ]] && "$candidate" -c 'import torch' >/dev/null 2>&1 && printf '%s' "$candidate" && return
    done
}

# Folders of CUDA libraries that Python packages bring (nvidia/*/lib), for NVRTC, cuBLAS and cuDNN.
python_libraries() {
    local interpreter
    for interpreter in "${1:-python3}" python3; do
        command -v "$interpreter" >/dev/null 2>&1 || continue
        "$interpreter" - 2>/dev/null <<'PY' && return
import glob, os, site, sys
folders = [p for p in sys.path if p.endswith("packages")] + site.getsitepackages()
found = []
for folder in dict.fromkeys(folders):
    found += [p for p in glob.glob(os.path.join(folder, "nvidia", "**", "lib"), recursive=True) if os.path.isdir(p)]
print(":".join(dict.fromkeys(found)))
PY
    done
}

find_library() { # PATTERN
    local folder found
    IFS=: read -ra folders <<<"${KERNELS_LIBRARY_PATH:-}:/usr/lib/x86_64-linux-gnu:/usr/local/cuda/lib64:/usr/lib64:/usr/local/nvidia/lib64"
    for folder in "${folders[@]}"; do
        [[ -n $folder ]] || continue
        found=$(compgen -G "$folder/$1" | head -n 1) && [[ -n $found ]] && printf '%s' "$found" && return
    done
    found=$(ldconfig -p 2>/dev/null | awk -v name="${1%%.so*}.so" 'index($1, name) == 1 { print $NF; exit }')
    printf '%s' "$found"
}

# found VARIABLE PATTERN: the library that a variable names for this program, or else the one that it will find.
found() {
    local library=${!1:-}
    [[ -n $library ]] || library=$(find_library "$2")
    printf '%s' "${library:-not found}"
}

python=$(find_python)
[[ -z $python ]] || export KERNELS_PYTHON=$python
libraries=$(python_libraries "$python")
export KERNELS_LIBRARY_PATH=${KERNELS_LIBRARY_PATH:+$KERNELS_LIBRARY_PATH:}$libraries

cuda=$(kernels devices --json 2>/dev/null | grep -A4 '"id": "cuda:' | grep -c '"available": true')
sanitizer=$(command -v compute-sanitizer || compgen -G '/usr/local/cuda*/bin/compute-sanitizer' | head -n 1)

: >"$out/run.log"
say "Kernels on $(uname -srm), $(nproc) processors, $(date -u +%Y-%m-%dT%H:%MZ)"
say "driver:     $(found KERNELS_LIBCUDA 'libcuda.so*')"
say "NVRTC:      $(found KERNELS_LIBNVRTC 'libnvrtc.so*')"
say "cuBLAS:     $(found KERNELS_LIBCUBLAS 'libcublas.so*')"
say "cuDNN:      $(found KERNELS_LIBCUDNN 'libcudnn.so*')"
say "OpenCL:     $(found KERNELS_LIBOPENCL 'libOpenCL.so*')"
about_torch='import sys, torch; print(torch.__version__, "in", sys.executable)'
say "PyTorch:    $([[ -n $python ]] && "$python" -c "$about_torch" || echo 'not found')"
say "sanitizer:  ${sanitizer:-not found}"
say ""
kernels devices 2>&1 | tee -a "$out/run.log"

# --- Steps --------------------------------------------------------------------------------------------------------------

printf '| step | result | seconds |\n| --- | --- | --- |\n' >"$out/steps.md"

# step NAME LIMIT COMMAND...: runs it under a time limit; its log is logs/NAME.log, what it prints to stdout NAME.json where the name ends
# in -json. Who is told to stop ends between two problems, and has a minute for it: one that is killed leaves no results.
step() {
    local name=$1 limit=$2 status=0 start=$SECONDS result
    shift 2
    local target=$out/logs/$name.out
    [[ $name != *-json ]] || target=$out/${name%-json}.json
    timeout -k 60 "$limit" "$@" >"$target" 2>"$out/logs/$name.log" || status=$?
    case $status in
        0) result=passed ;;
        124 | 137) result="cut off after $limit s" ;;
        *) result="failed ($status)" ;;
    esac
    printf '| %s | %s | %d |\n' "${name%-json}" "$result" $((SECONDS - start)) >>"$out/steps.md"
    say "${name%-json}: $result in $((SECONDS - start)) s"
    [[ $status == 0 ]] || tail -n 5 "$out/logs/$name.log" | tee -a "$out/run.log"
    summarise
}

skip() { # NAME REASON
    printf '| %s | skipped: %s | |\n' "$1" "$2" >>"$out/steps.md"
    say "$1: skipped: $2"
}

# Rewritten after each step, so that it is there whenever the run ends.
summarise() {
    {
        printf '# Results\n\n```\n'
        cat "$out/run.log"
        printf '```\n\n'
        cat "$out/steps.md"
        printf '\n'
        kernels summary "$out"
    } >"$out/summary.md" 2>/dev/null
}

# each_op COMMAND...: the command with --op for every op, several side by side, and all their rows as one JSON array. Each op has a process
# of its own, because what a kernel does wrong on a GPU spoils the process in which it happens. What is written besides goes to stderr.
each_op() {
    local folder status=0
    folder=$(mktemp -d)
    trap : TERM # when time is up the processes end, and what they left is joined
    "$here/bin/Kernels.Cli" verify --list | xargs -P "$side_by_side" -I OP \
        bash -c '"${@:3}" --op "$1" --json >"$2/$1" || { echo "$1: exit code $?"; exit 1; } >&2' op OP "$folder" "$@" || status=1
    echo '['
    sed -n -e 's/^  }$/  },/' -e '/^  /p' "$folder"/* | sed '$ s/,$//'
    echo ']'
    grep -hv -e '^  ' -e '^[][]*$' "$folder"/* >&2
    rm -rf "$folder"
    return "$status"
}

side_by_side=$(nproc)
export here side_by_side
export -f each_op

# Whether the kernels are right is found out side by side; times are taken alone, after it.
cli=$here/bin/Kernels.Cli
if [[ $cuda -gt 0 ]]; then
    step verify-cuda-json 240 bash -c 'each_op "$@"' each_op "$cli" verify --device cuda:0
    step tests-cuda 420 env KERNELS_TEST_DEVICES=cuda:0 "$here/bin/Kernels.Tests" -noLogo -noColor \
        -namespace 'Kernels.Tests.Theories' -namespace 'Kernels.Tests.Randomness' &
    side_by_side=$(($(nproc) / 4 + 1))
    for tool in ${sanitizer:+memcheck racecheck initcheck synccheck}; do
        step "sanitizer-$tool-json" 420 bash -c 'each_op "$@"' each_op "$sanitizer" --tool "$tool" --error-exitcode 99 \
            --target-processes all "$cli" verify --device cuda:0 --small &
    done
    [[ -n $sanitizer ]] || skip sanitizer 'compute-sanitizer was not found'
    wait
    side_by_side=$(nproc)
    if [[ -n $python && -d $here/native/python ]]; then
        step python-tests 240 env -C "$here/native/python" "$python" -m unittest discover -v -t . tests
        step python-tests-cuda 240 env -C "$here/native/python" KERNELS_TEST_TORCH_DEVICE=cuda \
            "$python" -m unittest -v tests.test_{gradients,equality,adversarial,optimizers,training}
    else
        for name in python-tests{,-cuda}; do skip "$name" 'no PyTorch, or no native library in the bundle'; done
    fi
    step bench-cuda-json 540 "$cli" bench --device cuda:0 --dtype f32 bf16 --json \
        --report "$out/bench-cuda.html" --report "$out/bench-cuda.md"
    step study-cuda-json 240 "$cli" study --device cuda:0 --quick --json --report "$out/study-cuda.html"
    step occupancy-json 240 "$cli" occupancy --device cuda:0 --json
else
    for name in verify-cuda tests-cuda sanitizer python-tests{,-cuda} bench-cuda study-cuda occupancy; do
        skip "$name" 'no CUDA device'
    done
fi

step verify-all-json 900 bash -c 'each_op "$@"' each_op "$cli" verify --device all
step bench-cpu-json 540 "$cli" bench --device cpu --quick --json --report "$out/bench-cpu.html" --report "$out/bench-cpu.md"

failures=$(grep -c -e '| failed' -e '| cut off' "$out/steps.md")
say ""
say "$failures steps failed; results are in $out (summary.md first)."
[[ $failures == 0 ]]
