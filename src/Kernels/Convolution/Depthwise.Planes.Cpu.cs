using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Depthwise convolutions of [batch, channels, ...] by any taps: a few rows of a padded plane at once, so that a tap is loaded once for
/// them. What neighbouring taps see of a row are two vectors, loaded once, and a permutation of them for each tap: a load for each would
/// touch two lines of the cache.
/// </content>
public static unsafe partial class Conv2d
{
    private readonly partial struct CpuDepthwiseGather
    {
        private sealed partial class Depthwise<T, TSum>
        {
            /// <summary>Rows that are made at once where each tap loads its part of each anew.</summary>
            private const int RowsOfTaps = 4;

            /// <summary>
            /// Taps in lines, where two vectors are permuted by one instruction and lines have some taps; with as many rows at once as
            /// additions are in flight, that number which leaves fewer rows over. Else none.
            /// </summary>
            private PlaneLines[]? Lines(out int rowsAtOnce)
            {
                PlaneLines[] lines = [.. _phases.Select(phase => new PlaneLines(_padded, phase))];
                int rows = _phases.Max(phase => phase.Vertical.Results);
                bool permutes = Avx512F.IsSupported && typeof(TSum) == typeof(float)
                    && _phases.Sum(phase => phase.Taps) > 2 * lines.Sum(line => line.Offsets.Length);
                rowsAtOnce = !permutes ? RowsOfTaps : Tiles(rows, 7) * 7 < Tiles(rows, 8) * 8 ? 7 : 8;
                return permutes ? lines : null;
            }

            private void Plane(long batch, long channel)
            {
                PaddedPlane<T, TSum> padded = _padded;
                int sources = Sources, lanes = Vector512<TSum>.Count;

                // Rows beyond the last are made of what lies behind the plane, and left there.
                long beyond = _lines != null ? (_rowsAtOnce * padded.ResultRow) + lanes : 0;
                long whole = _phases.Length > 1 ? _results : 0, planes = (padded.Length * sources) + beyond;
                long sumsLength = ((long)_mostColumns * _rowsAtOnce) + lanes, filterLength = ((long)sources * _mostTaps) + lanes;
                long offsetLength = (_mostTaps * sizeof(long) / sizeof(TSum)) + lanes;
                TSum* memory = CpuScratch.Take<TSum>(planes + sumsLength + (2 * filterLength) + offsetLength + whole);
                TSum* sums = memory + planes, filter = sums + sumsLength, weights = filter + filterLength;
                TSum* together = weights + filterLength;
                long* offsets = (long*)(((nint)(together + whole) + 7) & ~7);
                T* image = _image + (batch * _from.Batch) + ((_backward ? channel * sources : channel / _shape.YChannels) * _from.Channel);
                T* to = _result + (batch * _to.Batch) + (channel * _to.Channel);
                for (int source = 0; source < sources; source++)
                    padded.Fill(image + (source * _from.Channel), memory + (source * padded.Length));
                Next next = new(image, sources * _from.Channel, _rows);
                for (int i = 0; i < _phases.Length; i++)
                {
                    Phase phase = _phases[i];
                    int width = phase.Horizontal.Results;
                    PlaneLines? lines = _lines?[i];
                    Weights(phase, _backward ? channel * sources : channel, sources, filter);
                    lines?.Order(filter, weights, sources);
                    for (int tap = 0; lines == null && tap < phase.Taps; tap++)
                        offsets[tap] = padded.OffsetOf(phase.Vertical, phase.Horizontal, tap);
                    for (int row = 0; row < phase.Vertical.Results; row += _rowsAtOnce)
                    {
                        int rows = Math.Min(_rowsAtOnce, phase.Vertical.Results - row);
                        next.Prefetch(rows);
                        TSum* from = memory + (row * padded.ResultRow);
                        if (lines == null)
                            Multiply(padded, from, offsets, filter, phase, rows, sums);
                        else if (_rowsAtOnce == 8)
                            Multiply<Eight>(padded, (float*)from, lines, (float*)weights, width, (float*)sums);
                        else
                            Multiply<Seven>(padded, (float*)from, lines, (float*)weights, width, (float*)sums);
                        if (whole == 0)
                            Store(sums, to + ((long)row * _mostColumns), rows * _mostColumns, channel);
                        else
                            Scatter(phase, row, rows, sums, together);
                    }
                }

                for (long at = 0; at < whole; at += CpuParallel.ElementsPerChunk)
                    Store(together + at, to + at, (int)Math.Min(CpuParallel.ElementsPerChunk, whole - at), channel);
            }

            /// <summary>Rows of a phase, one behind the other, line by line: what it sees of each is loaded once.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Multiply<TRows>(
                in PaddedPlane<T, TSum> padded, float* from, PlaneLines lines, float* weights, int width, float* sums)
                where TRows : ICount
            {
                // Addresses by threes need no more registers than there are.
                long one = padded.ResultRow, two = 2 * one, three = 3 * one, length = padded.Length;
                int sources = Sources, lanes = CpuElement.Width, count = lines.Offsets.Length, taps = lines.Shifts.Length;
                fixed (long* offsets = lines.Offsets)
                fixed (int* ends = lines.Ends, shifts = lines.Shifts)
                {
                    // From right to left, as the last vector of a row reaches into the next one's first.
                    for (int x = (width - 1) / lanes * lanes; x >= 0; x -= lanes)
                    {
                        Vector512<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                        Vector512<float> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
                        for (int source = 0; source < sources; source++)
                        {
                            float* plane = from + (source * length) + x, weight = weights + (source * taps);
                            int tap = 0;
                            for (int line = 0; line < count; line++)
                            {
                                float* at = plane + offsets[line];
                                SeenOfRow row0 = new(at), row1 = new(at + one), row2 = new(at + two), row7 = default;
                                at += three;
                                SeenOfRow row3 = new(at), row4 = new(at + one), row5 = new(at + two);
                                at += three;
                                SeenOfRow row6 = new(at);
                                if (TRows.Value > 7) row7 = new(at + one);
                                for (int end = ends[line]; tap < end; tap++)
                                {
                                    Vector512<int> places = Vector512<int>.Indices + Vector512.Create(shifts[tap]);
                                    Vector512<float> factor = Vector512.Create(weight[tap]);
                                    sum0 = MultiplyAdd(factor, row0.At(places), sum0);
                                    sum1 = MultiplyAdd(factor, row1.At(places), sum1);
                                    sum2 = MultiplyAdd(factor, row2.At(places), sum2);
                                    sum3 = MultiplyAdd(factor, row3.At(places), sum3);
                                    sum4 = MultiplyAdd(factor, row4.At(places), sum4);
                                    sum5 = MultiplyAdd(factor, row5.At(places), sum5);
                                    sum6 = MultiplyAdd(factor, row6.At(places), sum6);
                                    if (TRows.Value > 7) sum7 = MultiplyAdd(factor, row7.At(places), sum7);
                                }
                            }
                        }

                        float* to = sums + x;
                        sum0.Store(to);
                        sum1.Store(to + width);
                        sum2.Store(to + (2 * width));
                        sum3.Store(to + (3 * width));
                        sum4.Store(to + (4 * width));
                        sum5.Store(to + (5 * width));
                        sum6.Store(to + (6 * width));
                        if (TRows.Value > 7) sum7.Store(to + (7 * width));
                    }
                }
            }

            /// <summary>The same tap by tap, four rows at most.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Multiply(
                in PaddedPlane<T, TSum> padded, TSum* from, long* offsets, TSum* weights, in Phase phase, int rows, TSum* sums)
            {
                // Rows beyond the last are made of the last one again.
                long second = rows > 1 ? padded.ResultRow : 0, third = rows > 2 ? 2 * padded.ResultRow : second;
                long fourth = rows > 3 ? 3 * padded.ResultRow : third, length = padded.Length;
                int sources = Sources, taps = phase.Taps, width = phase.Horizontal.Results, lanes = Vector512<TSum>.Count;

                // From right to left, as the last vector of a row reaches into the next one's first.
                for (int x = (width - 1) / lanes * lanes; x >= 0; x -= lanes)
                {
                    Vector512<TSum> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                    for (int source = 0; source < sources; source++)
                    {
                        TSum* plane = from + (source * length) + x, weight = weights + (source * taps);
                        for (int tap = 0; tap < taps; tap++)
                        {
                            Vector512<TSum> factor = Vector512.Create(weight[tap]);
                            TSum* at = plane + offsets[tap];
                            sum0 = MultiplyAdd(factor, Vector512.Load(at), sum0);
                            sum1 = MultiplyAdd(factor, Vector512.Load(at + second), sum1);
                            sum2 = MultiplyAdd(factor, Vector512.Load(at + third), sum2);
                            sum3 = MultiplyAdd(factor, Vector512.Load(at + fourth), sum3);
                        }
                    }

                    sum0.Store(sums + x);
                    sum1.Store(sums + width + x);
                    sum2.Store(sums + (2 * width) + x);
                    sum3.Store(sums + (3 * width) + x);
                }
            }

