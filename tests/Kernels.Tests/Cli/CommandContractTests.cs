using System.Runtime.InteropServices;
using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>What scripts rely on: field names, one JSON array on standard output, exit codes, one line per error.</summary>
public sealed class CommandContractTests
{
    private const int Success = 0;
    private const int Failed = 2;

    [Fact]
    public void DevicesListsAll()
    {
        TestProcess command = KernelsCommand.Run("devices", "--json");
        Assert.Equal((Success, ""), (command.ExitCode, command.Error));
        IReadOnlyList<JsonElement> rows = command.Rows();
        AssertFields(rows, "id", "kind", "name", "memoryBytes", "available", "reason");
        Assert.Equal(TestDevices.All.Select(device => device.Id), rows.Select(row => row.GetProperty("id").GetString()));
        Assert.Equal("cpu", rows[0].GetProperty("kind").GetString());
        Assert.True(rows[0].GetProperty("memoryBytes").GetInt64() > 0);
    }

    [Fact]
    public void VerifyReportsEveryType()
    {
        TestProcess command = KernelsCommand.Run("verify", "--op", "dropout", "--device", "cpu", "--json");
        Assert.Equal((Success, ""), (command.ExitCode, command.Error));
        IReadOnlyList<JsonElement> rows = command.Rows();
        AssertFields(rows, "device", "op", "dtype", "cases", "maxError", "tolerance", "passed");
        Assert.Equal(["f32", "f16", "bf16", "f64"], rows.Select(row => row.GetProperty("dtype").GetString()));
        Assert.All(rows, row =>
        {
            Assert.Equal(("cpu", "dropout"), (row.GetProperty("device").GetString(), row.GetProperty("op").GetString()));
            Assert.True(row.GetProperty("passed").GetBoolean());
            Assert.True(row.GetProperty("maxError").GetDouble() <= row.GetProperty("tolerance").GetDouble());
        });
    }

    /// <summary>The quickest op to bench; the copy and the peak are measured too.</summary>
    [Fact]
    public void BenchMeasures()
    {
        TestProcess command = KernelsCommand.Run("bench", "--device", "cpu", "--op", "random", "--quick", "--no-peers", "--json");
        Assert.True(command.ExitCode == Success, command.Error); // standard error may tell of missing peers
        IReadOnlyList<JsonElement> rows = command.Rows();
        AssertFields(
            rows, "device", "op", "shape", "dtype", "milliseconds", "gigabytesPerSecond", "fractionOfCopy", "gflops", "fractionOfPeak",
            "peer", "peerMilliseconds", "speedup");
        foreach (string name in (string[])["milliseconds", "fractionOfCopy"])
            Assert.All(rows, row => Assert.True(row.GetProperty(name).GetDouble() > 0));
    }

