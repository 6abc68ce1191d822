using Kernels.Tests.FakeDriver;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Collectives;

/// <summary>
/// Ranks as processes under Open MPI and MPICH, each where it is installed. A process loads one library, so every row starts processes of
/// its own, which run <see cref="MpiRanks"/>.
/// </summary>
public sealed class MpiTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private static readonly Dictionary<string, Launcher> Launchers = new()
    {
        ["Open MPI"] = new(["mpirun.openmpi"], ["--allow-run-as-root", "--oversubscribe"]),
        ["MPICH"] = new(["mpirun.mpich", "mpiexec.hydra"], []),
    };

    /// <summary>The library's own interface, and the one that MPI 5 has for all.</summary>
    [Theory]
    [InlineData("Open MPI", 4)]
    [InlineData("MPICH", 2)]
    [InlineData("MPI 5 ABI over MPICH", 2)]
    public async Task CallsAreAsOverEveryTransport(string transport, int count)
    {
        TestProcess ended = await Run(transport, count, nameof(MpiRanks.CallsAreAsOverEveryTransport));
        Assert.True(ended.ExitCode == 0, ended.Output + ended.Error);
        for (int rank = 0; rank < count; rank++)
            Assert.Contains($"{MpiRanks.ReportMark}rank {rank} of {count} (MPI ({transport} ", ended.Output);
    }

    /// <summary>MPICH's launcher lets no process outlive another that was killed.</summary>
    [Fact]
    public async Task RanksThatAreKilledAreNamed()
    {
        TestProcess ended = await Run("Open MPI", 7, nameof(MpiRanks.RanksThatAreKilledAreNamed), "--enable-recovery");
        Assert.True(ended.Output.Contains($"{MpiRanks.ReportMark}all killed ranks were named"), ended.Output + ended.Error);
        Show(ended);
    }

    [Theory]
    [InlineData("MPI 5 ABI over Open MPI")]
    [InlineData("MPICH")]
    public async Task OtherFaultsAreNamed(string transport)
    {
        TestProcess ended = await Run(transport, 2, nameof(MpiRanks.OtherFaultsAreNamed));
        Assert.True(ended.Output.Contains($"{MpiRanks.ReportMark}all faults were named"), ended.Output + ended.Error);
        Assert.NotEqual(0, ended.ExitCode);
        Show(ended);
    }

    /// <summary>The error says what was tried.</summary>
    [Fact]
    public async Task MissingLibrariesAreNamed()
    {
        TestProcess ended = await TestProcess.RunTests(
            ["-explicit", "only", "-method", $"{typeof(MissingLibraries).FullName}.{nameof(MissingLibraries.AreNamed)}"],
            MissingLibraries.Paths.ToDictionary(library => library.Key, library => (string?)library.Value), Limit);
        Assert.True(ended.ExitCode == 0 && ended.Output.Contains("Total: 1, Errors: 0, Failed: 0, Skipped: 0"), ended.Output + ended.Error);
    }

    private static Task<TestProcess> Run(string transport, int count, string method, params string[] more)
    {
        const string standard = "MPI 5 ABI over ";
        bool isStandard = transport.StartsWith(standard, StringComparison.Ordinal);
        if (isStandard) StandIns.SkipUnlessBuilt(StandIns.MpiAbi);
        string name = isStandard ? transport[standard.Length..] : transport;
        Launcher launcher = Launchers[name];
        string? program = launcher.Names.Select(Find).FirstOrDefault(path => path is not null);
        Assert.SkipWhen(program is null, $"{name} is not installed: there is no {string.Join(" and no ", launcher.Names)} on the path");
        return TestProcess.Run(
            program,
            [
                "-n", $"{count}", .. launcher.Options, .. more,
                .. TestProcess.CommandOfTests(["-explicit", "only", "-method", $"{typeof(MpiRanks).FullName}.{method}"]),
            ],
            environment: new Dictionary<string, string?>
            {
                [MpiRanks.Variable] = "1",
                ["KERNELS_LIBCUDA"] = File.Exists(StandIns.Cuda) ? StandIns.Cuda : null,
                ["KERNELS_LIBMPI"] = isStandard ? StandIns.MpiAbi : null,
                ["DOTNET_TieredPGO"] = "0",
            },
            limit: Limit);
    }

    private static void Show(TestProcess ended)
    {
        foreach (string line in ended.Output.Split('\n').Where(line => line.StartsWith(MpiRanks.ReportMark, StringComparison.Ordinal)))
            TestContext.Current.TestOutputHelper?.WriteLine(line);
    }

    private static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    /// <summary>A launcher: its names, of which the first one found is used, and what lets it start more processes than cores.</summary>
    private sealed record Launcher(string[] Names, string[] Options);
}

/// <summary>Opens what cannot be loaded; run by <see cref="MpiTests"/> in a process of its own.</summary>
public sealed class MissingLibraries
{
    /// <summary>Variables that name libraries which are not there.</summary>
    public static readonly IReadOnlyDictionary<string, string> Paths = new Dictionary<string, string>
    {
        ["KERNELS_LIBMPI"] = "/nowhere/libmpi.so",
        ["KERNELS_LIBNCCL"] = "/nowhere/libnccl.so",
    };

    [Fact(Explicit = true)]
    public void AreNamed()
    {
        foreach ((string variable, string path) in Paths)
        {
            Assert.SkipWhen(Environment.GetEnvironmentVariable(variable) != path, $"run by {nameof(MpiTests)} in a process of its own");
            Action open = variable == "KERNELS_LIBMPI" ? () => Kernels.Collectives.OpenMpi() : () => Kernels.Collectives.CreateNcclId();
            string message = Assert.Throws<DeviceNotAvailableException>(open).Message;
            Assert.Contains($"{variable} names '{path}', which cannot be loaded", message);
        }
    }
}
