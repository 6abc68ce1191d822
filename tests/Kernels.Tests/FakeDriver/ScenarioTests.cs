using System.Reflection;
using Kernels.Tests.Oclgrind;
using Kernels.Tests.PtxMachine;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Whether every scenario is run.</summary>
public sealed class ScenarioTests
{
    /// <summary>A scenario that no row names would never be run.</summary>
    [Fact]
    public void EveryScenarioHasARow()
    {
        IEnumerable<string> scenarios =
            from type in typeof(Scenario).Assembly.GetTypes()
            where type.IsSubclassOf(typeof(Scenario)) && !type.IsAbstract
            from method in type.GetMethods()
            where method.GetCustomAttribute<FactAttribute>() is { Explicit: true }
            select $"{type.Name}.{method.Name}";
        IEnumerable<string> rows = CudaFakeDriverTests.Scenarios.Concat(OpenClFakeDriverTests.Scenarios)
            .Select(row => $"{row.Data.Item1}.{row.Data.Item2}")
            .Append($"{nameof(CudaProgramCache)}.{nameof(CudaProgramCache.CompileEverything)}")
            .Append($"{nameof(PtxMachineScenarios)}.{nameof(PtxMachineScenarios.BiasIsAddedAfterCuBlas)}")
            .Concat(OclgrindTests.Scenarios.Select(row => $"{nameof(OclgrindScenarios)}.{row.Data}"))
            .Concat(PtxMachineTests.Scenarios.Select(row => $"{nameof(PtxMachineScenarios)}.{row.Data}"));
        Assert.Empty(scenarios.Except(rows));
    }
}
