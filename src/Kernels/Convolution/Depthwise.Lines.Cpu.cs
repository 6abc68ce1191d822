using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Depthwise convolutions of [batch, ..., channels] by any taps: a row of the image is gone along once for all taps that meet it. Of a pair
/// of vectors of channels the sums of as many neighbouring results as there are taps are registers, as the taps are: each column is loaded
/// once, added to all of them, and one of them is done.
/// </content>
public static unsafe partial class Conv2d
{
    private readonly partial struct CpuDepthwiseGather
    {
        /// <summary>
        /// Taps of a row that meet the same columns, those of neighbouring results one after the other: tap t of result i meets column
        /// First + (i + t) * Step. Or there are two such columns for each result, Second further on the other: taps meet them in turn.
        /// </summary>
        /// <param name="Tap">The first tap.</param>
        /// <param name="TapStep">From one to the next.</param>
        /// <param name="Taps">How many, at most <see cref="MostTapsOfLine"/>.</param>
        /// <param name="First">The column that tap 0 of result 0 meets.</param>
        /// <param name="Step">Columns between neighbours.</param>
        /// <param name="Second">Columns to the other of two, or 0.</param>
        private readonly record struct Line(int Tap, int TapStep, int Taps, int First, long Step, int Second)
        {
            /// <summary>Columns for each result.</summary>
            public int Columns => Second != 0 ? 2 : 1;

            /// <summary>Of the columns, each so much further on, those in an image so wide.</summary>
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public (int First, int End) Inside(int further, int width)
            {
                long at = (long)First + further;
                return (at >= 0 ? 0 : (int)((Step - 1 - at) / Step), at >= width ? 0 : (int)((width - 1 - at) / Step) + 1);
            }
        }

        /// <summary>Results of a row that meet the same columns, and the lines they are made of.</summary>
        private readonly record struct LinesOfResults(int First, int Step, int Count, Line[] Lines);

        private const int MostTapsOfLine = 7;

        /// <summary>
        /// Results see the same columns only where the distance of taps is one of theirs: with a dilation results so many apart, and with a
        /// stride taps so many apart. Those of a stride of two are taken together nevertheless, as two columns for each result.
        /// </summary>
        private static LinesOfResults[] LinesOf(in GatherAxis axis)
        {
            int tapStep = Math.Max(axis.TapStep, 1), together = 1;
            while ((long)together * tapStep % axis.Step != 0) together++;
            long step = (long)together * tapStep;
            int apart = (int)(step / axis.Step), columns = together == 2 ? 2 : 1, kinds = together / columns;
            List<LinesOfResults> all = [];
            for (int result = 0; result < Math.Min(apart, axis.Results); result++)
            {
                List<Line> lines = [];
                for (int kind = 0; kind < Math.Min(kinds, axis.Taps); kind++)
                {
                    for (int tap = kind; tap < axis.Taps; tap += MostTapsOfLine * kinds)
                    {
                        int first = axis.First + (tap * axis.TapStep) + (result * axis.Step);
                        int taps = Math.Min(MostTapsOfLine, (int)Tiles(axis.Taps - tap, kinds));
                        lines.Add(new(tap, kinds, taps, first, step, taps > 1 && columns > 1 ? tapStep : 0));
                    }
                }

                all.Add(new(result, apart, (int)Tiles(axis.Results - result, apart), [.. lines]));
            }

            return [.. all];
        }

        private sealed partial class Depthwise<T, TSum>
        {
            /// <summary>Row by row of the result with all its phases, whose pixels lie between each other.</summary>
            private void RowsOfLines()
            {
                Phase[] phases = [.. _phases.Select(phase => phase.Ascending())];
                LinesOfResults[][] results = [.. phases.Select(phase => LinesOf(phase.Horizontal))];
                int channels = (int)Channels, stepY = phases[0].Vertical.ResultStep;
                long rows = _backward ? _shape.XHeight : _shape.YHeight, phasesOfRow = phases.Length / Math.Min(stepY, rows);
                long room = phases.Sum(phase => (long)phase.Taps * channels) + (2 * Vector512<TSum>.Count);
                TSum* weights = CpuScratch.TakeShared<TSum>(room);
                long[] places = new long[phases.Length];
                for (int i = 0; i < phases.Length; i++)
                {
                    Weights(phases[i], 0, channels, weights + places[i], areColumns: true);
                    if (i + 1 < phases.Length) places[i + 1] = places[i] + ((long)phases[i].Taps * channels);
                }

                long least = Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, _to.Row));
                CpuParallel.ForRange((long)_shape.Batch * rows, least, (first, last) =>
                {
                    for (long i = first; i < last; i++)
                    {
                        (long batch, int y) = (i / rows, (int)(i % rows));
                        long phase = y % stepY * phasesOfRow;
                        for (long end = phase + phasesOfRow; phase < end; phase++)
                            RowOfLines(phases[phase], results[phase], weights + places[phase], batch, y / stepY);
                    }
                });
            }

