using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Sums over the uses of parameters: lists of gradients that lie end to end, each use in a tensor of its own.</summary>
public sealed class TiedGradientsCase : OpCase
{
    public override string Op => "tied-gradients";

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        .. new[] { "sum", "add" }.SelectMany(entry => new[]
        {
            new TiedProblem(entry, [], [], "an empty list"),
            new TiedProblem(entry, [0, 3], [1, 2], "a tensor without elements"),
            new TiedProblem(entry, [1], [1], "one element, one use"),
            new TiedProblem(entry, [1021], [2], "prime, two uses"),
            new TiedProblem(entry, [4096, 16, 8200], [3, 5, 1], "whole vectors and several tiles, another count each"),
            new TiedProblem(entry, [1, 7, 165], [4, 9, 2], "all alignments, more uses than are asked for at once"),
        }),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new TiedProblem("sum", [1 << 24], [2], "an embedding that is the output layer too"),
        new TiedProblem("add", [1 << 22, 1 << 22], [4, 4], "two layers, unrolled four times"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("no use", typeof(ArgumentException), (device, stream) => Try(device, [4], [[]])),
        new("fewer lists than gradients", typeof(ArgumentException), (device, stream) => Try(device, [4, 4], [[4]])),
        new("no gradients", typeof(ArgumentNullException), (device, stream) => new TiedGradients<float>(device, null!, []).Dispose())
        {
            Argument = "gradients",
        },
        new("no lists of uses", typeof(ArgumentNullException), (device, stream) => new TiedGradients<float>(device, [], null!).Dispose())
        {
            Argument = "uses",
        },
        new("no device", typeof(ArgumentNullException), (device, stream) => new TiedGradients<float>(null!, [], []).Dispose())
        {
            Argument = "device",
        },
        new("no stream", typeof(ArgumentNullException), (device, stream) =>
        {
            using TiedGradients<float> tied = new(device, [], []);
            tied.Sum(null!);
        })
        {
            Argument = "stream",
        },
        new("a use of another shape", typeof(ArgumentException), (device, stream) => Try(device, [4], [[4, 5]])),
        new("a gradient among its uses", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> gradient = device.Allocate<float>(4);
            new TiedGradients<float>(device, [gradient], [[gradient]]).Dispose();
        }),
        new("a use that was disposed", typeof(ObjectDisposedException), (device, stream) =>
        {
            using DeviceTensor<float> gradient = device.Allocate<float>(4), use = device.Allocate<float>(4);
            using TiedGradients<float> tied = new(device, [gradient], [[use]]);
            use.Dispose();
            tied.Sum(stream);
        }),
        new("a stream of another device", typeof(ArgumentException), (device, stream) =>
        {
            using Device other = Device.Open("cpu");
            using DeviceStream otherStream = other.CreateStream();
            using TiedGradients<float> tied = new(device, [], []);
            tied.Sum(otherStream);
        }),
    ];

    public override ArgumentUse UseOf(Problem problem, string tensor) => ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        TiedProblem p = (TiedProblem)problem;
        int terms = p.MostUses + (p.Adds ? 1 : 0);
        Tolerance tolerance = terms <= 1 ? Tolerance.Exact : new Tolerance(1, terms, 2, $"a sum of {terms} gradients");
        TensorSpec gradients = p.Adds
            ? Input("gradients", dtype, [p.Length], seed) with { Role = TensorRole.InOut, Tolerance = tolerance }
            : Output("gradients", dtype, [p.Length], tolerance);
        return [.. Enumerable.Range(0, p.MostUses).Select(k => Input(Use(k), dtype, [p.LengthsOfUse(k).Sum()], seed)), gradients];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        TiedProblem p = (TiedProblem)problem;
        using TiedGradients<T> tied = Open<T>(stream, p, tensors);
        Call(tied, stream, p);
    }

    public override PreparedCall Prepare<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        // Gradients that grow without end must not run into infinity.
        TiedProblem p = (TiedProblem)problem;
        TiedGradients<T> tied = Open<T>(stream, p, tensors);
        return new PreparedCall(() => Call(tied, stream, p), [tied]);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        TiedProblem p = (TiedProblem)problem;
        int start = 0;
        for (int i = 0; i < p.Lengths.Count; i++)
        {
            int length = (int)p.Lengths[i];
            double[][] uses =
            [
                .. Enumerable.Range(0, p.Uses[i])
                    .Select(k => values[Use(k)].AsSpan((int)p.LengthsOfUse(k).Take(i).Sum(), length).ToArray()),
            ];
            TiedGradientsReference.Sum(uses, values["gradients"].AsSpan(start, length), p.Adds);
            start += length;
        }
    }

    private static string Use(int k) => $"use{k + 1}";

    private static void Call<T>(TiedGradients<T> tied, DeviceStream stream, TiedProblem problem)
        where T : unmanaged
    {
        if (problem.Adds)
            tied.Add(stream);
        else
            tied.Sum(stream);
    }

    private static TiedGradients<T> Open<T>(DeviceStream stream, TiedProblem problem, DeviceTensors tensors)
        where T : unmanaged
    {
        List<DeviceTensor<T>>[] uses = [.. problem.Lengths.Select(_ => new List<DeviceTensor<T>>())];
        for (int k = 0; k < problem.MostUses; k++)
        {
            IReadOnlyList<DeviceTensor<T>> views = TensorLists.EndToEnd(tensors.Get<T>(Use(k)), problem.LengthsOfUse(k));
            for (int i = 0; i < uses.Length; i++)
            {
                if (problem.Uses[i] > k) uses[i].Add(views[i]);
            }
        }

        return new TiedGradients<T>(stream.Device, TensorLists.EndToEnd(tensors.Get<T>("gradients"), problem.Lengths), uses);
    }

    private static void Try(Device device, long[] gradientLengths, long[][] useLengths)
    {
        List<DeviceTensor<float>> made = [];
        try
        {
            new TiedGradients<float>(device, [.. gradientLengths.Select(Make)], [.. useLengths.Select(list => list.Select(Make).ToArray())])
                .Dispose();
        }
        finally
        {
            made.ForEach(tensor => tensor.Dispose());
        }

        DeviceTensor<float> Make(long length)
        {
            made.Add(device.Allocate<float>(length));
            return made[^1];
        }
    }
}

/// <summary>Gradients of these lengths, each of so many uses.</summary>
public sealed record TiedProblem(string Entry, IReadOnlyList<long> Lengths, IReadOnlyList<int> Uses, string Reason) : Problem(Entry, Reason)
{
    public override string Text => $"{string.Join(',', Lengths)} uses={string.Join(',', Uses)}";

    internal bool Adds => Entry == "add";

    internal long Length => Lengths.Sum();

    internal int MostUses => Uses.DefaultIfEmpty(0).Max();

    /// <summary>What use number <paramref name="k"/> has of each gradient.</summary>
    internal IReadOnlyList<long> LengthsOfUse(int k) => [.. Lengths.Select((length, i) => Uses[i] > k ? length : 0)];

    public override long Bytes(int elementBytes) =>
        Lengths.Select((length, i) => length * (Uses[i] + (Adds ? 2 : 1))).Sum() * elementBytes;
}
