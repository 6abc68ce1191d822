using System.Numerics;
using Kernels.Devices;

namespace Kernels;

public static unsafe partial class EmbeddingDropout
{
    /// <summary>Keys that a work group sorts in local memory.</summary>
    private const int SortTile = 1024;

    /// <summary>
    /// Bits of an id that one pass of the CPU's sort looks at: three passes, and counters that stay in the first-level cache.
    /// </summary>
    private const int DigitBits = 11;

    private static readonly KernelDefinition<EmbeddingDropoutSortTileArguments> SortTileKernel =
        EntryPoints.EmbeddingDropoutSortTile.Fixed(CpuSortTile);

    private static readonly KernelDefinition<EmbeddingDropoutSortStepArguments> SortStepKernel =
        EntryPoints.EmbeddingDropoutSortStep.Fixed(CpuSortStep);

    /// <summary>
    /// How many keys to sort for <paramref name="count"/> ids: a bitonic network has a power of two of inputs; the CPU's sort has no
    /// network.
    /// </summary>
    private static long SortLength(DeviceStream stream, long count) =>
        stream.Device.Kind == DeviceKind.Cpu ? count : Math.Max(SortTile, (long)BitOperations.RoundUpToPowerOf2((ulong)count));

    /// <summary>Sorts keys that come in ascending order of their lower halves.</summary>
    private static void Sort(DeviceStream stream, TensorArgument keys, long length)
    {
        KernelVariant variant = new(DType.Float32);
        long tile = stream.Device.Kind == DeviceKind.Cpu ? length : SortTile;
        LaunchShape tiles = new((length + tile - 1) / tile);
        SortTiles(2, tile);
        for (long size = 2 * tile; size <= length; size *= 2)
        {
            for (long stride = size / 2; stride >= tile; stride /= 2)
            {
                stream.Launch(
                    SortStepKernel, variant, LaunchShape.Items(length / 2, SortStepKernel),
                    new EmbeddingDropoutSortStepArguments
                    {
                        Keys = keys,
                        Length = (ulong)length,
                        Size = (ulong)size,
                        Stride = (ulong)stride,
                    });
            }

            SortTiles(size, size);
        }

        void SortTiles(long firstSize, long lastSize) => stream.Launch(
            SortTileKernel, variant, tiles,
            new EmbeddingDropoutSortTileArguments
            {
                Keys = keys,
                Length = (ulong)length,
                FirstSize = (ulong)firstSize,
                LastSize = (ulong)lastSize,
            });
    }

    /// <summary>The CPU's tile is the whole, which it sorts by the upper halves, digit by digit; equal ones keep their order.</summary>
    private static void CpuSortTile(in KernelVariant variant, in EmbeddingDropoutSortTileArguments arguments)
    {
        int length = (int)arguments.Length;
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

    private static void CpuSortStep(in KernelVariant variant, in EmbeddingDropoutSortStepArguments arguments)
    {
        ulong* keys = arguments.Keys.Pointer<ulong>();
        for (ulong pair = 0; pair < arguments.Length / 2; pair++)
        {
            ulong low = (2 * pair) - (pair & (arguments.Stride - 1)), high = low + arguments.Stride;
            bool ascending = (low & arguments.Size) == 0;
            if (keys[low] > keys[high] == ascending) (keys[low], keys[high]) = (keys[high], keys[low]);
        }
    }
}