            private void RowOfLines(in Phase phase, LinesOfResults[] results, TSum* weights, long batch, int row)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                int channels = (int)Channels, lanes = Vector512<TSum>.Count, firstY = (row * vertical.Step) + vertical.First;
                int widest = Vector512.IsHardwareAccelerated ? 2 * lanes : lanes;
                TSum* zeros = CpuScratch.Take<TSum>(((long)horizontal.Results * widest) + (2 * lanes)), sums = zeros + (2 * lanes);
                new Span<TSum>(zeros, 2 * lanes).Clear();
                T* image = _image + (batch * _from.Batch);
                T* to = _result + (batch * _to.Batch) + ((vertical.ResultFirst + ((long)row * vertical.ResultStep)) * _to.Row)
                    + (horizontal.ResultFirst * _to.Column);

                // The rows that the next row of results sees and this one does not, in equal parts for all that is gone along.
                int y = Math.Max(firstY + (Math.Max(vertical.Taps - 1, 0) * vertical.TapStep) + 1, 0);
                byte* below = (byte*)(image + (y * _from.Row));
                byte* endBelow = below + (Math.Clamp(_height - y, 0, vertical.Step) * _from.Row * sizeof(T));
                long parts = vertical.Taps * Tiles(channels, widest) * results.Sum(some => (long)some.Lines.Length * some.Count);
                int ahead = (int)Tiles(endBelow - below, Math.Max(1, parts) * CpuPrefetch.LineBytes) * CpuPrefetch.LineBytes;
                for (int channel = 0; channel < channels; channel += widest)
                {
                    foreach (LinesOfResults some in results)
                    {
                        LineRun run = new()
                        {
                            Zeros = (T*)zeros,
                            Sums = sums,
                            Results = some.Count,
                            Channel = channel,
                            Part = Math.Min(widest, channels - channel),
                            To = to + (some.First * horizontal.ResultStep * _to.Column) + channel,
                            ToNext = some.Step * horizontal.ResultStep * _to.Column,
                            EndBelow = endBelow,
                            Ahead = ahead,
                        };

                        // Results that meet no taps are made of zeros.
                        if (phase.Taps == 0) AddLine(run with { Weights = zeros, IsFirst = true, IsLast = true }, new(0, 1, 1, 0, 1, 0));
                        for (int down = 0; down < vertical.Taps && phase.Taps > 0; down++)
                        {
                            int seen = firstY + (down * vertical.TapStep);
                            run.Row = (uint)seen < (uint)_height ? image + (seen * _from.Row) + channel : null;
                            for (int i = 0; i < some.Lines.Length; i++)
                            {
                                run.Weights = weights + ((((long)down * horizontal.Taps) + some.Lines[i].Tap) * channels) + channel;
                                run.IsFirst = down == 0 && i == 0;
                                run.IsLast = down == vertical.Taps - 1 && i == some.Lines.Length - 1;
                                run.Below = below;
                                below = AddLine(run, some.Lines[i]);
                            }
                        }
                    }
                }
            }

            /// <summary>A line of the image, added to the results that see it.</summary>
            /// <returns>What is to be asked for next.</returns>
            private byte* AddLine(in LineRun run, in Line line) => line.Taps switch
            {
                1 => AddLine<One>(run, line),
                2 => AddLine<Two>(run, line),
                3 => AddLine<Three>(run, line),
                4 => AddLine<Four>(run, line),
                5 => AddLine<Five>(run, line),
                6 => AddLine<Six>(run, line),
                _ => AddLine<Seven>(run, line),
            };

            private byte* AddLine<TTaps>(in LineRun run, in Line line)
                where TTaps : ICount =>
                line.Columns == 2 ? AddLine<TTaps, Two>(run, line) : AddLine<TTaps, One>(run, line);

            private byte* AddLine<TTaps, TColumns>(in LineRun run, in Line line)
                where TTaps : ICount
                where TColumns : ICount
            {
                int lanes = Vector512<TSum>.Count;
                return run.Part > lanes
                    ? AddLine<TTaps, TColumns, Two>(run, line, run.Part - lanes)
                    : AddLine<TTaps, TColumns, One>(run, line, run.Part);
            }

            /// <summary>The results of one or two vectors of channels; of the last one only a part may be there.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private byte* AddLine<TTaps, TColumns, TVectors>(in LineRun run, in Line line, int part)
                where TTaps : ICount
                where TColumns : ICount
                where TVectors : ICount
            {
                int lanes = Vector512<TSum>.Count, leftPart = TVectors.Value > 1 ? lanes : part, results = run.Results;
                byte* below = run.Below, endBelow = run.EndBelow;

                // A result is done so many columns after the one it began at.
                int late = ((TTaps.Value + TColumns.Value - 1) / TColumns.Value) - 1, end = results + late, ahead = run.Ahead;
                (int firstInside, int endInside) = line.Inside(0, run.Row == null ? 0 : _width);
                (int firstSecond, int endSecond) = line.Inside(line.Second, run.Row == null ? 0 : _width);
                bool isFirst = run.IsFirst, isLast = run.IsLast, rectifies = _rectifies, streams = _streamsPixels;
                bool hasBias = isLast && _bias != null;
                T* bias = hasBias ? _bias + run.Channel : null, to = run.To, zeros = run.Zeros;
                long toNext = run.ToNext, next = line.Step * _from.Column, toSecond = line.Second * _from.Column;
                T* row = run.Row + (line.First * _from.Column);
                TSum* former = run.Sums, sums = run.Sums, weight = run.Weights;
                long nextTap = line.TapStep * Channels;
                Vector512<TSum> leftTap0 = Vector512.Load(weight), rightTap0 = Right<TVectors>(weight);
                Vector512<TSum> leftTap1 = default, leftTap2 = default, leftTap3 = default, leftTap4 = default;
                Vector512<TSum> leftTap5 = default, leftTap6 = default, rightTap1 = default, rightTap2 = default, rightTap3 = default;
                Vector512<TSum> rightTap4 = default, rightTap5 = default, rightTap6 = default;
                if (TTaps.Value > 1) (leftTap1, rightTap1) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));
                if (TTaps.Value > 2) (leftTap2, rightTap2) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));
                if (TTaps.Value > 3) (leftTap3, rightTap3) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));
                if (TTaps.Value > 4) (leftTap4, rightTap4) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));
                if (TTaps.Value > 5) (leftTap5, rightTap5) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));
                if (TTaps.Value > 6) (leftTap6, rightTap6) = (Vector512.Load(weight += nextTap), Right<TVectors>(weight));

                // Number n is the sum of the result that began n columns ago.
                Vector512<TSum> left0 = default, left1 = default, left2 = default, left3 = default, left4 = default, left5 = default;
                Vector512<TSum> left6 = default, right0 = default, right1 = default, right2 = default, right3 = default, right4 = default;
                Vector512<TSum> right5 = default, right6 = default;
                for (int column = 0; column < end;)
                {
                    // As far as the columns stay inside, or outside.
                    bool isInside = column >= firstInside && column < endInside;
                    bool isSecondInside = TColumns.Value > 1 && column >= firstSecond && column < endSecond;
                    int stop = Math.Min(end, column < firstInside ? firstInside : isInside ? endInside : end);
                    if (TColumns.Value > 1) stop = Math.Min(stop, column < firstSecond ? firstSecond : isSecondInside ? endSecond : end);
                    T* from = isInside ? row + (column * next) : zeros, second = isSecondInside ? row + (column * next) + toSecond : zeros;
                    long step = isInside ? next : 0, secondStep = isSecondInside ? next : 0;
                    for (; column < stop; column++, from += step, second += secondStep)
                    {
                        for (byte* now = below + ahead; below < now && below < endBelow; below += CpuPrefetch.LineBytes)
                            if (Sse.IsSupported) Sse.Prefetch1(below);
                        Vector512<TSum> left = CpuReal.Load<T, TSum>(from, leftPart), right = default;
                        if (TVectors.Value > 1) right = CpuReal.Load<T, TSum>(from + lanes, part);
                        if (TColumns.Value == 1)
                        {
                            if (TTaps.Value > 6) left6 = MultiplyAdd(left, leftTap6, left5);
                            if (TTaps.Value > 5) left5 = MultiplyAdd(left, leftTap5, left4);
                            if (TTaps.Value > 4) left4 = MultiplyAdd(left, leftTap4, left3);
                            if (TTaps.Value > 3) left3 = MultiplyAdd(left, leftTap3, left2);
                            if (TTaps.Value > 2) left2 = MultiplyAdd(left, leftTap2, left1);
                            if (TTaps.Value > 1) left1 = MultiplyAdd(left, leftTap1, left0);
                            if (TTaps.Value > 6) right6 = MultiplyAdd(right, rightTap6, right5);
                            if (TTaps.Value > 5) right5 = MultiplyAdd(right, rightTap5, right4);
                            if (TTaps.Value > 4) right4 = MultiplyAdd(right, rightTap4, right3);
                            if (TTaps.Value > 3) right3 = MultiplyAdd(right, rightTap3, right2);
                            if (TTaps.Value > 2) right2 = MultiplyAdd(right, rightTap2, right1);
                            if (TTaps.Value > 1) right1 = MultiplyAdd(right, rightTap1, right0);
                        }
                        else
                        {
                            if (TTaps.Value > 6) left3 = MultiplyAdd(left, leftTap6, left2);
                            if (TTaps.Value > 4) left2 = MultiplyAdd(left, leftTap4, left1);
                            if (TTaps.Value > 2) left1 = MultiplyAdd(left, leftTap2, left0);
                            if (TTaps.Value > 6) right3 = MultiplyAdd(right, rightTap6, right2);
                            if (TTaps.Value > 4) right2 = MultiplyAdd(right, rightTap4, right1);
                            if (TTaps.Value > 2) right1 = MultiplyAdd(right, rightTap2, right0);
                        }

                        (left0, right0) = (Vector512<TSum>.Zero, Vector512<TSum>.Zero);
                        if (!isFirst && column < results)
                        {
                            left0 = Vector512.Load(former);
                            if (TVectors.Value > 1) right0 = Vector512.Load(former + lanes);
                            former += TVectors.Value * lanes;
                        }

                        left0 = MultiplyAdd(left, leftTap0, left0);
                        if (TVectors.Value > 1) right0 = MultiplyAdd(right, rightTap0, right0);
                        if (TColumns.Value > 1)
                        {
                            left = CpuReal.Load<T, TSum>(second, leftPart);
                            if (TVectors.Value > 1) right = CpuReal.Load<T, TSum>(second + lanes, part);
                            if (TTaps.Value > 5) left2 = MultiplyAdd(left, leftTap5, left2);
                            if (TTaps.Value > 3) left1 = MultiplyAdd(left, leftTap3, left1);
                            if (TTaps.Value > 1) left0 = MultiplyAdd(left, leftTap1, left0);
                            if (TTaps.Value > 5) right2 = MultiplyAdd(right, rightTap5, right2);
                            if (TTaps.Value > 3) right1 = MultiplyAdd(right, rightTap3, right1);
                            if (TTaps.Value > 1) right0 = MultiplyAdd(right, rightTap1, right0);
                        }

                        if (column < late) continue;
                        (Vector512<TSum> doneLeft, Vector512<TSum> doneRight) = late switch
                        {
                            0 => (left0, right0),
                            1 => (left1, right1),
                            2 => (left2, right2),
                            3 => (left3, right3),
                            4 => (left4, right4),
                            5 => (left5, right5),
                            _ => (left6, right6),
                        };
                        if (!isLast)
                        {
                            doneLeft.Store(sums);
                            if (TVectors.Value > 1) doneRight.Store(sums + lanes);
                            sums += TVectors.Value * lanes;
                            continue;
                        }

                        if (hasBias) doneLeft += CpuReal.Load<T, TSum>(bias, leftPart);
                        if (rectifies) doneLeft = Rectified(doneLeft);
                        CpuReal.Store(to, doneLeft, leftPart, streams);
                        if (TVectors.Value > 1)
                        {
                            if (hasBias) doneRight += CpuReal.Load<T, TSum>(bias + lanes, part);
                            if (rectifies) doneRight = Rectified(doneRight);
                            CpuReal.Store(to + lanes, doneRight, part, streams);
                        }

                        to += toNext;
                    }
                }

                return below;
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private static Vector512<TSum> Right<TVectors>(TSum* weight)
                where TVectors : ICount => TVectors.Value > 1 ? Vector512.Load(weight + Vector512<TSum>.Count) : default;

            /// <summary>A line that results are made along.</summary>
            private struct LineRun
            {
                /// <summary>The row of the image, at the first channel; null where there is none.</summary>
                public T* Row;

                /// <summary>What is seen outside.</summary>
                public T* Zeros;

                /// <summary>The first tap.</summary>
                public TSum* Weights;

                /// <summary>The sums of all results so far.</summary>
                public TSum* Sums;

                /// <summary>Whether there are none yet, and whether they are results then.</summary>
                public bool IsFirst, IsLast;

                public int Results, Channel, Part;

                /// <summary>What is needed next, and bytes of it that are asked for at each column.</summary>
                public byte* Below, EndBelow;
                public int Ahead;

                /// <summary>The first result, and elements to the next.</summary>
                public T* To;
                public long ToNext;
            }
        }
    }
}
