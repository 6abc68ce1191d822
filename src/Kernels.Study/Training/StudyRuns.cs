using System.Runtime.ExceptionServices;

namespace Kernels.Study;

/// <summary>Many runs on one device, in turn or several at a time, which leaves less of a GPU idle.</summary>
internal static class StudyRuns
{
    /// <summary>
    /// The results in the order of the runs. What is not finished when it is stopped is left out. No result depends on
    /// <paramref name="sideBySide"/>. Runs that have <paramref name="finished"/> are not trained again; a run is left out too whose made
    /// images could not be had.
    /// </summary>
    public static IReadOnlyList<RunResult> Train(
        Device device, StudyData data, StudySettings settings, IReadOnlyList<(Recipe Recipe, int Seed)> runs, int sideBySide,
        IStudyProgress progress, CancellationToken stop, FinishedRuns? finished = null, ImageSources? sources = null)
    {
        RunResult?[] results = new RunResult?[runs.Count];
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        InTurn calls = new(progress, finished);
        sources ??= new ImageSources(device, data, settings);
        int next = -1;
        ExceptionDispatchInfo? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, Math.Min(sideBySide, runs.Count)).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        failure?.Throw();
        return [.. results.OfType<RunResult>()];

        void Work()
        {
            try
            {
                using Trainer trainer = new(device, data, settings, sources);
                for (int i = Interlocked.Increment(ref next); i < runs.Count; i = Interlocked.Increment(ref next))
                {
                    (Recipe recipe, int seed) = runs[i];
                    results[i] = finished?.Find(recipe, seed) ?? Run(trainer, recipe, seed);
                }
            }
            catch (OperationCanceledException) when (end.IsCancellationRequested)
            {
                // What is finished is the result.
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(e), null);
                end.Cancel();
            }
        }

        RunResult? Run(Trainer trainer, Recipe recipe, int seed)
        {
            try
            {
                return trainer.Run(recipe, seed, calls, end.Token);
            }
            catch (NoImagesException e)
            {
                calls.OnNote($"{recipe.Name}, seed {seed}: {e.Message}; there is no such run");
                return null;
            }
        }
    }

    /// <summary>Passes on what threads report, one at a time.</summary>
    private sealed class InTurn(IStudyProgress progress, FinishedRuns? finished) : IStudyProgress
    {
        private readonly Lock _lock = new();

        public void OnEpoch(EpochReport report)
        {
            lock (_lock) progress.OnEpoch(report);
        }

        public void OnGan(GanReport report)
        {
            lock (_lock) progress.OnGan(report);
        }

        public void OnNote(string note)
        {
            lock (_lock) progress.OnNote(note);
        }

        public void OnRunEnd(RunResult result)
        {
            lock (_lock)
            {
                finished?.Add(result);
                progress.OnRunEnd(result);
            }
        }
    }
}
