# Sets up, builds, checks and runs Kernels on Windows (PowerShell 5.1 or 7); build.sh has the same verbs for Linux and macOS.
# Set-up and build messages go to stderr, so that stdout is the command's own.
# No param block: PowerShell would take `-class` and the like for parameters of this script.

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are looked at where they matter

$root = $PSScriptRoot
$artifacts = Join-Path $root '.artifacts'
$sdkFolder = Join-Path $root '.dotnet'
$verb = 'help'
$rest = @()
if ($args.Count -gt 0) { $verb = [string]$args[0] }
if ($args.Count -gt 1) { $rest = @($args[1..($args.Count - 1)]) }

if ($PSVersionTable.PSVersion.Major -ge 6 -and -not $IsWindows) {
    & bash (Join-Path $root 'build.sh') @args
    exit $LASTEXITCODE
}

function Show-Usage {
    @'
Usage: .\build.ps1 VERB [ARGS]

  run [ARGS]      set up, build, and call the kernels command with ARGS (none: study --quick)
  test [ARGS]     set up, build, and run all tests; ARGS go to the xUnit.net runner (e.g. -class '*Dropout*')
  setup           install the .NET 10 SDK if it is missing, and say whether OpenCL is there
  build           build everything in Release
  lint            check the layout and style of C#, kernels and native code
  bench [FILTER]  run the benchmarks whose name matches FILTER (none: all)
  pack            make the NuGet packages in .artifacts\package
  native [LEVEL]  make kernels.dll for programs without .NET, and .artifacts\native\kernels-win-x64.tar.xz of it, for processors with AVX2
                  or for those of another level (base, x86-64-v3, x86-64-v4)

KERNELS_NO_INSTALL=1 forbids every installation; what is missing is then skipped and said.
'@
}

function Write-Message([string]$Text) { [Console]::Error.WriteLine("build.ps1: $Text") }

function Stop-Build([string]$Text) {
    Write-Message $Text
    exit 1
}

# Runs dotnet from the repository's root, so that no global.json of the caller's folder chooses another SDK; output goes to stderr.
function Invoke-InRoot([string[]]$Arguments) {
    Push-Location $root
    try { & dotnet @Arguments | ForEach-Object { [Console]::Error.WriteLine($_) } }
    finally { Pop-Location }
}

# --- Set-up ---------------------------------------------------------------------------------------------------------

function Test-Sdk([string]$Dotnet) {
    if (-not (Get-Command $Dotnet -ErrorAction SilentlyContinue)) { return $false }
    return @(& $Dotnet --list-sdks | Where-Object { $_ -like '10.*' }).Count -gt 0
}

