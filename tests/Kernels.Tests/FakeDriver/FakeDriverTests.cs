using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// The CUDA and OpenCL devices on drivers that fail on demand: each row is a scenario, run in a process that rows of the same settings
/// share. Without a C compiler there is no stand-in, and the rows are skipped.
/// </summary>
public abstract class FakeDriverTests
{
    protected const string WithBlas = "KERNELS_NO_CUBLAS=0";
    protected const string Synchronous = "KERNELS_SYNC=1";
    protected const string Cached = "KERNELS_CACHE=";
    protected const string Async = "FAKECUDA_ASYNC=1";

    private protected static async Task Run(
        TheoryData<string, string, string> rows, string type, string method, string setting,
        params (string Name, string Value)[] environment)
    {
        if (setting == Cached)
        {
            using TemporaryFolder cache = new();
            await ScenarioProcess.Run(TypeOf(type), method, [.. environment, (setting.TrimEnd('='), cache.Path)]);
            return;
        }

        (string, string)[] chosen = setting.Length == 0 ? [] : [(setting.Split('=')[0], setting.Split('=')[1])];
        await ScenarioProcess.RunShared(
            TypeOf(type), method,
            rows.Select(row => row.Data).Where(row => row.Item3 == setting).Select(row => (TypeOf(row.Item1), row.Item2)),
            [.. environment, .. chosen]);
    }

    private static Type TypeOf(string name) =>
        typeof(Scenario).Assembly.GetType($"{typeof(Scenario).Namespace}.{name}", throwOnError: true)!;
}
