using Kernels.Devices.Cuda;
using Kernels.Tests.FakeDriver;
using Xunit;

namespace Kernels.Tests.PtxMachine;

/// <summary>The machine for PTX itself, in a process of its own: what it calculates, and what it reports.</summary>
public sealed class PtxMachineTests
{
    public static TheoryData<string> Scenarios =>
    [
        nameof(PtxMachineScenarios.InstructionsCalculateAsDocumented),
        nameof(PtxMachineScenarios.FaultsAreReported),
        nameof(PtxMachineScenarios.RequestsAreCounted),
        nameof(PtxMachineScenarios.RemovedBarriersAreReported),
        nameof(PtxMachineScenarios.AnyNumberOfGroupsGivesTheSameResults),
    ];

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task Passes(string scenario)
    {
        SkipWithoutTheMachine();
        await ScenarioProcess.RunShared(
            typeof(PtxMachineScenarios), scenario, Scenarios.Select(row => (typeof(PtxMachineScenarios), row.Data)),
            ("KERNELS_LIBNVRTC", ""), ("KERNELS_CACHE", ""), ("KERNELS_NO_CUBLAS", "1"));
    }

    [Fact]
    public async Task BiasIsAddedAfterCuBlas()
    {
        SkipWithoutTheMachine();
        await ScenarioProcess.Run(
            typeof(PtxMachineScenarios), nameof(PtxMachineScenarios.BiasIsAddedAfterCuBlas),
            ("KERNELS_LIBNVRTC", ""), ("KERNELS_CACHE", ""), ("KERNELS_NO_CUBLAS", "0"));
    }

    private static void SkipWithoutTheMachine()
    {
        StandIns.SkipUnlessBuilt(StandIns.Cuda);
        Assert.SkipUnless(NvrtcProgram.TryVersion(out _, out string? reason), $"NVRTC: {reason}");
    }
}