    [Fact]
    public void TablesAreForPeople()
    {
        TestProcess devices = KernelsCommand.Run("devices");
        Assert.Equal((Success, ""), (devices.ExitCode, devices.Error));
        Assert.Contains("cpu", devices.Output, StringComparison.Ordinal);
        TestProcess verify = KernelsCommand.Run("verify", "--op", "random", "--device", "cpu");
        Assert.Equal((Success, ""), (verify.ExitCode, verify.Error));
        Assert.Contains("All 1 rows passed.", verify.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("'tpu' is not a device id", "verify", "--device", "tpu")]
    [InlineData("opencl:99", "verify", "--device", "opencl:99", "--json")]
    [InlineData("There is no op 'dropuot'", "verify", "--op", "dropuot", "--json")]
    [InlineData("'all' is not a device id", "bench", "--device", "all", "--op", "random", "--json")]
    [InlineData("There is no op 'dropuot'", "bench", "--op", "dropuot")]
    [InlineData("f31", "bench", "--op", "random", "--dtype", "f31", "--json")]
    [InlineData("There is no op 'dropuot'", "inspect", "--op", "dropuot")]
    [InlineData("There is no kernel 'relu'", "inspect", "--op", "relu", "--kernel", "relu", "--json")]
    [InlineData("in /nowhere", "inspect", "--op", "relu", "--tools", "/nowhere", "--json")]
    [InlineData("--devise", "verify", "--devise", "cpu", "--json")]
    [InlineData("--device", "verify", "--device")]
    [InlineData("verfy", "verfy")]
    [InlineData("tpu", "study", "--quick", "--device", "tpu", "--json")]
    [InlineData("sgd", "study", "--recipe", "sgd", "--json")]
    [InlineData("--seeds", "study", "--seeds", "0", "--json")]
    [InlineData("8 shards of a batch cannot be dealt evenly to 3 ranks", "study", "--ranks", "3", "--json")]
    [InlineData("--shards", "study", "--shards", "4", "--json")]
    public void WrongArgumentsAreOneLineOnStandardError(string named, params string[] arguments)
    {
        TestProcess command = KernelsCommand.Run(arguments);
        Assert.Equal((Failed, ""), (command.ExitCode, command.Output));
        Assert.Contains(named, Assert.Single(command.Error.TrimEnd('\n').Split('\n')), StringComparison.Ordinal);
    }

    /// <summary>A driver that is not there is a row with a reason; asking for it is an error of one line.</summary>
    [Theory]
    [InlineData("KERNELS_LIBOPENCL", "opencl:0")]
    [InlineData("KERNELS_LIBCUDA", "cuda:0")]
    public void MissingDriverIsSaid(string variable, string deviceId)
    {
        Dictionary<string, string?> environment = new() { [variable] = "/nowhere/libdriver.so" };
        TestProcess devices = KernelsCommand.Run(environment, "devices", "--json");
        Assert.Equal((Success, ""), (devices.ExitCode, devices.Error));
        JsonElement row = Assert.Single(devices.Rows(), row => row.GetProperty("id").GetString() == deviceId);
        Assert.False(row.GetProperty("available").GetBoolean());
        Assert.Contains("/nowhere/libdriver.so", row.GetProperty("reason").GetString(), StringComparison.Ordinal);

        TestProcess verify = KernelsCommand.Run(environment, "verify", "--device", deviceId, "--json");
        Assert.Equal((Failed, ""), (verify.ExitCode, verify.Output));
        Assert.Single(verify.Error.TrimEnd('\n').Split('\n'));
        Assert.Contains(variable, verify.Error, StringComparison.Ordinal);

        // The rest of the machine is still there, and what was left out is said.
        TestProcess all = KernelsCommand.Run(environment, "verify", "--device", "all", "--op", "random");
        Assert.Equal((Success, ""), (all.ExitCode, all.Error));
        Assert.Contains($"{deviceId} was skipped", all.Output, StringComparison.Ordinal);
    }

    /// <summary>A file that is no library at all, as after a broken installation.</summary>
    [Fact]
    public void DamagedDriverIsSaid()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "not a library");
            TestProcess devices = KernelsCommand.Run(new Dictionary<string, string?> { ["KERNELS_LIBOPENCL"] = file }, "devices", "--json");
            Assert.Equal((Success, ""), (devices.ExitCode, devices.Error));
            JsonElement row = Assert.Single(devices.Rows(), row => row.GetProperty("kind").GetString() == "opencl");
            Assert.Contains(file, row.GetProperty("reason").GetString(), StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>A file that is a library, of something else.</summary>
    [Fact]
    public void LibraryWithoutOpenClIsSaid()
    {
        string file = Directory.EnumerateFiles(RuntimeEnvironment.GetRuntimeDirectory(), "*clrjit.*").First();
        TestProcess devices = KernelsCommand.Run(new Dictionary<string, string?> { ["KERNELS_LIBOPENCL"] = file }, "devices", "--json");
        Assert.Equal((Success, ""), (devices.ExitCode, devices.Error));
        JsonElement row = Assert.Single(devices.Rows(), row => row.GetProperty("kind").GetString() == "opencl");
        Assert.Contains($"'{file}' is no OpenCL library", row.GetProperty("reason").GetString(), StringComparison.Ordinal);
    }

    /// <summary>A home in which nothing can be made: PoCL is installed all the same, and has no device.</summary>
    [Fact]
    public void UnwritableHomeIsSaid()
    {
        bool onlyPocl = Device.List().Where(device => device.Kind == DeviceKind.OpenCl)
            .All(device => device.Name.Contains("Portable Computing Language", StringComparison.Ordinal));
        Assert.SkipUnless(onlyPocl, "PoCL is not the one OpenCL platform");
        Assert.SkipUnless(Environment.GetEnvironmentVariable("POCL_CACHE_DIR") is null, "PoCL's cache is elsewhere");
        Dictionary<string, string?> environment = new() { ["HOME"] = "/dev/null", ["XDG_CACHE_HOME"] = "/dev/null" };
        TestProcess devices = KernelsCommand.Run(environment, "devices", "--json");
        Assert.Equal((Success, ""), (devices.ExitCode, devices.Error));
        JsonElement row = Assert.Single(devices.Rows(), row => row.GetProperty("kind").GetString() == "opencl");
        Assert.Contains("'Portable Computing Language' has no device", row.GetProperty("reason").GetString(), StringComparison.Ordinal);
        Assert.Contains("POCL_CACHE_DIR", row.GetProperty("reason").GetString(), StringComparison.Ordinal);
    }

    /// <summary>Two processes that compile the same programs into one empty cache: both pass, and what they leave is whole.</summary>
    [Fact]
    public async Task ProcessesShareACache()
    {
        DeviceDescription device = TestDevices.All.FirstOrDefault(device => device is { Available: true, Kind: not DeviceKind.Cpu })!;
        Assert.SkipWhen(device is null, "no device with a compiler");
        string folder = Path.Combine(Path.GetTempPath(), $"kernels-cache-{Guid.NewGuid():N}");
        try
        {
            Dictionary<string, string?> environment = new() { ["KERNELS_CACHE"] = folder };
            TestProcess[] both = await Task.WhenAll(
                Enumerable.Range(0, 2).Select(
                    _ => KernelsCommand.Start(environment, "verify", "--op", "random", "--device", device.Id, "--json")));
            Assert.All(both, command => Assert.Equal((Success, ""), (command.ExitCode, command.Error)));
            Assert.All(Directory.GetFiles(folder), file => Assert.Equal(64, Path.GetFileName(file).Length));
            Assert.NotEmpty(Directory.GetFiles(folder));
        }
        finally
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void HelpNamesEveryCommand()
    {
        TestProcess help = KernelsCommand.Run("--help");
        Assert.Equal((Success, ""), (help.ExitCode, help.Error));
        string[] commands = ["devices", "verify", "bench", "inspect", "study"];
        Assert.All(commands, name => Assert.Contains(name, help.Output, StringComparison.Ordinal));
        Assert.Contains("--op", KernelsCommand.Run("verify", "--help").Output, StringComparison.Ordinal);
    }

    private static void AssertFields(IReadOnlyList<JsonElement> rows, params string[] fields)
    {
        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.Superset(fields.ToHashSet(), row.EnumerateObject().Select(field => field.Name).ToHashSet()));
    }
}
