using Kernels.Devices;

namespace Kernels;

public static unsafe partial class EmbeddingDropout
{
    /// <summary>Keys that a work group sorts in local memory.</summary>
    private const int SortTile = 2 * GroupSize;

    /// <summary>Runs that are merged at a time; WAYS in the text.</summary>
    private const int Ways = 16;

    /// <summary>Keys that a work group merges, an item for each run.</summary>
    private const int MergedKeys = GroupSize / Ways;

    /// <summary>
    /// Bits of an id that one pass of the CPU's sort looks at: three passes, and counters that stay in the first-level cache.
    /// </summary>
    private const int DigitBits = 11;

    private static readonly KernelDefinition<EmbeddingDropoutSortArguments> SortKernel = EntryPoints.EmbeddingDropoutSort.Fixed(CpuSort);

    private static readonly KernelDefinition<EmbeddingDropoutMergeArguments> MergeKernel =
        EntryPoints.EmbeddingDropoutMerge.Fixed(CpuMerge);

    /// <summary>Makes one run of sorted tiles, from one memory to the other and back; returns the one where it is.</summary>
    private static TensorArgument Merge(DeviceStream stream, TensorArgument source, TensorArgument target, long count)
    {
        // The CPU sorts all as one tile.
        for (long run = stream.Device.Kind == DeviceKind.Cpu ? count : SortTile; run < count; run *= Ways)
        {
            stream.Launch(
                MergeKernel, new KernelVariant(DType.Float32), new LaunchShape((count + MergedKeys - 1) / MergedKeys),
                new EmbeddingDropoutMergeArguments
                {
                    Source = source,
                    Target = target,
                    Count = (ulong)count,
                    Run = (ulong)run,
                });
            (source, target) = (target, source);
        }

        return source;
    }

    /// <summary>Keys, sorted by their upper halves, digit by digit; equal ones keep their order.</summary>
    private static void CpuSort(in KernelVariant variant, in EmbeddingDropoutSortArguments arguments)
    {
        CpuKeys(arguments);
        int length = (int)arguments.Count;
        ulong[] other = System.Buffers.ArrayPool<ulong>.Shared.Rent(length);
        int[] positions = new int[1 << DigitBits];
        fixed (ulong* spare = other)
        {
            ulong* from = arguments.Keys.Pointer<ulong>();
            ulong* to = spare;
            for (int shift = 32; shift < 64; shift += DigitBits)
            {
                Array.Clear(positions);
                for (int i = 0; i < length; i++) positions[Digit(from[i], shift)]++;
                int next = 0;
                for (int digit = 0; digit < positions.Length; digit++) (positions[digit], next) = (next, next + positions[digit]);
                for (int i = 0; i < length; i++) to[positions[Digit(from[i], shift)]++] = from[i];
                ulong* sorted = to;
                to = from;
                from = sorted;
            }

            // An odd number of passes ends in the spare memory.
            new ReadOnlySpan<ulong>(from, length).CopyTo(new Span<ulong>(to, length));
        }

        System.Buffers.ArrayPool<ulong>.Shared.Return(other);

        static int Digit(ulong key, int shift) => (int)(key >> shift) & ((1 << DigitBits) - 1);
    }

    private static void CpuMerge(in KernelVariant variant, in EmbeddingDropoutMergeArguments arguments)
    {
        Span<ulong> keys = new(arguments.Target.Pointer<ulong>(), (int)arguments.Count);
        new ReadOnlySpan<ulong>(arguments.Source.Pointer<ulong>(), keys.Length).CopyTo(keys);
        for (long start = 0, merged = Ways * (long)arguments.Run; start < keys.Length; start += merged)
            keys.Slice((int)start, (int)Math.Min(merged, keys.Length - start)).Sort();
    }
}
