using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>Depthwise convolutions of [batch, ..., channels]: which way they go, and that of several outputs for each channel.</content>
public static unsafe partial class Conv2d
{
    private readonly partial struct CpuDepthwiseGather
    {
        private sealed partial class Depthwise<T, TSum>
        {
            public void Pixels()
            {
                if (AreAlike && AreTriples(_phases[0].Vertical, _phases[0].Horizontal))
                {
                    PairsOfRows(_phases[0].Ascending());
                    return;
                }

                if (_shape.YChannels == 1)
                {
                    RowsOfLines();
                    return;
                }

                int outputs = (int)Channels * Sources;
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

            /// <summary>
            /// A row of pixels, of several outputs for each channel of the input; where there is no pixel, zeros are read.
            /// </summary>
            private void Row(in Phase phase, TSum* weights, long batch, int row)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                int taps = phase.Taps, channels = (int)Channels, outputs = channels * Sources, lanes = Vector512<TSum>.Count;
                long words = (taps * sizeof(long) / sizeof(TSum)) + 1;
                TSum* sums = CpuScratch.Take<TSum>(channels + outputs + words + (2 * lanes));
                T* zeros = (T*)(sums + channels + lanes);
                T** seen = (T**)(((nint)(zeros + outputs) + 7) & ~7);
                new Span<T>(zeros, outputs).Clear();
                T* image = _image + (batch * _from.Batch);
                T* to = _result + (batch * _to.Batch) + ((vertical.ResultFirst + ((long)row * vertical.ResultStep)) * _to.Row)
                    + (horizontal.ResultFirst * _to.Column);
                long next = horizontal.ResultStep * _to.Column;
                int firstY = (row * vertical.Step) + vertical.First, firstX = horizontal.First;
                for (int pixel = 0; pixel < horizontal.Results; pixel++, firstX += horizontal.Step, to += next)
                {
                    int tap = 0;
                    for (int down = 0, y = firstY; down < vertical.Taps; down++, y += vertical.TapStep)
                    {
                        for (int right = 0, x = firstX; right < horizontal.Taps; right++, x += horizontal.TapStep, tap++)
                        {
                            bool isInside = (uint)y < (uint)_height && (uint)x < (uint)_width;
                            seen[tap] = isInside ? image + (y * _from.Row) + (x * _from.Column) : zeros;
                        }
                    }

                    PrefetchBelow(image, vertical, firstY, firstX, horizontal.Step);
                    Multiply(seen, channels, taps, weights, sums);
                    CpuConvert.RoundRows(sums, 0, to, 0, rows: 1, channels, _bias, isShared: false, _rectifies, _streams);
                }
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

            /// <summary>A pixel of several outputs for each channel of the input.</summary>
            private void Multiply(T** seen, int channels, int taps, TSum* weights, TSum* sums)
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
