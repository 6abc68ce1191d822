using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>The CUDA device on <c>native/fakecuda</c>.</summary>
public sealed class CudaFakeDriverTests : FakeDriverTests
{
    /// <summary>Class, method and what is set for the process beyond the defaults.</summary>
    public static TheoryData<string, string, string> Scenarios => new()
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

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task Passes(string type, string method, string setting)
    {
        StandIns.SkipUnlessBuilt(StandIns.Cuda);
        await Run(Scenarios, type, method, setting);
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
}
