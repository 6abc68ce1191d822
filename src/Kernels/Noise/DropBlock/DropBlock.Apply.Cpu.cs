using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DropBlock
{
    /// <summary>Elements whose keep bits are one word.</summary>
    private const int Group = 64;

    /// <summary>The map of x, 64 elements at a time: their keep bits in one word, their scale one for all or one each.</summary>
    private readonly struct CpuApply : ICpuKernel<DropBlockApplyArguments>
    {
        private static Vector512<uint> BitOfLane
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => Vector512.Create(
                1u, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14,
                1 << 15);
        }

        public static void Run<T>(in KernelVariant variant, in DropBlockApplyArguments arguments)
            where T : unmanaged
        {
            DropBlockApplyArguments a = arguments;
            Filling filling = new(a.Key.Resolve(), a.NoiseStart, (variant.Switches & NoiseSwitch) != 0);
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            bool cellsInside = a.MaskInner == 1 && a.ScaleInner == 0;

            // Groups start on a multiple of 64 elements of the tensor, or of a sample.
            long alignment = cellsInside ? Group : (long)(a.Inner * a.Outer);
            bool streaming = x != y && CpuStreaming.Pays(y, (long)a.Count * sizeof(T))
                && alignment * sizeof(T) % Vector512<byte>.Count == 0;
            if (cellsInside && streaming)
                ChannelsFirst<T, StreamingStore>(x, y, a, filling);
            else if (cellsInside)
                ChannelsFirst<T, CachedStore>(x, y, a, filling);
            else if (streaming)
                ChannelsLast<T, StreamingStore>(x, y, a, filling);
            else
                ChannelsLast<T, CachedStore>(x, y, a, filling);
        }

        /// <summary>[samples, channels, cells]: the bits of neighbours are neighbours.</summary>
        private static void ChannelsFirst<T, TStore>(T* x, T* y, DropBlockApplyArguments a, Filling filling)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk,
                [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
                {
                    ulong* mask = (ulong*)a.Mask.Pointer<uint>();
                    long cells = CellsOf((long)a.Count, (long)(a.Inner * a.Outer), (long)a.MaskSample);
                    double* factors = stackalloc double[Group];
                    float* noise = stackalloc float[Filling.BufferLength];
                    MapCursor<T> map = new(a, first);
                    for (long i = first; i < end; i += Group)
                    {
                        int count = (int)Math.Min(Group, end - i);
                        double* each = null;
                        double scale = map.Scale;
                        ulong keep = Bits(mask, cells, map.Bit);
                        if (map.Left >= count)
                        {
                            map.Advance(count);
                        }
                        else
                        {
                            each = factors;
                            keep = 0;
                            for (int filled = 0; filled < count;)
                            {
                                int part = (int)Math.Min(count - filled, map.Left);
                                keep |= (Bits(mask, cells, map.Bit) & (ulong.MaxValue >> (Group - part))) << filled;
                                new Span<double>(factors + filled, part).Fill(map.Scale);
                                filled += part;
                                map.Advance(part);
                            }
                        }

                        Elements<T, TStore>(x + i, y + i, count, keep, each, scale, filling.For(i, count, keep, noise));
                    }
                });
        }

        /// <summary>
        /// [samples, cells, channels]: of 64 cells of a sample, each channel's bits are one word. These are put into the order of the
        /// elements, which are then neighbours.
        /// </summary>
        private static void ChannelsLast<T, TStore>(T* x, T* y, DropBlockApplyArguments a, Filling filling)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            (long channels, long cells) = ((long)a.Inner, (long)a.Outer);
            (long samples, long runs) = ((long)a.Count / (channels * cells), (cells + Group - 1) / Group);
            CpuParallel.ForRange(samples * runs, Math.Max(1, CpuParallel.ElementsPerChunk / Group / channels), (first, end) =>
            {
                // A channel's words and scales are read in whole groups from any channel on, and its scales run on into the next cell's.
                int length = (int)channels + (2 * Group);
                ulong[] rentedWords = ArrayPool<ulong>.Shared.Rent(length), rentedBits = ArrayPool<ulong>.Shared.Rent(length);
                double[] rentedFactors = ArrayPool<double>.Shared.Rent(length);
                float* noise = stackalloc float[Filling.BufferLength];
                fixed (ulong* words = rentedWords, bits = rentedBits)
                fixed (double* factors = rentedFactors)
                {
                    for (long run = first; run < end; run++)
                    {
                        (long sample, long part) = Math.DivRem(run, runs);
                        ReadChannels<T>(a, sample, part * Group, words, factors);
                        int rows = (int)Math.Min(Group, cells - (part * Group));
                        Transpose(words, (int)channels, rows, bits);
                        long start = ((sample * cells) + (part * Group)) * channels, count = rows * channels;
                        for (long i = 0, channel = 0; i < count; i += Group)
                        {
                            int taken = (int)Math.Min(Group, count - i);
                            double* each = a.ScaleInner == 0 ? null : factors + channel;
                            Elements<T, TStore>(
                                x + start + i, y + start + i, taken, bits[i / Group], each, factors[0],
                                filling.For(start + i, taken, bits[i / Group], noise));
                            channel += Group;
                            if (channel >= channels) channel %= channels;
                        }
                    }
                }

                ArrayPool<ulong>.Shared.Return(rentedWords);
                ArrayPool<ulong>.Shared.Return(rentedBits);
                ArrayPool<double>.Shared.Return(rentedFactors);
            });
        }

        /// <summary>
        /// For each channel the bits of 64 cells and the scale; scales are repeated until they reach a group beyond the last channel.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void ReadChannels<T>(in DropBlockApplyArguments a, long sample, long cell, ulong* words, double* factors)
            where T : unmanaged
        {
            ulong* mask = (ulong*)a.Mask.Pointer<uint>();
            long channels = (long)a.Inner, cells = CellsOf((long)a.Count, (long)(a.Inner * a.Outer), (long)a.MaskSample);
            for (long channel = 0; channel < channels; channel++)
            {
                words[channel] = Bits(mask, cells, (sample * (long)a.MaskSample) + (channel * (long)a.MaskInner) + cell);
                factors[channel] = ScaleAt<T>(a, (sample * (long)a.ScaleSample) + (channel * (long)a.ScaleInner));
            }

            for (long channel = channels; channel < channels + Group; channel++) factors[channel] = factors[channel - channels];
        }

        /// <summary>Bit row * channels + channel of the result is bit <c>row</c> of word <c>channel</c>.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Transpose(ulong* words, int channels, int rows, ulong* bits)
        {
            ulong gathered = 0;
            int filled = 0;
            for (int row = 0; row < rows; row++)
            {
                for (int channel = 0; channel < channels; channel += Group)
                {
                    int count = Math.Min(Group, channels - channel);
                    ulong column = 0;
                    for (int i = 0; i < count; i += 8)
                        column |= (Vector512.Load(words + channel + i) << (63 - row)).ExtractMostSignificantBits() << i;
                    column &= ulong.MaxValue >> (Group - count);
                    gathered |= column << filled;
                    if (filled + count < Group)
                    {
                        filled += count;
                        continue;
                    }

                    *bits++ = gathered;
                    gathered = filled == 0 ? 0 : column >> (Group - filled);
                    filled += count - Group;
                }
            }

            *bits = gathered;
        }

        /// <summary>The scale of a unit of normalisation.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static double ScaleAt<T>(in DropBlockApplyArguments a, long unit)
            where T : unmanaged
        {
            if (!a.Scales.IsPresent) return a.Scale;
            return typeof(T) == typeof(double) ? a.Scales.Pointer<double>()[unit] : a.Scales.Pointer<float>()[unit];
        }

        /// <summary>
        /// Up to 64 elements. Without <paramref name="factors"/> they share <paramref name="scale"/>; without <paramref name="fill"/>
        /// blocks are 0.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Elements<T, TStore>(T* x, T* y, int count, ulong keep, double* factors, double scale, float* fill)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            int i = 0;
            if (typeof(T) == typeof(double))
            {
                for (; i < count; i++)
                {
                    double value = CpuElement.ToDouble(x[i]) * (factors == null ? scale : factors[i]);
                    y[i] = CpuElement.FromDouble<T>((keep >> i & 1) != 0 ? value : fill == null ? 0 : fill[i]);
                }

                return;
            }

            for (; i + 32 <= count; i += 32)
            {
                Vector512<float> low = Sixteen(CpuElement.Load(x + i), i, keep, factors, scale, fill);
                Vector512<float> high = Sixteen(CpuElement.Load(x + i + 16), i + 16, keep, factors, scale, fill);
                CpuElement.Store32<T, TStore>(y + i, low, high);
            }

            for (; i < count; i += CpuElement.Width)
            {
                int part = Math.Min(CpuElement.Width, count - i);
                CpuElement.Store(y + i, Sixteen(CpuElement.Load(x + i, part), i, keep, factors, scale, fill), part);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Sixteen(Vector512<float> x, int i, ulong keep, double* factors, double scale, float* fill)
        {
            Vector512<float> factor = factors == null
                ? Vector512.Create((float)scale)
                : Vector512.Narrow(Vector512.Load(factors + i), Vector512.Load(factors + i + 8));
            Vector512<float> filling = fill == null ? Vector512<float>.Zero : Vector512.Load(fill + i);
            Vector512<uint> dropped = Vector512.Equals(Vector512.Create((uint)(keep >> i)) & BitOfLane, Vector512<uint>.Zero);
            return Vector512.ConditionalSelect(dropped.AsSingle(), filling, x * factor);
        }
    }

    /// <summary>
    /// Bits in the order of the elements: of whole words of a sample, channels last, 64 cells of each channel at a time as in
    /// <see cref="CpuApply"/>; of others one by one.
    /// </summary>
    private static void CpuOrder(in KernelVariant variant, in DropBlockOrderArguments arguments)
    {
        DropBlockOrderArguments a = arguments;
        ulong* mask = (ulong*)a.Mask.Pointer<uint>();
        uint* target = a.Target.Pointer<uint>();
        (long count, long inner, long outer) = ((long)a.Count, (long)a.Inner, (long)a.Outer);
        if (a.MaskOuter == 1 && inner * outer % Group == 0)
        {
            long runs = (outer + Group - 1) / Group, cells = CellsOf(count, inner * outer, (long)a.MaskSample);
            CpuParallel.ForRange(count / (inner * outer) * runs, Math.Max(1, CpuParallel.ElementsPerChunk / Group / inner), (first, end) =>
            {
                int length = (int)inner + (2 * Group);
                ulong[] rentedWords = ArrayPool<ulong>.Shared.Rent(length), rentedBits = ArrayPool<ulong>.Shared.Rent(length);
                fixed (ulong* words = rentedWords, bits = rentedBits)
                {
                    for (long run = first; run < end; run++)
                    {
                        (long sample, long part) = Math.DivRem(run, runs);
                        long cell = part * Group, rows = Math.Min(Group, outer - cell);
                        for (long channel = 0; channel < inner; channel++)
                            words[channel] = Bits(mask, cells, (sample * (long)a.MaskSample) + (channel * (long)a.MaskInner) + cell);
                        CpuApply.Transpose(words, (int)inner, (int)rows, bits);
                        long start = ((sample * outer) + cell) * inner;
                        int length32 = (int)(rows * inner / 32);
                        new ReadOnlySpan<uint>(bits, length32).CopyTo(new Span<uint>(target + (start / 32), length32));
                    }
                }

                ArrayPool<ulong>.Shared.Return(rentedWords);
                ArrayPool<ulong>.Shared.Return(rentedBits);
            });
            return;
        }

        CpuParallel.ForRange((count + 31) / 32, CpuParallel.ElementsPerChunk / 32, (first, end) =>
        {
            for (long word = first; word < end; word++)
            {
                uint bits = 0;
                for (long i = 32 * word; i < Math.Min(count, 32 * (word + 1)); i++)
                {
                    (long line, long column) = Math.DivRem(i, inner);
                    (long sample, long row) = Math.DivRem(line, outer);
                    long cell = (sample * (long)a.MaskSample) + (row * (long)a.MaskOuter) + (column * (long)a.MaskInner);
                    bits |= (uint)(mask[cell / 64] >> (int)(cell % 64) & 1) << (int)(i % 32);
                }

                target[word] = bits;
            }
        });
    }

    /// <summary>Cells of a mask; without a distance between samples all elements have their own.</summary>
    private static long CellsOf(long count, long sampleLength, long maskSample) =>
        maskSample == 0 ? count : count / sampleLength * maskSample;

    /// <summary>
    /// A place in x as [samples, outer, inner]: where the bit of the element is, its scale, and how many elements after it have their bits
    /// in a row.
    /// </summary>
    private struct MapCursor<T>
        where T : unmanaged
    {
        private readonly DropBlockApplyArguments _arguments;
        private long _sample;
        private long _outer;

        public MapCursor(in DropBlockApplyArguments arguments, long element)
        {
            _arguments = arguments;
            (long line, long inner) = Math.DivRem(element, (long)arguments.Inner);
            (_sample, _outer) = Math.DivRem(line, (long)arguments.Outer);
            Start();
            Bit += inner;
            Left -= inner;
        }

        public long Bit { get; private set; }

        public long Left { get; private set; }

        public double Scale { get; private set; }

        /// <summary>Goes on by <paramref name="count"/>, at most what is left.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Advance(long count)
        {
            Bit += count;
            Left -= count;
            if (Left == 0) Next();
        }

        private void Next()
        {
            if (++_outer == (long)_arguments.Outer)
            {
                _outer = 0;
                if (++_sample * (long)_arguments.Outer * (long)_arguments.Inner >= (long)_arguments.Count) return;
            }

            Start();
        }

        private void Start()
        {
            Bit = (_sample * (long)_arguments.MaskSample) + (_outer * (long)_arguments.MaskOuter);
            Left = (long)_arguments.Inner;
            Scale = CpuApply.ScaleAt<T>(_arguments, (_sample * (long)_arguments.ScaleSample) + (_outer * (long)_arguments.ScaleOuter));
        }
    }

    /// <summary>The content of the blocks: nothing but zeros, or normal numbers drawn where they are needed.</summary>
    private readonly struct Filling(RandomKey key, ulong start, bool isNoise)
    {
        /// <summary>64 numbers, up to three before the first, and whole draws of 32.</summary>
        public const int BufferLength = 96;

        private readonly CpuPhilox _philox = new(key);

        /// <summary>
        /// The numbers of the elements from <paramref name="first"/> on, in <paramref name="buffer"/>; null where none is dropped or all
        /// are zeros.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public float* For(long first, int count, ulong keep, float* buffer) =>
            isNoise && (~keep & (ulong.MaxValue >> (Group - count))) != 0 ? Draw(start + (ulong)first, count, buffer) : null;

        [MethodImpl(MethodImplOptions.NoInlining)]
        private float* Draw(ulong index, int count, float* buffer)
        {
            int skip = (int)(index % 4);
            CpuNormals.Fill(_philox, NoiseBlocks + (index / 4), buffer, skip + count);
            return buffer + skip;
        }
    }
}
