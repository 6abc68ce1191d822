using Kernels.Devices;
using Kernels.Inspection;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// What the loops over elements keep to on CUDA, so that they can run as fast as memory: told from the PTX, which has it before machine
/// code is made. A limit that is not kept stands in its table with the reason, and a row that is kept by now fails too, so that the tables
/// shrink.
/// </summary>
public sealed class CudaLimitTests
{
    /// <summary>Kernels whose stores of eight elements are not all 16 bytes wide.</summary>
    private static readonly Exceptions SplitStores =
    [
        ("a lane stores pairs, side by side with its neighbours'", "f32", "conv2d_unpack"),
        ("a lane takes four pixels side by side, eight bytes of a half type", "bf16", "augment_apply augment_resident"),
        ("a lane stores fours, side by side with its neighbours'", "bf16", "feature_noise"),
    ];

    /// <summary>Kernels whose stores touch more sectors than their bytes need.</summary>
    private static readonly Exceptions SurplusSectors = [];

    /// <summary>Kernels that divide by what is known at run time only, for each element or eight of them.</summary>
    private static readonly Exceptions Divisions =
    [
        ("the sequence of a position is a quotient", "f32 bf16", "embedding_dropout_forward"),
        ("the place of a tile is a quotient", "f32", "conv2d_pack conv2d_unpack"),
    ];

    private static readonly string[] DivisionOpcodes = ["div", "rem"];

    private static readonly Lazy<IReadOnlyList<KernelInspection>> Inspections = new(() => [.. Inspect()]);

    [Fact]
    public void StoresOfEightElementsAreWide() => Check(SplitStores, kernel => kernel.Costs.Any(cost =>
        cost.Elements >= PassCost.UsualElements && cost.Accesses(stores: true).Any(store => MemoryAccess.Of(store)!.Bytes < 16)));

    [Fact]
    public void StoresTouchTheFewestSectors() => Check(SurplusSectors, kernel =>
        kernel.Costs.Select(cost => cost.SectorsOf(stores: true)).Any(sectors => sectors.Touched > sectors.Least));

    [Fact]
    public void NothingIsDividedForAnElement() => Check(Divisions, kernel => kernel.Costs.Any(cost => cost.Turn.Any(IsDivision)));

    /// <summary>Where no loop moves what a kernel must move, its row in <see cref="KernelWork"/> is wrong, and no limit is asked.</summary>
    [Fact]
    public void EveryPassIsFound()
    {
        CudaCompilations.SkipWithoutCompiler();
        Assert.Empty(Inspections.Value.Where(kernel => !kernel.HasCeiling)
            .Select(kernel => $"{kernel.Name} {kernel.VariantName}: {kernel.Note}"));
        Assert.Empty(KernelWork.Names.Select(name => name.Split(' ')[0]).Except(Inspections.Value.Select(kernel => kernel.Name)));
    }

    private static void Check(Exceptions exceptions, Predicate<KernelInspection> isBroken)
    {
        CudaCompilations.SkipWithoutCompiler();
        string[] broken = [.. Inspections.Value.Where(kernel => isBroken(kernel))
            .Select(kernel => $"{kernel.Name} {kernel.Variant.DType.ShortName()}").Distinct().Order(StringComparer.Ordinal)];
        string[] wrong =
        [
            .. broken.Except(exceptions.Names).Select(kernel => $"{kernel} does not keep to it"),
            .. exceptions.Names.Except(broken).Select(kernel => $"{kernel} keeps to it: take it off the table"),
        ];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    /// <summary>Kernels with passes, in the widest variants, in float and in the half type whose conversion takes most.</summary>
    private static IEnumerable<KernelInspection> Inspect()
    {
        foreach (KernelProgram program in KernelPrograms.All.Where(program => program.Variant.DType is DType.Float32 or DType.BFloat16))
        {
            KernelDefinition[] kernels = [.. program.Kernels.Where(kernel =>
                KernelWork.Of(kernel, program.Variant).Count > 0 && program.Variant.VectorWidth == kernel.VectorWidths.Max())];
            if (kernels.Length == 0) continue;
            IReadOnlyDictionary<string, KernelCode> codes = PtxListing.Parse(CudaCompilations.Of(program).Ptx);
            foreach (KernelDefinition kernel in kernels)
                yield return Inspector.Read(kernel, program.Variant, new ResourceUsage(0, 0, 0), codes[kernel.EntryPoint]);
        }
    }

    private static bool IsDivision(Instruction instruction) =>
        DivisionOpcodes.Contains(instruction.Opcode.Split('.')[0])
        && instruction.Opcode.Split('.')[^1] is ['u' or 's', ..]
        && instruction.Operands[^1].StartsWith('%');

    /// <summary>Reasons, types and kernels.</summary>
    private sealed class Exceptions : List<(string Reason, string Types, string Kernels)>
    {
        public IEnumerable<string> Names =>
            from row in this
            from kernel in row.Kernels.Split(' ')
            from type in row.Types.Split(' ')
            select $"{kernel} {type}";
    }
}