function Install-Sdk {
    if (Test-Sdk 'dotnet') { return }
    $localDotnet = Join-Path $sdkFolder 'dotnet.exe'
    if (-not (Test-Sdk $localDotnet)) {
        if ($env:KERNELS_NO_INSTALL -and $env:KERNELS_NO_INSTALL -ne '0') {
            Stop-Build 'no .NET 10 SDK, and KERNELS_NO_INSTALL is set; see https://dotnet.microsoft.com/download/dotnet/10.0'
        }
        Write-Message "installing the .NET 10 SDK into .dotnet\ with Microsoft's dotnet-install.ps1"
        $installer = Join-Path $sdkFolder 'dotnet-install.ps1'
        New-Item -ItemType Directory -Force -Path $sdkFolder | Out-Null
        # Windows PowerShell 5.1 does not offer TLS 1.2 by itself.
        [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
        Invoke-WebRequest -UseBasicParsing -Uri 'https://dot.net/v1/dotnet-install.ps1' -OutFile $installer
        & $installer -Channel 10.0 -InstallDir $sdkFolder -NoPath *>&1 | ForEach-Object { [Console]::Error.WriteLine($_) }
        if (-not (Test-Sdk $localDotnet)) { Stop-Build 'the .NET 10 SDK could not be installed into .dotnet\' }
    }
    $env:DOTNET_ROOT = $sdkFolder
    $env:PATH = $sdkFolder + ';' + $env:PATH
}

function Invoke-Setup {
    Install-Sdk
    if (-not (Test-Path (Join-Path $env:SystemRoot 'System32\OpenCL.dll'))) {
        Write-Message "no OpenCL.dll, so OpenCL is skipped; install the GPU's driver or the Intel CPU Runtime for OpenCL Applications"
    }
}

# --- Build and check ------------------------------------------------------------------------------------------------

# Analyzers take longer than the compiler. `build` and `lint` ask them; who wants to run something need not wait.
function Invoke-Compile([string]$Project, [string]$Option = '-p:RunAnalyzers=false') {
    Write-Message "building $Project"
    Invoke-InRoot @('msbuild', $Project, '-restore', '-p:Configuration=Release', $Option, '-nologo', '-verbosity:quiet',
        '-terminalLogger:off')
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

function Get-Output([string]$Assembly) { Join-Path $artifacts "bin\$Assembly\release\$Assembly.dll" }

function Invoke-Lint {
    Install-Sdk
    $failed = @()

    Write-Message 'checking csharp'
    # Rebuilt, as what is up to date may have been compiled without analyzers. The formatter compiles too, by the source generator that
    # this builds.
    Invoke-InRoot @('msbuild', 'Kernels.sln', '-restore', '-t:Rebuild', '-p:Configuration=Release', '-nologo', '-verbosity:quiet',
        '-terminalLogger:off')
    if ($LASTEXITCODE -eq 0) {
        $env:Configuration = 'Release'
        Invoke-InRoot @('format', 'Kernels.sln', '--no-restore', '--verify-no-changes')
        Remove-Item Env:Configuration
    }
    if ($LASTEXITCODE -ne 0) { $failed += 'csharp' }

    Write-Message 'checking native'
    $folders = @('kernels', 'native' | ForEach-Object { Join-Path $root $_ } | Where-Object { Test-Path $_ })
    $files = @(Get-ChildItem -Path $folders -Recurse -File |
            Where-Object { '.c', '.cl', '.cu', '.h' -contains $_.Extension } | ForEach-Object { $_.FullName })
    if (-not (Get-Command clang-format -ErrorAction SilentlyContinue)) {
        Write-Message 'clang-format is missing, so kernels\ and native\ are not checked'
        if ($env:CI -eq 'true') { $failed += 'native' }
    }
    elseif ($files.Count -gt 0) {
        & clang-format '--style=file' '--dry-run' '-Werror' '--ferror-limit=1' @files
        if ($LASTEXITCODE -ne 0) { $failed += 'native' }
    }

    # Lines have at most 140 characters, 120 in kernels\ and native\. Tables and code blocks of Markdown are as wide as what they show.
    Write-Message 'checking lines'
    $long = @(Get-ChildItem -Path (Join-Path $root '*'), (Join-Path $root 'kernels'), (Join-Path $root 'native'), (Join-Path $root 'src'),
            (Join-Path $root 'tests'), (Join-Path $root 'bench') -Recurse -File -Include '*.c', '*.cl', '*.cu', '*.h', '*.cs', '*.csproj',
            '*.props', '*.py', '*.sh', '*.ps1', '*.md' |
            Where-Object { $_.FullName -notmatch '\\\.(artifacts|dotnet|git)\\' } | ForEach-Object {
            $most = if ('.c', '.cl', '.cu', '.h' -contains $_.Extension) { 120 } else { 140 }
            $number = 0
            $isCode = $false
            foreach ($line in [IO.File]::ReadAllLines($_.FullName)) {
                $number++
                if ($_.Extension -eq '.md' -and $line -match '^ *```') { $isCode = -not $isCode }
                if ($line.Length -le $most -or $isCode -or ($_.Extension -eq '.md' -and $line -match '^ *\|')) { continue }
                Write-Message "$($_.FullName):${number}: the line is too long"
                $_.FullName
            }
        })
    if ($long.Count -gt 0) { $failed += 'lines' }

    if ($failed.Count -gt 0) { Stop-Build "lint failed: $failed (dotnet format Kernels.sln and clang-format -i FILE repair most of it)" }
    Write-Message 'lint passed'
}

# --- Run ------------------------------------------------------------------------------------------------------------

function Invoke-Tests {
    Invoke-Setup
    Invoke-Compile 'tests/Kernels.Tests'
    Write-Message 'native\ is not built (it needs Linux and a C compiler), so the tests on it are skipped'
    $dll = Get-Output 'Kernels.Tests'
    $last = ''
    & dotnet exec $dll -noColor -noAutoReporters -reporter condensed @rest | ForEach-Object {
        [Console]::Out.WriteLine($_)
        $last = $_
    }
    $status = $LASTEXITCODE
    if ($rest -contains '-list') { exit $status }
    if ($last -notmatch '^(\d+) passed, (\d+) failed, (\d+) skipped$') {
        Stop-Build "the test run broke off without a summary (exit code $status)"
    }
    if ([int]$Matches[1] + [int]$Matches[2] + [int]$Matches[3] -eq 0) { Stop-Build "no test matched: $rest" }
    if ($Matches[2] -ne '0' -and $status -eq 0) { $status = 1 }
    exit $status
}

function Invoke-Cli {
    Invoke-Setup
    Invoke-Compile 'src/Kernels.Cli'
    $arguments = $rest
    if ($arguments.Count -eq 0) { $arguments = @('study', '--quick') }
    $dll = Get-Output 'Kernels.Cli'
    & dotnet exec $dll @arguments
    exit $LASTEXITCODE
}

function Invoke-Bench {
    Invoke-Setup
    Invoke-Compile 'bench/Kernels.Bench'
    $filter = '*'
    $more = @()
    if ($rest.Count -gt 0) { $filter = $rest[0] }
    if ($rest.Count -gt 1) { $more = @($rest[1..($rest.Count - 1)]) }
    $dll = Get-Output 'Kernels.Bench'
    Push-Location $root
    try { & dotnet exec $dll --filter $filter --artifacts (Join-Path $artifacts 'benchmarks') @more }
    finally { Pop-Location }
    exit $LASTEXITCODE
}

function Invoke-Pack {
    Install-Sdk
    $packages = Join-Path $artifacts 'package'
    foreach ($project in 'Kernels', 'Kernels.Reference', 'Kernels.Cli') {
        Invoke-InRoot @('pack', "src/$project", '-c', 'Release', '-o', $packages, '--nologo', '-v:quiet', '-tl:off')
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }
    Get-ChildItem $packages | ForEach-Object { $_.Name }
}

# A compiler ahead of time decides how wide vectors are; build.sh has a front on Linux that chooses between builds, here there is one.
function Invoke-Native {
    Install-Sdk
    $level = if ($rest.Count -gt 0) { $rest[0] } else { 'x86-64-v3' }
    if ('base', 'x86-64-v3', 'x86-64-v4' -notcontains $level) {
        Stop-Build "native takes a level (base, x86-64-v3, x86-64-v4), not '$level'"
    }
    $native = Join-Path $artifacts 'native'
    $published = Join-Path $artifacts "publish\native-$level"
    $instructions = if ($level -eq 'base') { '' } else { $level }
    Invoke-InRoot @('publish', 'src/Kernels.Native', '-c', 'Release', '-r', 'win-x64', '-p:SharedLibrary=true',
        "-p:InstructionLevel=$instructions", '-p:RunAnalyzers=false', '-o', $published, '--nologo', '-v:quiet', '-tl:off')
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    $stage = Join-Path $native 'stage\kernels'
    if (Test-Path $stage) { Remove-Item -Recurse -Force $stage }
    foreach ($folder in 'lib', 'include') { New-Item -ItemType Directory -Force -Path (Join-Path $stage $folder) | Out-Null }
    Copy-Item (Join-Path $published 'Kernels.Native.dll') (Join-Path $stage 'lib\kernels.dll')
    $import = Join-Path $artifacts 'bin\Kernels.Native\release_win-x64\native\Kernels.Native.lib'
    if (Test-Path $import) { Copy-Item $import (Join-Path $stage 'lib\kernels.lib') }
    Copy-Item (Join-Path $root 'native\include\kernels.*') (Join-Path $stage 'include')
    foreach ($folder in 'examples', 'python') {
        $from = Join-Path $root "native\$folder"
        if (Test-Path $from) { Copy-Item -Recurse $from (Join-Path $stage $folder) }
    }
    Get-ChildItem $stage -Recurse -Directory -Filter '__pycache__' | Remove-Item -Recurse -Force
    Copy-Item (Join-Path $root 'LICENSE') $stage
    $page = [IO.File]::ReadAllText((Join-Path $root 'kernels\docs\native.md'))
    # The page as it stands beside these files, without what is about the repository.
    $page = $page -replace '(?s)## How it is checked.*', '' -replace '(?m)^ +\./build\.sh native.*\r?\n\r?\n', ''
    $page = $page -replace '\]\(\.\./\.\./native/', '](' -replace '\[([^]]*)\]\([a-z]+\.md[^)]*\)', '$1'
    [IO.File]::WriteAllText((Join-Path $stage 'README.md'), $page)
    & tar -C (Join-Path $native 'stage') -cJf (Join-Path $native 'kernels-win-x64.tar.xz') kernels
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    Write-Message 'made .artifacts\native\kernels-win-x64.tar.xz'
}

$env:DOTNET_NOLOGO = '1'
$env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
$env:DOTNET_GENERATE_ASPNET_CERTIFICATE = 'false'

switch ($verb) {
    'run' { Invoke-Cli }
    'test' { Invoke-Tests }
    'setup' { Invoke-Setup }
    'build' { Install-Sdk; Invoke-Compile 'Kernels.sln' '-p:RunAnalyzers=true' }
    'lint' { Invoke-Lint }
    'bench' { Invoke-Bench }
    'pack' { Invoke-Pack }
    'native' { Invoke-Native }
    { $_ -in 'help', '-h', '--help' } { Show-Usage }
    default {
        Write-Message "unknown verb '$verb'"
        [Console]::Error.WriteLine((Show-Usage))
        exit 2
    }
}
