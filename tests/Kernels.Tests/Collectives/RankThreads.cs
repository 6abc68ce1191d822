using System.Diagnostics;
using Xunit;

namespace Kernels.Tests.Collectives;

/// <summary>Ranks as threads of this process.</summary>
internal static class RankThreads
{
    /// <summary>Runs each rank's part on a thread of its own, and returns what each threw, or null.</summary>
    public static Exception?[] Run(ICollective[] ranks, Action<ICollective> part)
    {
        Exception?[] thrown = new Exception?[ranks.Length];
        // Together: a thread that starts late on a busy machine is no rank that does not come.
        using Barrier start = new(ranks.Length);
        Thread[] threads = [.. ranks.Select((rank, number) => new Thread(() =>
        {
            start.SignalAndWait();
            thrown[number] = Record.Exception(() => part(rank));
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads)
            Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "a rank hangs");
        return thrown;
    }

    /// <summary>As <see cref="Run"/>; fails where a rank threw, with the first that did.</summary>
    public static void RunAll(ICollective[] ranks, Action<ICollective> part)
    {
        Exception? first = Run(ranks, part).FirstOrDefault(thrown => thrown is not null);
        if (first is not null) Assert.Fail(first.ToString());
    }

    /// <summary>All ranks but those at fault throw errors that name them, within the time.</summary>
    public static void AssertBlamed(Exception?[] thrown, int[] culprits, string text)
    {
        for (int rank = 0; rank < thrown.Length; rank++)
        {
            if (culprits.Contains(rank) && thrown[rank] is null) continue;
            CollectiveException error = Assert.IsType<CollectiveException>(thrown[rank]);
            Assert.Equal(culprits, error.Culprits);
            Assert.Contains(text, error.Message);
        }
    }

    /// <summary>Seconds that it took.</summary>
    public static double Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
