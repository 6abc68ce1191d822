using Kernels.Tests.FakeDriver;
using Xunit;

namespace Kernels.Tests.Oclgrind;

/// <summary>
/// Kernels on <see href="https://github.com/jrprice/Oclgrind">Oclgrind</see>, in a process of its own. Not asked for is what it says of
/// uninitialised values: version 21.10 forgets what it knew of a buffer when the host writes part of it, and sees neither fills nor copies.
/// </summary>
public sealed class OclgrindTests
{
    public static TheoryData<string> Scenarios =>
        [nameof(OclgrindScenarios.EveryOpIsClean), nameof(OclgrindScenarios.RemovedBarriersAreReported)];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task Passes(string scenario)
    {
        Assert.SkipUnless(
            File.Exists(OclgrindScenarios.Library), $"Oclgrind is not installed: {OclgrindScenarios.Library} (Debian's package oclgrind)");
        using TemporaryFolder folder = new();
        await ScenarioProcess.Run(
            typeof(OclgrindScenarios),
            scenario,
            ("KERNELS_LIBOPENCL", OclgrindScenarios.Library),
            (OclgrindScenarios.LogVariable, Path.Combine(folder.Path, "log")),
            // Its optimiser takes longer than what it saves on problems of this size; and it moves accesses.
            ("OCLGRIND_BUILD_OPTIONS", "-cl-opt-disable -DINLINED="),
            ("OCLGRIND_DATA_RACES", "1"),
            ("OCLGRIND_CHECK_API", "1"),
            ("OCLGRIND_MAX_ERRORS", "1000000"),
            ("OCLGRIND_NUM_THREADS", "1"));
    }
}
