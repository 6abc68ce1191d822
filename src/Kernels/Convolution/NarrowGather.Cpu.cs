using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Gathers whose groups have few result channels, [batch, channels, ...], such as the gradient of an image's colours. A packed panel of
/// patches would serve a single tile, so there is none: vectors of neighbours are read where they lie, in planes with zeros around them,
/// and each serves every channel of the result.
/// </content>
public static unsafe partial class Conv2d
{
    private sealed class NarrowGather<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>The most channels of a group's result: as many sums as the registers hold for <see cref="TileRows"/> rows.</summary>
        private const int MostChannels = 4;

        private const int TileRows = 4;

        /// <summary>Taps of a chain of sums.</summary>
        private const int ChainTaps = 256;

        /// <summary>Planes of a band take no more than this of a cache, unless a single tile of rows does.</summary>
        private const long BandBytes = 384 << 10;

        private readonly long _batch;
        private readonly int _channels;
        private readonly GatherPhase<T, TSum>[] _phases;

        /// <summary>Of each phase, for each channel of the image and each tap, the factors of the result's channels.</summary>
        private readonly TSum[][] _weights;

        public NarrowGather(long batch, int channels, GatherPhase<T, TSum>[] phases)
        {
            (_batch, _channels, _phases, _weights) = (batch, channels, phases, new TSum[phases.Length][]);
            for (int phase = 0; phase < phases.Length; phase++)
            {
                TSum[] weights = _weights[phase] = new TSum[phases[phase].Patches.Taps * channels];
                fixed (TSum* first = weights) phases[phase].Filter.PackAll(channels, phases[phase].Patches.Taps, first);
            }
        }

        /// <summary>Whether channels are few, rows long enough for whole vectors, and planes of a tile of rows fit a cache.</summary>
        public static bool Takes(long channels, in Im2Col<T, TSum> patches) => channels is > 0 and <= MostChannels
            && patches.Horizontal.Results >= Vector512<TSum>.Count / 2
            && RowBytes(patches) * (ReachOf(patches.Vertical) + (TileRows * patches.Vertical.Step)) <= 2 * BandBytes;

        private static long RowBytes(in Im2Col<T, TSum> patches) => sizeof(TSum) * Math.Max(1, (long)patches.Channels)
            * (ReachOf(patches.Horizontal) + ((patches.Horizontal.Results + (long)Vector512<TSum>.Count) * patches.Horizontal.Step));

        private static long ReachOf(in GatherAxis axis) => Math.Abs(Math.Max(0, axis.Taps - 1L) * axis.TapStep);

        /// <summary>The image, which all phases share.</summary>
        private Im2Col<T, TSum> Image => _phases[0].Patches;

        /// <summary>The first phase has the most rows of results, and with them the last.</summary>
        public void Run()
        {
            GatherAxis vertical = Image.Vertical;
            long reach = _phases.Max(phase => ReachOf(phase.Patches.Vertical));
            long rows = ((BandBytes / RowBytes(Image)) - reach) / vertical.Step / TileRows * TileRows;
            rows = Math.Clamp(rows, TileRows, Math.Max(TileRows, vertical.Results));
            long bands = (vertical.Results + rows - 1) / rows;
            CpuParallel.For(_batch * bands, task => Band(task / bands, (int)(task % bands * rows), (int)rows));
        }

        private void Band(long batch, int firstRow, int rows)
        {
            GatherAxis[] vertical = [.. _phases.Select(phase => BandOf(phase.Patches.Vertical))];
            GatherAxis[] horizontal = [.. _phases.Select(phase => phase.Patches.Horizontal)];
            PaddedPlane<T, TSum> padded = new(vertical, horizontal, Image.Height, Image.Width);
            int lanes = Vector512<TSum>.Count, taps = _phases.Max(phase => TapsOf(phase.Patches));
            long pitch = horizontal[0].Results + lanes, planes = padded.Length * Image.Channels;
            long offsetLength = ((long)taps * sizeof(long) / sizeof(TSum)) + lanes;
            TSum* memory = CpuScratch.Take<TSum>(planes + (pitch * TileRows * _channels) + offsetLength);
            TSum* sums = memory + planes;
            long* offsets = (long*)(((nint)(sums + (pitch * TileRows * _channels)) + 7) & ~7);
            T* image = Image.Image + (batch * Image.Strides.Batch);
            for (int channel = 0; channel < Image.Channels; channel++)
                padded.Fill(image + (channel * Image.Strides.Channel), memory + (channel * padded.Length));
            for (int i = 0; i < _phases.Length; i++)
            {
                int area = TapsOf(_phases[i].Patches);
                for (int tap = 0; tap < area; tap++) offsets[tap] = padded.OffsetOf(vertical[i], horizontal[i], tap);
                fixed (TSum* weights = _weights[i])
                {
                    Tile tile = new(padded, offsets, area, Image.Channels, horizontal[i].Results, weights, sums, pitch);
                    for (int row = 0; row < vertical[i].Results; row += TileRows)
                    {
                        int count = Math.Min(TileRows, vertical[i].Results - row);
                        Multiply(tile, memory + (row * padded.ResultRow), count);
                        Store(_phases[i].Target, batch, vertical[i], row, count, sums, pitch);
                    }
                }
            }

            GatherAxis BandOf(in GatherAxis axis) => axis with
            {
                First = axis.First + (firstRow * axis.Step),
                Results = Math.Clamp(axis.Results - firstRow, 0, rows),
                ResultFirst = axis.ResultFirst + (firstRow * axis.ResultStep),
            };

            static int TapsOf(in Im2Col<T, TSum> patches) => patches.Vertical.Taps * patches.Horizontal.Taps;
        }

