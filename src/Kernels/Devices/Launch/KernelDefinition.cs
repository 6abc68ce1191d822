using System.Reflection;

namespace Kernels.Devices;

/// <summary>
/// An entry point of a text under <c>kernels/</c> and the record it takes. The generator makes one of each: <c>EntryPoints.ReluForward</c>.
/// </summary>
/// <param name="Assembly">The assembly that embeds the text.</param>
/// <param name="File">Path under <c>kernels/</c>: <c>portable/relu.cl</c>.</param>
/// <param name="Name">The kernel: <c>relu_forward</c>.</param>
internal readonly record struct EntryPoint<TArguments>(Assembly Assembly, string File, string Name)
    where TArguments : struct, IKernelArguments
{
    /// <summary>Defines a kernel over the floating-point types; <typeparamref name="TCpu"/> is its managed body.</summary>
    public KernelDefinition<TArguments> Float<TCpu>(
        int[]? vectorWidths = null, string[]? switches = null, int groupSize = KernelDefinition.DefaultGroupSize)
        where TCpu : ICpuKernel<TArguments> =>
        new(this, [DType.Float32, DType.Float16, DType.BFloat16, DType.Float64], vectorWidths, switches, groupSize, RunFloat<TCpu>);

    /// <summary>
    /// Defines a kernel of <c>kernels/cuda/</c>, with shared memory beyond what its text declares. <typeparamref name="TCpu"/> does the
    /// same, and stands in for it where tests have no GPU.
    /// </summary>
    public KernelDefinition<TArguments> Cuda<TCpu>(
        DType[] dtypes, int groupSize, Func<KernelVariant, int> sharedBytes, int[]? vectorWidths = null, string[]? switches = null)
        where TCpu : ICpuKernel<TArguments> =>
        new(this, dtypes, vectorWidths, switches, groupSize, RunFloat<TCpu>) { SharedBytes = sharedBytes };

    /// <summary>Defines a kernel whose tensors have one fixed type, so that its text does not depend on a stored type.</summary>
    public KernelDefinition<TArguments> Fixed(
        KernelDefinition<TArguments>.CpuBody body, string[]? switches = null, int groupSize = KernelDefinition.DefaultGroupSize) =>
        new(this, [DType.Float32], null, switches, groupSize, body);

    private static void RunFloat<TCpu>(in KernelVariant variant, in TArguments arguments)
        where TCpu : ICpuKernel<TArguments>
    {
        switch (variant.DType)
        {
            case DType.Float32: TCpu.Run<float>(variant, arguments); break;
            case DType.Float16: TCpu.Run<Half>(variant, arguments); break;
            case DType.BFloat16: TCpu.Run<BFloat16>(variant, arguments); break;
            case DType.Float64: TCpu.Run<double>(variant, arguments); break;
            default: throw new InvalidOperationException($"{variant.DType} is not a floating-point type.");
        }
    }
}

/// <summary>
/// A kernel as the host knows it: where its text is, in which variants it can be compiled, and the managed body that does the same on the
/// CPU.
/// </summary>
internal abstract class KernelDefinition
{
    /// <summary>Work items in a group; a constant of the text (<c>GROUP_SIZE</c>), since local arrays need one.</summary>
    public const int DefaultGroupSize = 256;

    protected KernelDefinition(
        Assembly assembly, string file, string entryPoint, DType[] dtypes, int[]? vectorWidths, string[]? switches, int groupSize)
    {
        Assembly = assembly;
        File = file;
        EntryPoint = entryPoint;
        DTypes = dtypes;
        VectorWidths = vectorWidths ?? [1];
        Switches = switches ?? [];
        GroupSize = groupSize;
    }

    /// <summary>The assembly that embeds the text.</summary>
    public Assembly Assembly { get; }

    /// <summary>Path under <c>kernels/</c>: <c>portable/dropout.cl</c>.</summary>
    public string File { get; }

