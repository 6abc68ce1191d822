using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The generator's own output, and keys that live on the device.</summary>
public static unsafe class RandomBits
{
    private const int BlockBytes = 4 * sizeof(uint);

    /// <summary>Blocks that one core takes at a time.</summary>
    private const long BlocksPerChunk = CpuParallel.ElementsPerChunk / Philox.LanesPerBlock;

    private static readonly KernelDefinition<RandomBitsArguments> BitsKernel = EntryPoints.RandomBits.Fixed(CpuBits);

    private static readonly KernelDefinition<RandomAdvanceArguments> AdvanceKernel = EntryPoints.RandomAdvance.Fixed(CpuAdvance);

    /// <summary>words[4 b + w] = word w of Philox block <paramref name="firstBlock"/> + b under <paramref name="key"/>.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="words">Output, a multiple of four elements.</param>
    /// <param name="key">Seed and offset, see <see cref="Philox"/>.</param>
    /// <param name="firstBlock">Number of the first block.</param>
    /// <exception cref="ArgumentException">The length is not a multiple of four, or the tensor is on another device.</exception>
    public static void Fill(DeviceStream stream, DeviceTensor<uint> words, RandomKeySource key, ulong firstBlock = 0)
    {
        const string Op = "RandomBits.Fill";
        Check.Tensor(Op, stream, words, nameof(words));
        Check.Key(Op, stream, key, nameof(key));
        if (words.Length % 4 != 0)
            throw new ArgumentException($"{Op}: {words} is not a whole number of blocks of four words.", nameof(words));
        if (words.Length == 0) return;
        stream.Launch(
            BitsKernel,
            new KernelVariant(DType.Float32),
            LaunchShape.Items(words.Length / 4, BitsKernel),
            new RandomBitsArguments
            {
                Words = words.Argument,
                Blocks = (ulong)words.Length / 4,
                FirstBlock = firstBlock,
                Key = key.Argument,
            });
    }

    /// <summary>
    /// Adds <paramref name="steps"/> to the offset of a key in device memory. Queued like any kernel, so a captured graph that ends with it
    /// draws fresh bits each time it is replayed.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="key">The key: shape [2], seed then offset.</param>
    /// <param name="steps">How many calls to step over.</param>
    /// <exception cref="ArgumentException">The key is not of shape [2], or is on another device.</exception>
    public static void Advance(DeviceStream stream, DeviceTensor<ulong> key, ulong steps = 1)
    {
        const string Op = "RandomBits.Advance";
        Check.Tensor(Op, stream, key, nameof(key));
        Check.Shape(Op, key, nameof(key), 2);
        RandomAdvanceArguments arguments = new() { Key = key.Argument, Steps = steps };
        stream.Launch(AdvanceKernel, new KernelVariant(DType.Float32), new LaunchShape(1), arguments);
    }

    private static void CpuBits(in KernelVariant variant, in RandomBitsArguments arguments)
    {
        RandomBitsArguments a = arguments;
        CpuPhilox philox = new(a.Key.Resolve());
        uint* words = a.Words.Pointer<uint>();
        bool streams = CpuStreaming.Pays(words, (long)a.Blocks * BlockBytes);
        CpuParallel.ForRange((long)a.Blocks, BlocksPerChunk, (first, end) =>
        {
            const int AtOnce = CpuPhilox.LanesOfFour / Philox.LanesPerBlock;
            CpuPhilox local = philox;

            // The lanes of a block are the halves of its words in order.
            ushort* lanes = CpuScratch.Take<ushort>(CpuPhilox.LanesOfFour);
            for (long block = first; block < end; block += AtOnce)
            {
                local.DrawFour(a.FirstBlock + (ulong)block, lanes);
                long bytes = Math.Min(AtOnce, end - block) * BlockBytes;
                CpuStreaming.CopyPart((byte*)lanes, (byte*)words + (block * BlockBytes), bytes, streams);
            }
        });
    }

    private static void CpuAdvance(in KernelVariant variant, in RandomAdvanceArguments arguments) =>
        arguments.Key.Pointer<ulong>()[1] += arguments.Steps;
}
