using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>Depthwise convolutions of [batch, ..., channels]: vectors along the channels.</content>
public static unsafe partial class Conv2d
{
    private readonly partial struct CpuDepthwiseGather
    {
        private sealed partial class Depthwise<T, TSum>
        {
            /// <summary>Pixels that are made side by side, so that a tap is loaded once for them.</summary>
            private const int PixelsAtOnce = 4;

            public void Pixels()
            {
                int outputs = (int)Channels * Sources;
                if (AreAlike && AreTriples(_phases[0].Vertical, _phases[0].Horizontal))
                {
                    PairsOfRows(_phases[0].Ascending());
                    return;
                }

                foreach (Phase phase in _phases)
                {
                    TSum* weights = CpuScratch.TakeShared<TSum>(((long)phase.Taps * outputs) + Vector512<TSum>.Count);
                    Weights(phase, 0, outputs, weights, areColumns: true);
                    long rows = (long)_shape.Batch * phase.Vertical.Results, row = phase.Horizontal.Results * Channels;
                    CpuParallel.ForRange(rows, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, row)), (first, end) =>
                    {
                        for (long i = first; i < end; i++)
                            Row(phase, weights, i / phase.Vertical.Results, (int)(i % phase.Vertical.Results));
                    });
                }
            }

            /// <summary>A row of pixels with all their channels; where there is no pixel, zeros are read.</summary>
            private void Row(in Phase phase, TSum* weights, long batch, int row)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                int taps = phase.Taps, channels = (int)Channels, outputs = channels * Sources, lanes = Vector512<TSum>.Count;
                long words = (taps * sizeof(long) / sizeof(TSum)) + 1;
                TSum* sums = CpuScratch.Take<TSum>(channels + outputs + (2 * words) + (2 * lanes));
                T* zeros = (T*)(sums + channels + lanes);
                T** seen = (T**)(((nint)(zeros + outputs) + 7) & ~7);
                long* steps = (long*)(seen + taps);
                new Span<T>(zeros, outputs).Clear();
                T* image = _image + (batch * _from.Batch);
                T* to = _result + (batch * _to.Batch) + ((vertical.ResultFirst + ((long)row * vertical.ResultStep)) * _to.Row)
                    + (horizontal.ResultFirst * _to.Column);
                long step = horizontal.Step * _from.Column, next = horizontal.ResultStep * _to.Column;
                int firstY = (row * vertical.Step) + vertical.First;
                (int firstInside, int endInside) = Inside(horizontal);
                for (int pixel = 0; pixel < horizontal.Results;)
                {
                    // The last few that have all their columns are made with some before them, once more.
                    int count = endInside - firstInside < PixelsAtOnce || pixel < firstInside || pixel >= endInside ? 1 : PixelsAtOnce;
                    if (count > 1) pixel = Math.Min(pixel, endInside - PixelsAtOnce);
                    int firstX = (pixel * horizontal.Step) + horizontal.First, tap = 0;
                    for (int down = 0, y = firstY; down < vertical.Taps; down++, y += vertical.TapStep)
                    {
                        for (int right = 0, x = firstX; right < horizontal.Taps; right++, x += horizontal.TapStep, tap++)
                        {
                            bool isInside = (uint)y < (uint)_height && (uint)x < (uint)_width;
                            seen[tap] = isInside ? image + (y * _from.Row) + (x * _from.Column) : zeros;
                            steps[tap] = isInside ? step : 0;
                        }
                    }

                    PrefetchBelow(image, vertical, firstY, firstX, count * horizontal.Step);
                    T* target = to + (pixel * next);
                    if (_shape.YChannels != 1)
                    {
                        for (int i = 0; i < count; i++, target += next)
                        {
                            MultiplySeveral(seen, channels, taps, weights, sums);
                            CpuConvert.RoundRows(sums, 0, target, 0, rows: 1, channels, _bias, isShared: false, _rectifies, _streams);
                            for (tap = 0; tap < taps; tap++) seen[tap] += steps[tap];
                        }
                    }
                    else if (count == 1)
                    {
                        Multiply(seen, taps, channels, weights, target);
                    }
                    else
                    {
                        Multiply(seen, steps, taps, channels, weights, target, next);
                    }

                    pixel += count;
                }
            }

            /// <summary>The results of a row that have all their columns in the image.</summary>
            private (int First, int End) Inside(in GatherAxis horizontal)
            {
                int reach = Math.Max(horizontal.Taps - 1, 0) * horizontal.TapStep;
                int lowest = horizontal.First + Math.Min(reach, 0), highest = horizontal.First + Math.Max(reach, 0);
                int first = lowest >= 0 ? 0 : (-lowest + horizontal.Step - 1) / horizontal.Step;
                int end = highest >= _width ? 0 : ((_width - 1 - highest) / horizontal.Step) + 1;
                return (first, Math.Min(end, horizontal.Results));
            }

            /// <summary>What the next row of results sees and this one does not, as far as it lies below these columns.</summary>
            private void PrefetchBelow(T* image, in GatherAxis vertical, int firstY, int firstX, int columns)
            {
                int y = firstY + (Math.Max(vertical.Taps - 1, 0) * Math.Max(vertical.TapStep, 0)) + 1;
                for (int end = Math.Min(y + vertical.Step, _height); y < end; y++)
                {
                    T* below = image + (y * _from.Row) + (Math.Max(firstX, 0) * _from.Column);
                    if (y >= 0) CpuPrefetch.Range(below, columns * _from.Column * sizeof(T));
                }
            }

            /// <summary>Four pixels, two vectors of their channels at a time: ten loads for eight multiply-adds.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Multiply(T** seen, long* steps, int taps, int channels, TSum* weights, T* target, long next)
            {
                int channel = 0, lanes = Vector512<TSum>.Count;
                for (; channel + (2 * lanes) <= channels; channel += 2 * lanes)
                {
                    TSum* weight = weights + channel;
                    Vector512<TSum> low0 = default, low1 = default, low2 = default, low3 = default;
                    Vector512<TSum> high0 = default, high1 = default, high2 = default, high3 = default;
                    for (int tap = 0; tap < taps; tap++, weight += channels)
                    {
                        T* from = seen[tap] + channel;
                        long step = steps[tap];
                        Vector512<TSum> low = Vector512.Load(weight), high = Vector512.Load(weight + lanes);
                        low0 = MultiplyAdd(CpuReal.Load<T, TSum>(from, lanes), low, low0);
                        high0 = MultiplyAdd(CpuReal.Load<T, TSum>(from + lanes, lanes), high, high0);
                        from += step;
                        low1 = MultiplyAdd(CpuReal.Load<T, TSum>(from, lanes), low, low1);
                        high1 = MultiplyAdd(CpuReal.Load<T, TSum>(from + lanes, lanes), high, high1);
                        from += step;
                        low2 = MultiplyAdd(CpuReal.Load<T, TSum>(from, lanes), low, low2);
                        high2 = MultiplyAdd(CpuReal.Load<T, TSum>(from + lanes, lanes), high, high2);
                        from += step;
                        low3 = MultiplyAdd(CpuReal.Load<T, TSum>(from, lanes), low, low3);
                        high3 = MultiplyAdd(CpuReal.Load<T, TSum>(from + lanes, lanes), high, high3);
                    }

                    T* to = target + channel;
                    Store(low0, to, channel, lanes);
                    Store(high0, to + lanes, channel + lanes, lanes);
                    to += next;
                    Store(low1, to, channel, lanes);
                    Store(high1, to + lanes, channel + lanes, lanes);
                    to += next;
                    Store(low2, to, channel, lanes);
                    Store(high2, to + lanes, channel + lanes, lanes);
                    to += next;
                    Store(low3, to, channel, lanes);
                    Store(high3, to + lanes, channel + lanes, lanes);
                }

                for (; channel < channels; channel += lanes)
                {
                    int count = Math.Min(lanes, channels - channel);
                    TSum* weight = weights + channel;
                    Vector512<TSum> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                    for (int tap = 0; tap < taps; tap++, weight += channels)
                    {
                        T* from = seen[tap] + channel;
                        long step = steps[tap];
                        Vector512<TSum> factor = Vector512.Load(weight);
                        sum0 = MultiplyAdd(CpuReal.Load<T, TSum>(from, count), factor, sum0);
                        sum1 = MultiplyAdd(CpuReal.Load<T, TSum>(from + step, count), factor, sum1);
                        sum2 = MultiplyAdd(CpuReal.Load<T, TSum>(from + (2 * step), count), factor, sum2);
                        sum3 = MultiplyAdd(CpuReal.Load<T, TSum>(from + (3 * step), count), factor, sum3);
                    }

                    T* to = target + channel;
                    Store(sum0, to, channel, count);
                    Store(sum1, to + next, channel, count);
                    Store(sum2, to + (2 * next), channel, count);
                    Store(sum3, to + (3 * next), channel, count);
                }
            }

            /// <summary>A pixel at the side of the image, or of a narrow one.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void Multiply(T** seen, int taps, int channels, TSum* weights, T* target)
            {
                int channel = 0, lanes = Vector512<TSum>.Count;
                for (; channel + (4 * lanes) <= channels; channel += 4 * lanes)
                {
                    TSum* weight = weights + channel;
                    Vector512<TSum> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                    for (int tap = 0; tap < taps; tap++, weight += channels)
                    {
                        T* from = seen[tap] + channel;
                        sum0 = MultiplyAdd(CpuReal.Load<T, TSum>(from, lanes), Vector512.Load(weight), sum0);
                        sum1 = MultiplyAdd(CpuReal.Load<T, TSum>(from + lanes, lanes), Vector512.Load(weight + lanes), sum1);
                        sum2 = MultiplyAdd(CpuReal.Load<T, TSum>(from + (2 * lanes), lanes), Vector512.Load(weight + (2 * lanes)), sum2);
                        sum3 = MultiplyAdd(CpuReal.Load<T, TSum>(from + (3 * lanes), lanes), Vector512.Load(weight + (3 * lanes)), sum3);
                    }

                    Store(sum0, target + channel, channel, lanes);
                    Store(sum1, target + channel + lanes, channel + lanes, lanes);
                    Store(sum2, target + channel + (2 * lanes), channel + (2 * lanes), lanes);
                    Store(sum3, target + channel + (3 * lanes), channel + (3 * lanes), lanes);
                }

                for (; channel < channels; channel += lanes)
                {
                    int count = Math.Min(lanes, channels - channel);
                    Vector512<TSum> sum = default;
                    for (int tap = 0; tap < taps; tap++)
                    {
                        Vector512<TSum> value = CpuReal.Load<T, TSum>(seen[tap] + channel, count);
                        sum = MultiplyAdd(value, Vector512.Load(weights + ((long)tap * channels) + channel), sum);
                    }

                    Store(sum, target + channel, channel, count);
                }
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private void Store(Vector512<TSum> sum, T* target, int channel, int count)
            {
                if (_bias != null) sum += CpuReal.Load<T, TSum>(_bias + channel, count);
                if (_rectifies) sum = Rectified(sum);
                CpuReal.Store(target, sum, count, _streamsPixels);
            }

            /// <summary>A pixel of several outputs for each channel of the input.</summary>
            private void MultiplySeveral(T** seen, int channels, int taps, TSum* weights, TSum* sums)
            {
                int multiple = (int)_shape.YChannels, outputs = channels * Sources;
                new Span<TSum>(sums, channels).Clear();
                for (int tap = 0; tap < taps; tap++, weights += outputs)
                {
                    for (int output = 0; output < outputs; output++)
                    {
                        (int from, int to) = _backward ? (output, output / multiple) : (output / multiple, output);
                        AddOne(CpuConvert.Widen<T, TSum>(seen[tap][from]), weights[output], sums + to);
                    }
                }
            }
        }
    }
}
