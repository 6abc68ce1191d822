using Kernels.Tests.Cpu;
using Kernels.Tests.DeviceCode;
using Kernels.Tests.FakeDriver;
using Kernels.Tests.Oclgrind;
using Kernels.Tests.PtxMachine;
using Kernels.Tests.SeededFaults;
using Kernels.Tests.Support;
using Kernels.Tests.Theories;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(LongestFirst))]

namespace Kernels.Tests.Support;

/// <summary>
/// Classes run side by side, so the longest come first: what comes last is then too short for the other cores to wait for.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    /// <summary>
    /// Those that wait for the same compiler, which does one thing at a time, stand apart. The tests of the machine for PTX come last:
    /// their process finds on disk what the theories had compiled for it.
    /// </summary>
    private static readonly string[] Longest =
    [
        .. new[]
        {
            typeof(CudaCompilationTestsOfEvenPrograms), typeof(CudaFakeDriverTests), typeof(SpecialValueTheoryOfEvenRows),
            typeof(OclgrindTests), typeof(CudaCompilationTestsOfOddPrograms), typeof(SeededFaultTests),
            typeof(SpecialValueTheoryOfOddRows), typeof(ReferenceTheoryOfEvenRows), typeof(ReferenceTheoryOfOddRows),
            typeof(CudaCompilationTestsOfArchitectures), typeof(RepeatTheory), typeof(OpenClFakeDriverTests),
            typeof(CpuVectorWidthTests), typeof(NegativeControls), typeof(GradientTheory), typeof(PtxMachineTests),
        }.Select(type => type.FullName!),
    ];

    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection => [.. testCollections.OrderBy(Rank)];

    private static int Rank<TTestCollection>(TTestCollection collection)
        where TTestCollection : ITestCollection
    {
        int rank = Array.FindIndex(Longest, name => collection.TestCollectionDisplayName.Contains(name, StringComparison.Ordinal));
        return rank < 0 ? Longest.Length : rank;
    }
}