        private void Store(in GatherTarget<T> target, long batch, in GatherAxis vertical, int row, int rows, TSum* sums, long pitch)
        {
            T* to = target.Result + (batch * target.Strides.Batch)
                + ((vertical.ResultFirst + ((long)row * vertical.ResultStep)) * target.Strides.Row)
                + (target.Horizontal.ResultFirst * target.Strides.Column);
            for (int i = 0; i < rows; i++, to += vertical.ResultStep * target.Strides.Row)
                target.StoreRows(sums + (i * pitch), TileRows * pitch, to, _channels, target.Horizontal.Results, target.Bias);
        }

        private void Multiply(in Tile tile, TSum* from, int rows)
        {
            switch (_channels)
            {
                case 1: Multiply<One>(tile, from, rows); break;
                case 2: Multiply<Two>(tile, from, rows); break;
                case 3: Multiply<Three>(tile, from, rows); break;
                default: Multiply<Four>(tile, from, rows); break;
            }
        }

        /// <summary>What the tiles of a band share.</summary>
        private readonly struct Tile(
            in PaddedPlane<T, TSum> padded, long* offsets, int taps, int channels, int width, TSum* weights, TSum* sums, long pitch)
        {
            public readonly long Plane = padded.Length, Row = padded.ResultRow, Pitch = pitch;
            public readonly long* Offsets = offsets;
            public readonly int Taps = taps, Channels = channels, Width = width;
            public readonly TSum* Weights = weights, Sums = sums;
        }

        /// <summary>A tile of rows for all channels: a chain of multiply-adds for some of the image's channels after the other.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Multiply<TChannels>(in Tile tile, TSum* from, int rows)
            where TChannels : ICount
        {
            // Rows beyond the last are made of the last one again.
            long second = rows > 1 ? tile.Row : 0, third = rows > 2 ? 2 * tile.Row : second, fourth = rows > 3 ? 3 * tile.Row : third;
            long plane = tile.Plane, pitch = tile.Pitch;
            int lanes = Vector512<TSum>.Count, taps = tile.Taps, channels = tile.Channels;
            int chain = Math.Max(1, ChainTaps / Math.Max(1, taps));
            long* offsets = tile.Offsets;
            for (int x = 0; x < tile.Width; x += lanes)
            {
                int channel = 0;
                do
                {
                    Vector512<TSum> s00 = default, s01 = default, s02 = default, s03 = default;
                    Vector512<TSum> s10 = default, s11 = default, s12 = default, s13 = default;
                    Vector512<TSum> s20 = default, s21 = default, s22 = default, s23 = default;
                    Vector512<TSum> s30 = default, s31 = default, s32 = default, s33 = default;
                    int end = Math.Min(channel + chain, channels);
                    TSum* weight = tile.Weights + ((long)channel * taps * TChannels.Value), at = from + (channel * plane) + x;
                    bool accumulates = channel > 0;
                    for (; channel < end; channel++, at += plane)
                    {
                        for (int tap = 0; tap < taps; tap++, weight += TChannels.Value)
                        {
                            TSum* place = at + offsets[tap];
                            Vector512<TSum> x0 = Vector512.Load(place), x1 = Vector512.Load(place + second);
                            Vector512<TSum> x2 = Vector512.Load(place + third), x3 = Vector512.Load(place + fourth);
                            Step<TChannels>(0, weight, x0, x1, x2, x3, ref s00, ref s01, ref s02, ref s03);
                            Step<TChannels>(1, weight, x0, x1, x2, x3, ref s10, ref s11, ref s12, ref s13);
                            Step<TChannels>(2, weight, x0, x1, x2, x3, ref s20, ref s21, ref s22, ref s23);
                            Step<TChannels>(3, weight, x0, x1, x2, x3, ref s30, ref s31, ref s32, ref s33);
                        }
                    }

                    Keep<TChannels>(0, tile.Sums + x, pitch, accumulates, s00, s01, s02, s03);
                    Keep<TChannels>(1, tile.Sums + x, pitch, accumulates, s10, s11, s12, s13);
                    Keep<TChannels>(2, tile.Sums + x, pitch, accumulates, s20, s21, s22, s23);
                    Keep<TChannels>(3, tile.Sums + x, pitch, accumulates, s30, s31, s32, s33);
                }
                while (channel < channels);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Step<TChannels>(
            int channel, TSum* weight, Vector512<TSum> x0, Vector512<TSum> x1, Vector512<TSum> x2, Vector512<TSum> x3,
            ref Vector512<TSum> sum0, ref Vector512<TSum> sum1, ref Vector512<TSum> sum2, ref Vector512<TSum> sum3)
            where TChannels : ICount
        {
            if (channel >= TChannels.Value) return;
            Vector512<TSum> factor = Vector512.Create(weight[channel]);
            sum0 = MultiplyAdd(factor, x0, sum0);
            sum1 = MultiplyAdd(factor, x1, sum1);
            sum2 = MultiplyAdd(factor, x2, sum2);
            sum3 = MultiplyAdd(factor, x3, sum3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Keep<TChannels>(
            int channel, TSum* sums, long pitch, bool accumulates, Vector512<TSum> sum0, Vector512<TSum> sum1, Vector512<TSum> sum2,
            Vector512<TSum> sum3)
            where TChannels : ICount
        {
            if (channel >= TChannels.Value) return;
            sums += channel * TileRows * pitch;
            Keep(sums, accumulates, sum0);
            Keep(sums + pitch, accumulates, sum1);
            Keep(sums + (2 * pitch), accumulates, sum2);
            Keep(sums + (3 * pitch), accumulates, sum3);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Keep(TSum* sums, bool accumulates, Vector512<TSum> sum) =>
            (accumulates ? Vector512.Load(sums) + sum : sum).Store(sums);
    }
}
