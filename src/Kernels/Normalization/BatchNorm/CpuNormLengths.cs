namespace Kernels;

/// <summary>Which places of samples count; the managed side of <c>norm_lengths</c>.</summary>
internal readonly unsafe struct CpuNormLengths(in NormLengthsArguments arguments)
{
    private readonly int* _lengths = arguments.Lengths.Pointer<int>();
    private readonly long _places = (long)arguments.Places;

    /// <summary>
    /// How many of the <paramref name="inner"/> neighbours of a channel count in a row, from the first on: a row is a sample, or a place of
    /// one where channels come last.
    /// </summary>
    public long Counted(long row, long inner)
    {
        if (_lengths == null) return inner;
        return inner > 1 ? Math.Clamp(_lengths[row], 0, inner) : Math.Min(1, CountedRows(row));
    }

    /// <summary>The rows from <paramref name="begin"/> to <paramref name="end"/> - 1 as runs that count and runs that do not.</summary>
    public Runs RowRuns(long begin, long end) => new(this, begin, end);

    /// <summary>How many rows count from <paramref name="row"/> on, as far as its sample goes.</summary>
    private long CountedRows(long row)
    {
        (long sample, long place) = Math.DivRem(row, _places);
        return Math.Max(0, Math.Clamp(_lengths[sample], 0, _places) - place);
    }

    /// <summary>Enumerates runs of rows.</summary>
    public struct Runs(CpuNormLengths lengths, long begin, long end)
    {
        private long _next = begin;

        public (long First, long End, bool Counts) Current { get; private set; }

        public readonly Runs GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_next >= end) return false;
            long first = _next;
            if (lengths._lengths == null)
            {
                _next = end;
                Current = (first, end, true);
                return true;
            }

            long counted = lengths.CountedRows(first);
            _next = Math.Min(end, counted > 0 ? first + counted : ((first / lengths._places) + 1) * lengths._places);
            Current = (first, _next, counted > 0);
            return true;
        }
    }
}