    public string EntryPoint { get; }

    public IReadOnlyList<DType> DTypes { get; }

    /// <summary>The values <c>VEC</c> can take.</summary>
    public IReadOnlyList<int> VectorWidths { get; }

    /// <summary>Names of 0/1 macros; bit i of <see cref="KernelVariant.Switches"/> sets the i-th.</summary>
    public IReadOnlyList<string> Switches { get; }

    public int GroupSize { get; }

    /// <summary>
    /// Shared memory of a group beyond what the text declares, at most: CUDA alone has it, and more than 48 KB only this way.
    /// </summary>
    public Func<KernelVariant, int> SharedBytes { get; init; } = static _ => 0;

    /// <summary>Both compilers take the text; else CUDA's alone.</summary>
    public bool IsPortable => File.StartsWith("portable/", StringComparison.Ordinal);

    /// <summary>Every variant the host may ask for; tests compile them all.</summary>
    public IEnumerable<KernelVariant> Variants =>
        from dtype in DTypes
        from width in VectorWidths
        from switches in Enumerable.Range(0, 1 << Switches.Count)
        select new KernelVariant(dtype, width, (uint)switches);

    /// <summary>Binds a default record, so that a test can compare its fields with the kernel's parameters.</summary>
    public abstract void BindDefaults<TBinder>(ref TBinder binder)
        where TBinder : struct, IArgumentBinder, allows ref struct;

    public override string ToString() => $"{File}:{EntryPoint}";
}

/// <summary>A kernel with its record type and its managed body.</summary>
internal sealed class KernelDefinition<TArguments> : KernelDefinition
    where TArguments : struct, IKernelArguments
{
    public KernelDefinition(
        EntryPoint<TArguments> entryPoint, DType[] dtypes, int[]? vectorWidths, string[]? switches, int groupSize, CpuBody body)
        : base(entryPoint.Assembly, entryPoint.File, entryPoint.Name, dtypes, vectorWidths, switches, groupSize) => Body = body;

    /// <summary>The managed body: computes what the kernel computes, on all cores, before it returns.</summary>
    internal delegate void CpuBody(in KernelVariant variant, in TArguments arguments);

    public CpuBody Body { get; }

    public override void BindDefaults<TBinder>(ref TBinder binder) => default(TArguments).Bind(ref binder);
}

/// <summary>The managed body of a kernel, written once for all floating-point storage types.</summary>
internal interface ICpuKernel<TArguments>
    where TArguments : struct, IKernelArguments
{
    static abstract void Run<T>(in KernelVariant variant, in TArguments arguments)
        where T : unmanaged;
}

/// <summary>One way to compile a kernel: stored type, elements per vector access, and which switches are on.</summary>
internal readonly record struct KernelVariant(DType DType, int VectorWidth = 1, uint Switches = 0)
{
    public bool Has(int index) => (Switches >> index & 1) != 0;
}

/// <summary>
/// The work of a launch. Kernels loop over their work with the grid as stride, so the device may launch fewer groups than asked for.
/// </summary>
/// <param name="Groups">Work groups that would do all the work in one pass.</param>
internal readonly record struct LaunchShape(long Groups)
{
    /// <summary>Shared memory of a group where a launch needs less than the kernel's most.</summary>
    public int? SharedBytes { get; init; }

    /// <summary>
    /// All groups are there at once, as they wait for each other: as many as there are, and no more than
    /// <see cref="Device.ResidentGroups"/>.
    /// </summary>
    public bool IsCooperative { get; init; }

    /// <summary>One work item for each of <paramref name="items"/>.</summary>
    public static LaunchShape Items(long items, KernelDefinition kernel) => new((items + kernel.GroupSize - 1) / kernel.GroupSize);

    /// <summary>One work group for each of <paramref name="rows"/>.</summary>
    public static LaunchShape GroupPerRow(long rows) => new(rows);
}
