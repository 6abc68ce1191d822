using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Kernels.Devices.Cpu;

/// <summary>
/// Threads that help with loops. The runtime's pool starts one after 0.2 ms when it has slept, longer than many an op takes; of these one
/// starts in less than half of that, and at once within <see cref="Patience"/> of its last loop.
/// </summary>
internal static class CpuTeam
{
    /// <summary>How long a thread waits for its next loop before it sleeps.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMicroseconds(100);

    /// <summary>A loop stands here once for each thread that may help.</summary>
    private static readonly ConcurrentQueue<Loop> Loops = new();

    /// <summary>As many as there are loops in the queue.</summary>
    private static readonly SemaphoreSlim Tickets = new(0);

    private static readonly Lazy<int> Helpers = new(() =>
    {
        for (int i = 1; i < Environment.ProcessorCount; i++)
            new Thread(Help) { IsBackground = true, Name = $"kernels cpu {i}" }.UnsafeStart();
        return Environment.ProcessorCount - 1;
    });

    /// <summary>
    /// Calls <paramref name="body"/> for pieces 0 to count - 1, on this thread and on those that come before none is left. An exception
    /// ends the loop and is thrown here.
    /// </summary>
    /// <param name="count">Pieces, at least 2.</param>
    /// <param name="workers">Threads that may take part, this one among them.</param>
    /// <param name="body">What to do; it must not depend on the thread.</param>
    public static void Run(long count, int workers, Action<long> body)
    {
        Loop loop = new(count, workers, body);
        int helpers = Math.Min(workers - 1, Helpers.Value);
        for (int i = 0; i < helpers; i++) Loops.Enqueue(loop);
        if (helpers > 0) Tickets.Release(helpers);
        loop.Work();
        loop.Finish();
    }

    private static void Help()
    {
        while (true)
        {
            for (long start = Stopwatch.GetTimestamp(); Tickets.CurrentCount == 0 && Stopwatch.GetElapsedTime(start) < Patience;)
                Thread.SpinWait(10);
            Tickets.Wait();
            if (Loops.TryDequeue(out Loop? loop)) loop.Help();
        }
    }

    private sealed class Loop(long count, int workers, Action<long> body)
    {
        /// <summary>A thread takes a quarter of its share of what is left at a time: the last pieces go out one by one.</summary>
        private const long Parts = 4;

        /// <summary>Whether the loop has ended; the other bits count those who help.</summary>
        private const int Ended = int.MinValue;

        private long _next;
        private int _state;
        private Exception? _failure;

        public void Work()
        {
            try
            {
                while (true)
                {
                    long first = Volatile.Read(ref _next);
                    if (first >= count) return;
                    long end = first + Math.Max(1, (count - first) / (Parts * workers));
                    if (Interlocked.CompareExchange(ref _next, end, first) != first) continue;
                    for (long i = first; i < end; i++) body(i);
                }
            }
            catch (Exception failure)
            {
                Interlocked.CompareExchange(ref _failure, failure, null);
                Volatile.Write(ref _next, count);
            }
        }

        /// <summary>Who comes late finds the loop ended, and nobody has waited.</summary>
        public void Help()
        {
            int state = Volatile.Read(ref _state);
            while (state >= 0)
            {
                int before = Interlocked.CompareExchange(ref _state, state + 1, state);
                if (before == state)
                {
                    Work();
                    Interlocked.Decrement(ref _state);
                    return;
                }

                state = before;
            }
        }

        /// <summary>Waits for those who still have a piece.</summary>
        public void Finish()
        {
            Interlocked.Or(ref _state, Ended);
            SpinWait wait = default;
            while (Volatile.Read(ref _state) != Ended) wait.SpinOnce(sleep1Threshold: -1);
            if (_failure != null) ExceptionDispatchInfo.Throw(_failure);
        }
    }
}
