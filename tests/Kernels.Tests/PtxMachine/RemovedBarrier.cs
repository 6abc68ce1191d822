using Kernels.Devices;
using Kernels.Verification;

namespace Kernels.Tests.PtxMachine;

/// <summary>A barrier that the machine takes for none; the text is compiled once for all of them, with it.</summary>
/// <param name="File">The file under <c>kernels/</c>.</param>
/// <param name="Line">Where it stands.</param>
internal sealed record RemovedBarrier(string File, int Line)
{
    private const string Barrier = "BARRIER();";
    private const string Reductions = "portable/reduce.h";
    private const string Moments = "portable/moments.h";
    private const string NormGradients = "portable/batch_norm_gradients.h";
    private const string Grid = "cuda/grid.h";
    private const string Tiles = "portable/augment_tile.h";

    /// <summary>Of a text that is not an op's own.</summary>
    private static readonly Dictionary<string, string[]> OpsOfFiles = new()
    {
        ["portable/partial_sums.cl"] = ["bias-dropout-residual"],
        ["portable/augment_statistics.cl"] = ["augment"],
        ["cuda/augment.resident.cu"] = ["augment"],
        ["portable/batch_norm_backward.cl"] = ["batch-norm", "ghost-batch-norm"],
        [Tiles] = ["augment"],
        [Moments] = ["batch-norm", "ghost-batch-norm"],
        ["portable/conv2d_depthwise.cl"] = ["conv2d"],
        ["portable/conv2d_direct.cl"] = ["conv2d"],
        [NormGradients] = ["batch-norm", "ghost-batch-norm"],
        ["cuda/batch_norm.resident.cu"] = ["batch-norm"],
        ["cuda/batch_norm.resident_backward.cu"] = ["batch-norm"],
        [Grid] = ["batch-norm"],
        ["cuda/conv2d.gather.cu"] = ["conv2d"],
        ["cuda/conv2d.filter.cu"] = ["conv2d"],
        ["cuda/conv2d.layout.cu"] = ["conv2d"],
        [Reductions] = ["norm-penalty", "sgd", "attention-dropout", "entropy", "cross-entropy", "kept-rows"],
    };

    /// <summary>Every barrier of the texts, as CUDA compiles them.</summary>
    public static IReadOnlyList<RemovedBarrier> All { get; } =
    [
        .. KernelCatalog.All.Select(kernel => kernel.File).Concat([Reductions, Moments, NormGradients, Grid, Tiles]).Distinct()
            .Order(StringComparer.Ordinal).SelectMany(Of),
    ];

    /// <summary>The ops whose kernels have it.</summary>
    public IEnumerable<OpCase> Ops => OpsOfFiles.TryGetValue(File, out string[]? ops)
        ? ops.Select(name => OpCase.All.Single(op => op.Op == name))
        : OpCase.All.Where(op => Path.GetFileNameWithoutExtension(File) == op.Op.Replace('-', '_'));

    /// <summary>What is reported: a barrier of the grid orders accesses to global memory.</summary>
    public string Report => File == Grid ? "device memory" : "shared memory";

    /// <summary>The type in which an op runs it: tensor cores want a half type.</summary>
    public DType TypeOf(OpCase op) => File.StartsWith("cuda/conv2d", StringComparison.Ordinal) ? DType.Float16 : op.DTypes[0];

    public override string ToString() => $"{File}:{Line}";

    private static IEnumerable<RemovedBarrier> Of(string file)
    {
        string text = KernelSource.Read(file);
        // The other half of a text with two is OpenCL's.
        int end = text.IndexOf("\n#else", StringComparison.Ordinal);
        string compiled = file == Reductions ? text[..end] : text;
        for (int at = compiled.IndexOf(Barrier, StringComparison.Ordinal); at >= 0;
            at = compiled.IndexOf(Barrier, at + 1, StringComparison.Ordinal))
        {
            yield return new RemovedBarrier(file, 1 + compiled[..at].Count(c => c == '\n'));
        }
    }
}
