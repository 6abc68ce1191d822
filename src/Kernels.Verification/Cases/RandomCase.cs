using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The generator's own output.</summary>
public sealed class RandomCase : OpCase
{
    private static readonly RandomKey Key = new(0xfedcba9876543210, 7);

    public override string Op => "random";

    public override bool TakesKey => true;

    public override IReadOnlyList<DType> DTypes { get; } = [DType.Float32];

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new RandomProblem(0, 0, "zero blocks"),
        new RandomProblem(1, 0, "one block"),
        new RandomProblem(1021, 5, "prime"),
        new RandomProblem(300, uint.MaxValue - 100UL, "the low counter word overflows into the high one"),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } = [new RandomProblem(1 << 20, 0, "16 MB of words")];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("no whole block", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<uint> words = device.Allocate<uint>(5);
            RandomBits.Fill(stream, words, Key);
        }),
        new("advance a key of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<ulong> key = device.Allocate<ulong>(1);
            RandomBits.Advance(stream, key);
        }),
    ];

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed) =>
        [Output("words", DType.UInt32, [4 * ((RandomProblem)problem).Blocks], Tolerance.Exact)];

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors) =>
        RandomBits.Fill(stream, tensors.Get<uint>("words"), tensors.Key(Key), ((RandomProblem)problem).FirstBlock);

    public override void Reference(Problem problem, ReferenceValues values)
    {
        RandomProblem p = (RandomProblem)problem;
        for (long block = 0; block < p.Blocks; block++)
        {
            uint[] words = PhiloxReference.Block(Key.Seed, Key.Offset, p.FirstBlock + (ulong)block);
            for (int word = 0; word < 4; word++) values["words"][(4 * block) + word] = words[word];
        }
    }
}

/// <summary>A run of Philox blocks.</summary>
public sealed record RandomProblem(long Blocks, ulong FirstBlock, string Reason) : Problem("fill", Reason)
{
    public override string Text => $"{Blocks} blocks from {FirstBlock}";

    public override long Bytes(int elementBytes) => 16 * Blocks;
}
