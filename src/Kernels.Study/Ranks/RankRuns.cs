using System.IO.Hashing;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Kernels.Study;

/// <summary>
/// Runs one after the other, each on all ranks: threads of this process, or processes that something like mpirun started.
/// </summary>
internal static class RankRuns
{
    /// <summary>
    /// On threads of this process. Ranks take the devices in turn. When one fails all end, and the first failure is thrown.
    /// </summary>
    public static IReadOnlyList<RunResult> TrainInProcess(
        int ranks, CollectiveOptions options, IReadOnlyList<Device> devices, StudyData data, StudySettings settings,
        RankSettings rankSettings, IReadOnlyList<(Recipe Recipe, int Seed)> runs, string conditions, IStudyProgress progress,
        Func<bool> wantsToStop, FinishedRuns? finished = null)
    {
        IReadOnlyList<RunResult> results = [];
        OnThreads(ranks, options, rank =>
        {
            Device device = devices[rank.Rank % devices.Count];
            IReadOnlyList<RunResult> own = Train(
                rank, device, data, settings, rankSettings, runs, conditions, progress, wantsToStop, finished);
            if (rank.Rank == 0) results = own;
        });
        return results;
    }

    /// <summary>The work of each rank on a thread of its own. When one fails all end, and the first failure is thrown.</summary>
    public static void OnThreads(int ranks, CollectiveOptions options, Action<ICollective> work)
    {
        ExceptionDispatchInfo? failure = null;
        ICollective[] group = Collectives.CreateInProcess(ranks, options);
        Thread[] threads = [.. group.Select(rank => new Thread(() => Work(rank)) { Name = $"rank {rank.Rank}" })];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        foreach (ICollective rank in group) rank.Dispose();
        failure?.Throw();

        void Work(ICollective rank)
        {
            try
            {
                work(rank);
            }
            catch (Exception e) when (EndAll(rank, e))
            {
                // Thrown when all have ended.
            }
        }

        // As a filter it runs before anything is disposed, which would wait for calls that other ranks will not answer.
        bool EndAll(ICollective rank, Exception e)
        {
            Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(e), null);
            rank.Abort(e.Message);
            return true;
        }
    }

    /// <summary>
    /// On one rank, which returns the results up to where a rank was stopped. The first rank alone reports progress and keeps finished
    /// runs.
    /// </summary>
    /// <exception cref="CollectiveException">Another rank has failed, is missing, or did something else.</exception>
    /// <exception cref="ArgumentException">Another rank was started to do something else.</exception>
    public static IReadOnlyList<RunResult> Train(
        ICollective rank, Device device, StudyData data, StudySettings settings, RankSettings rankSettings,
        IReadOnlyList<(Recipe Recipe, int Seed)> runs, string conditions, IStudyProgress progress, Func<bool> wantsToStop,
        FinishedRuns? finished = null)
    {
        using ICollective? gpus = rankSettings.Nccl is { } nccl ? Collectives.OpenNccl(device, rank, nccl) : null;
        using RankTrainer trainer = new(gpus ?? rank, device, data, settings, rankSettings);
        ulong images = XxHash3.HashToUInt64(MemoryMarshal.AsBytes<float>(data.Train.Images));
        trainer.Talk.CheckSame(
            $"{typeof(RankRuns).Assembly.ManifestModule.ModuleVersionId}, {device.Kind}, {rankSettings.Description}, {settings}, " +
            $"images {images:x}, {string.Join("; ", runs.Select(run => $"{run.Recipe.Name} {run.Recipe.Setting} {run.Seed}"))}");
        List<RunResult> results = [];
        bool isRoot = rank.Rank == 0;
        try
        {
            foreach ((Recipe recipe, int seed) in runs)
            {
                RunResult? done = isRoot ? finished?.Find(recipe, seed) : null;
                if (trainer.Talk.AnyWants(done is not null, "finished"))
                {
                    if (done is not null) results.Add(done);
                    continue;
                }

                results.Add(trainer.Run(recipe, seed, conditions, isRoot ? progress : new Silent(), wantsToStop));
                if (isRoot) finished?.Add(results[^1]);
            }
        }
        catch (OperationCanceledException)
        {
            // What is finished is the result.
        }
        catch (Exception e) when (EndGpus(e))
        {
            throw;
        }

        return results;

        // What GPUs wait for is not known to the group that brought them together.
        bool EndGpus(Exception e)
        {
            gpus?.Abort(e.Message);
            return false;
        }
    }

    private sealed class Silent : IStudyProgress
    {
        public void OnEpoch(EpochReport report)
        {
        }

        public void OnRunEnd(RunResult result)
        {
        }
    }
}