            /// <summary>Two vectors of a row, which have all that the taps of a line see.</summary>
            private readonly struct SeenOfRow
            {
                private readonly Vector512<float> _low, _high;

                [MethodImpl(MethodImplOptions.AggressiveInlining)]
                public SeenOfRow(float* at) => (_low, _high) = (Vector512.Load(at), Vector512.Load(at + CpuElement.Width));

                [MethodImpl(MethodImplOptions.AggressiveInlining)]
                public Vector512<float> At(Vector512<int> places) => Avx512F.PermuteVar16x32x2(_low, places, _high);
            }

            /// <summary>The taps of a phase in lines: those of a row whose columns are so close that two vectors have them.</summary>
            private sealed class PlaneLines
            {
                private readonly int[] _order;

                public PlaneLines(in PaddedPlane<T, TSum> padded, in Phase phase)
                {
                    List<long> offsets = [];
                    List<int> ends = [], shifts = [], order = [];
                    int taps = phase.Horizontal.Taps;
                    long[] seen = new long[phase.Taps];
                    for (int tap = 0; tap < seen.Length; tap++) seen[tap] = padded.OffsetOf(phase.Vertical, phase.Horizontal, tap);
                    for (int firstOfRow = 0; firstOfRow < seen.Length; firstOfRow += taps)
                    {
                        int[] row = [.. Enumerable.Range(firstOfRow, taps).OrderBy(tap => seen[tap])];
                        for (int first = 0, end = 0; first < taps; first = end)
                        {
                            long lowest = seen[row[first]];
                            while (end < taps && seen[row[end]] - lowest <= CpuElement.Width) end++;

                            // As the filter has them.
                            int[] line = [.. row[first..end].Order()];
                            offsets.Add(lowest);
                            shifts.AddRange(line.Select(tap => (int)(seen[tap] - lowest)));
                            order.AddRange(line);
                            ends.Add(order.Count);
                        }
                    }

                    (Offsets, Ends, Shifts, _order) = ([.. offsets], [.. ends], [.. shifts], [.. order]);
                }

                /// <summary>Where each line begins.</summary>
                public long[] Offsets { get; }

                /// <summary>The tap after its last.</summary>
                public int[] Ends { get; }

                /// <summary>How far from there each tap is.</summary>
                public int[] Shifts { get; }

                /// <summary>Brings what the taps multiply by into their order, for each source.</summary>
                public void Order(TSum* filter, TSum* weights, int sources)
                {
                    for (int source = 0; source < sources; source++, filter += _order.Length)
                        foreach (int tap in _order) *weights++ = filter[tap];
                }
            }
        }
    }
}
