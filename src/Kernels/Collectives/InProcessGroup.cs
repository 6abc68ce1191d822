using System.Runtime.InteropServices;

namespace Kernels;

/// <summary>The meeting place of ranks in one process.</summary>
internal sealed unsafe class InProcessGroup(int rankCount)
{
    private readonly object _lock = new();
    private readonly long[] _meetings = new long[rankCount];
    private readonly bool[] _left = new bool[rankCount];
    private End? _end;
    private long _meeting;
    private int _waiting;
    private int _leftCount;
    private nint _result;
    private long _resultBytes;

    public int RankCount => rankCount;

    /// <summary>A rank writes its own before it waits, and reads those of others between two meetings.</summary>
    public Place[] Places { get; } = new Place[rankCount];

    /// <summary>Memory for what ranks add up together.</summary>
    public nint Result => _result;

    /// <summary>Returns null when all ranks have called it as often as this one has, else why they will not.</summary>
    /// <param name="rank">The caller.</param>
    /// <param name="comparesCalls">Whether the group ends if the calls in <see cref="Places"/> are not all the same.</param>
    /// <param name="resultBytes">What <see cref="Result"/> must hold after the meeting.</param>
    /// <param name="limit">How long to wait.</param>
    public End? Wait(int rank, bool comparesCalls, long resultBytes, TimeSpan limit)
    {
        long deadline = Environment.TickCount64 + (long)Math.Ceiling(limit.TotalMilliseconds);
        lock (_lock)
        {
            if (_end is not null) return _end;
            long meeting = ++_meetings[rank];
            if (++_waiting == rankCount)
            {
                // The others wait, so that their places stay as they are.
                if (comparesCalls && Array.Exists(Places, place => !place.Call.Equals(Places[0].Call)))
                {
                    Finish(new End("different calls", [], [.. Places.Select(place => place.Call)]));
                    return _end;
                }

                Reserve(resultBytes);
                _waiting = 0;
                _meeting = meeting;
                Monitor.PulseAll(_lock);
                return null;
            }

            FinishIfLeft(meeting);
            while (_meeting < meeting && _end is null)
            {
                long rest = deadline - Environment.TickCount64;
                if (rest > 0)
                {
                    Monitor.Wait(_lock, (int)Math.Min(rest, int.MaxValue));
                    continue;
                }

                int[] missing = [.. Enumerable.Range(0, rankCount).Where(other => _meetings[other] < meeting)];
                Finish(new End($"{Ranks.Names(missing)} did not come within {limit.TotalSeconds:0.###} s.", missing));
            }

            return _meeting >= meeting ? null : _end;
        }
    }

    /// <summary>All who wait and all who come later are told; the first end counts.</summary>
    public void Finish(End end)
    {
        lock (_lock)
        {
            _end ??= end;
            Monitor.PulseAll(_lock);
        }
    }

    public void Leave(int rank)
    {
        lock (_lock)
        {
            _left[rank] = true;
            if (_waiting > 0) FinishIfLeft(_meeting + 1);
            if (++_leftCount < rankCount) return;
            NativeMemory.AlignedFree((void*)_result);
            _result = 0;
        }
    }

    /// <summary>Nobody waits for a rank that will not come.</summary>
    private void FinishIfLeft(long meeting)
    {
        int[] gone = [.. Enumerable.Range(0, rankCount).Where(rank => _left[rank] && _meetings[rank] < meeting)];
        if (gone.Length > 0) Finish(new End($"{Ranks.Names(gone)} left the group (disposed).", gone));
    }

    private void Reserve(long bytes)
    {
        if (bytes <= _resultBytes) return;
        NativeMemory.AlignedFree((void*)_result);
        (_result, _resultBytes) = (0, 0);
        _result = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _resultBytes = bytes;
    }

    /// <summary>What a rank brings to a meeting.</summary>
    public readonly record struct Place(CollectiveCall Call, nint Source);

    /// <summary>Why the group ended.</summary>
    /// <param name="What">In words.</param>
    /// <param name="Culprits">The ranks at fault.</param>
    /// <param name="Calls">The ranks' calls, where they differ.</param>
    public sealed record End(string What, IReadOnlyList<int> Culprits, CollectiveCall[]? Calls = null);
}
