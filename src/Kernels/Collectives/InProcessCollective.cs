namespace Kernels;

/// <summary>A rank of a group whose ranks are threads of this process. Each reads what it needs from the memory of the others.</summary>
internal sealed unsafe class InProcessCollective(InProcessGroup group, int rank, CollectiveOptions options)
    : HostCollective(rank, group.RankCount, options)
{
    public override string Transport => "in-process";

    private protected override void BarrierCore(in CollectiveCall call) => Meet(call, 0);

    private protected override void Exchange(in CollectiveCall call, nint source, nint destination)
    {
        Meet(call, source);
        ReadOnlySpan<InProcessGroup.Place> places = group.Places;
        long part = call.Bytes;
        RankGroups ranks = GroupsOf(call);
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce:
                (long first, long count) = ShareOf(call.Count);
                long start = first * call.DType.SizeInBytes();
                HostSum.Sum(call.DType, SourcesAt(start), group.Result + (nint)start, count);
                Wait(call);
                // The next call writes there when all ranks have come to it, and so are done here.
                Copy(group.Result, destination, part);
                return;
            case CollectiveKind.ReduceScatter:
                HostSum.Sum(call.DType, SourcesAt(Rank * part), destination, call.Count);
                break;
            case CollectiveKind.AllGather:
                for (int place = 0; place < ranks.Size; place++)
                    Copy(places[ranks.Member(Rank, place)].Source, destination + (nint)(place * part), part);
                break;
            case CollectiveKind.AllToAll:
                nint own = (nint)(ranks.PlaceOf(Rank) * part);
                for (int place = 0; place < ranks.Size; place++)
                    Copy(places[ranks.Member(Rank, place)].Source + own, destination + (nint)(place * part), part);
                break;
            case CollectiveKind.Broadcast:
                if (Rank != call.Root) Copy(places[call.Root].Source, destination, part);
                break;
        }

        Wait(call);
    }

    private protected override void AbortCore(string reason) =>
        group.Finish(new InProcessGroup.End($"rank {Rank} ended the group: {reason}", [Rank]));

    private protected override void DisposeCore()
    {
        group.Leave(Rank);
        base.DisposeCore();
    }

    /// <summary>Waits until all ranks have come with their calls, which must be the same.</summary>
    private void Meet(in CollectiveCall call, nint source)
    {
        group.Places[Rank] = new InProcessGroup.Place(call, source);
        Wait(call, comparesCalls: true);
    }

    private void Wait(in CollectiveCall call, bool comparesCalls = false)
    {
        long resultBytes = call.Kind == CollectiveKind.AllReduce ? call.Bytes : 0;
        InProcessGroup.End? end = group.Wait(Rank, comparesCalls, resultBytes, Options.TimeLimit);
        if (end is null) return;
        throw Fail(end.Calls is { } calls ? Differs(call, calls) : Failed(call, end.What, end.Culprits));
    }

    /// <summary>The elements that this rank adds up for all.</summary>
    private (long First, long Count) ShareOf(long count)
    {
        // A multiple of a vector, so that no two ranks write to one cache line.
        long share = ((count / RankCount) + 63) / 64 * 64;
        long first = Math.Min(Rank * share, count);
        return (first, Rank == RankCount - 1 ? count - first : Math.Min(share, count - first));
    }

    private nint[] SourcesAt(long offset)
    {
        nint[] sources = new nint[RankCount];
        for (int rank = 0; rank < sources.Length; rank++) sources[rank] = group.Places[rank].Source + (nint)offset;
        return sources;
    }

    private static void Copy(nint source, nint destination, long bytes)
    {
        if (source != destination) Buffer.MemoryCopy((void*)source, (void*)destination, bytes, bytes);
    }
}
