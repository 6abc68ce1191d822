using System.Reflection;
using Kernels.Devices.OpenCl;
using Kernels.Tests.Oclgrind;
using Kernels.Tests.PtxMachine;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// The CUDA and OpenCL devices on drivers that fail on demand: each row is a scenario, run in a process that rows of the same settings
/// share. Without a C compiler there is no stand-in, and the rows are skipped.
/// </summary>
public sealed class FakeDriverTests
{
    private const string WithBlas = "KERNELS_NO_CUBLAS=0";
    private const string Synchronous = "KERNELS_SYNC=1";
    private const string Cached = "KERNELS_CACHE=";
    private const string Async = "FAKECUDA_ASYNC=1";

    /// <summary>Class, method and what is set for the process beyond the defaults.</summary>
    public static TheoryData<string, string, string> CudaScenarios => new()
    {
        { nameof(CudaCallSites), nameof(CudaCallSites.OfEveryOp), "" },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfSomeOps), WithBlas },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfSomeOps), Synchronous },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfSomeOps), Cached },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfStreamsAndMemory), "" },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfGraphs), WithBlas },
        { nameof(CudaGraphs), nameof(CudaGraphs.TrainingStepsAndTransfersReplay), WithBlas },
        { nameof(CudaGraphs), nameof(CudaGraphs.TrainingStepsAndTransfersReplay), Synchronous },
        { nameof(CudaLaunches), nameof(CudaLaunches.AThousandStepsWaitForNothing), WithBlas },
        { nameof(CudaGraphs), nameof(CudaGraphs.AReplayIsOneCall), "" },
        { nameof(CudaGraphs), nameof(CudaGraphs.CapturesOnManyThreadsAtOnce), WithBlas },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.DisposingWaitsForQueuedWork), "" },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.StagingWaitsOnlyWhenTheRingIsFull), "" },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.AwaitingEndsWithTheWork), "" },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.DefaultStreamsCanBeWrapped), WithBlas },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.StreamsOverOneQueueShare), "" },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.BorrowedStreamsMayGoBeforeTheMemory), "" },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.CapturesOfOtherLibrariesGoOn), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.EveryArgumentArrivesUnderItsName), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.SwappedArgumentsAreSeen), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.EveryProblemHasTheRightResult), WithBlas },
        { nameof(CudaLaunches), nameof(CudaLaunches.ImagesAreOfAnArchitectureThatTheGpuRuns), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.SmallUploadsAndFillsDoNotWait), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.DevicesAreListedAsTheyAre), "" },
        { nameof(CudaLaunches), nameof(CudaLaunches.TwoDevicesKeepApart), "" },
        { nameof(CudaProgramCache), nameof(CudaProgramCache.EntriesThatTheDriverRefusesAreReplaced), Cached },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.AMillionLaunchesLeaveNothing), "" },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.AHundredThousandLivesEnd), WithBlas },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.ForgottenObjectsAreCollected), WithBlas },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.ForgottenDevicesAreCollected), WithBlas },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.MemoryThatRunsOutComesBack), "" },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.ManyThreadsUnderCollection), "" },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.DisposingUnderUse), WithBlas },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.AllThreadsAreToldTheFirstCause), "" },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfStreamsAndMemory), Async },
        { nameof(CudaCallSites), nameof(CudaCallSites.OfGraphs), Async },
        { nameof(CudaGraphs), nameof(CudaGraphs.TrainingStepsAndTransfersReplay), Async },
        { nameof(CudaQueuesAndMemory), nameof(CudaQueuesAndMemory.DefaultStreamsCanBeWrapped), Async },
        { nameof(CudaLifetimes), nameof(CudaLifetimes.DisposingUnderUse), Async },
        { nameof(CudaAsync), nameof(CudaAsync.StreamsRunSideBySide), "" },
        { nameof(CudaAsync), nameof(CudaAsync.AMissingWaitIsSeen), "" },
        { nameof(CudaAsync), nameof(CudaAsync.PageLockedMemoryIsReadLater), "" },
        { nameof(CudaAsync), nameof(CudaAsync.ErrorsComeLater), "" },
        { nameof(CudaAsync), nameof(CudaAsync.WhatGoesUnderQueuedWorkIsReported), "" },
        { nameof(CudaAsync), nameof(CudaAsync.TheLegacyStreamTakesTurns), "" },
        { nameof(CudaAsync), nameof(CudaAsync.WhatIsDestroyedIsStillDone), "" },
        { nameof(NcclRanks), nameof(NcclRanks.CallsAreAsOverEveryTransport), "" },
        { nameof(NcclRanks), nameof(NcclRanks.StreamsTakeTurns), "" },
        { nameof(NcclRanks), nameof(NcclRanks.RanksThatAreMissingEndCalls), "" },
        { nameof(NcclRanks), nameof(NcclRanks.DifferentCallsAreSeen), "" },
        { nameof(NcclRanks), nameof(NcclRanks.FailuresEndCalls), "" },
        { nameof(NcclRanks), nameof(NcclRanks.ArgumentsAreChecked), "" },
    };

    /// <summary>As <see cref="CudaScenarios"/>, on a real OpenCL.</summary>
    public static TheoryData<string, string, string> OpenClScenarios => new()
    {
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfDropoutCompiled), "" },
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfDropoutAndLinearCached), Cached },
        { nameof(OpenClCallSites), nameof(OpenClCallSites.OfStreamsAndMemory), "" },
        { nameof(OpenClWaits), nameof(OpenClWaits.AThousandStepsWaitForNothing), "" },
        { nameof(OpenClListing), nameof(OpenClListing.WhatIsMissingIsNamed), "" },
        { nameof(OpenClMissing), nameof(OpenClMissing.EveryWayInSaysSo), $"KERNELS_LIBOPENCL={OpenClMissing.Library}" },
    };

    [Theory]
    [MemberData(nameof(CudaScenarios))]
    public async Task Cuda(string type, string method, string setting)
    {
        StandIns.SkipUnlessBuilt(StandIns.Cuda);
        await Run(CudaScenarios, type, method, setting);
    }

    [Theory]
    [MemberData(nameof(OpenClScenarios))]
    public async Task OpenCl(string type, string method, string setting)
    {
        StandIns.SkipUnlessBuilt(StandIns.OpenCl);
        DeviceDescription first = OpenClDevice.Describe()[0];
        Assert.SkipUnless(first.Available, $"{first.Id}: {first.Reason}");
        await Run(OpenClScenarios, type, method, setting, ("KERNELS_LIBOPENCL", StandIns.OpenCl));
    }

    /// <summary>Two processes compile everything at once into one cache; a third finds it complete.</summary>
    [Fact]
    public async Task TwoProcessesShareTheProgramCache()
    {
        StandIns.SkipUnlessBuilt(StandIns.Cuda);
        using TemporaryFolder cache = new(), gate = new();
        (string, string)[] shared = [("KERNELS_CACHE", cache.Path), (CudaProgramCache.GateVariable, gate.Path)];
        Task both = Task.WhenAll(Compile(shared), Compile(shared));
        bool bothReady = SpinWait.SpinUntil(() => Directory.EnumerateFiles(gate.Path).Count() == 2, TimeSpan.FromMinutes(1));
        File.WriteAllText(Path.Combine(gate.Path, "open"), "");
        await both;
        Assert.True(bothReady, "the processes did not come up");

        await Compile([("KERNELS_CACHE", cache.Path), (CudaProgramCache.CompilationsVariable, "0")]);

        static Task Compile((string, string)[] environment) =>
            ScenarioProcess.Run(typeof(CudaProgramCache), nameof(CudaProgramCache.CompileEverything), environment);
    }

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
        IEnumerable<string> rows = CudaScenarios.Concat(OpenClScenarios).Select(row => row.Data).Select(row => $"{row.Item1}.{row.Item2}")
            .Append($"{nameof(CudaProgramCache)}.{nameof(CudaProgramCache.CompileEverything)}")
            .Concat(OclgrindTests.Scenarios.Select(row => $"{nameof(OclgrindScenarios)}.{row.Data}"))
            .Concat(PtxMachineTests.Scenarios.Select(row => $"{nameof(PtxMachineScenarios)}.{row.Data}"));
        Assert.Empty(scenarios.Except(rows));
    }

    private static async Task Run(
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
