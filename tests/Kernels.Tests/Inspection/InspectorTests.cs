using Kernels.Devices.Cuda;
using Kernels.Inspection;
using Kernels.Tests.FakeDriver;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Inspection;

/// <summary>The command's work on real machine code, where NVRTC and cuobjdump are found.</summary>
public sealed class InspectorTests
{
    [Fact]
    public void ReluIsReadWhole()
    {
        SkipWithoutTools();
        InspectRow[] rows = [.. Inspect("relu", null).SelectMany(InspectRow.From)];
        Assert.Equal(8, rows.Length); // two kernels, two types, two widths
        Assert.All(rows, row =>
        {
            Assert.Null(row.Note);
            Assert.InRange(row.Registers, 10, 64);
            Assert.Equal((0, 0, 0, 0), (row.LocalBytes, row.LocalLoads, row.LocalStores, row.SharedBytes));
            Assert.InRange(row.H100FractionOfCopy!.Value, 0.1, 1);
            Assert.InRange(row.H200FractionOfCopy!.Value, 0.1, row.H100FractionOfCopy.Value);
            Assert.InRange(row.InstructionsPerElement!.Value, 2, 60);
            Assert.Equal(row.LeastBytesPerElement, row.LoadedBytesPerElement + row.StoredBytesPerElement);
        });
        InspectRow forward = Assert.Single(rows, row => row is { Kernel: "relu_forward", Dtype: "bf16", Variant: "VEC=8" });
        Assert.Equal((8, "1x16", 4), (forward.Elements, forward.Loads, forward.LeastBytesPerElement));
    }

    /// <summary>Bits of a mask have no bytes of their own.</summary>
    [Fact]
    public void KernelsWithoutACeilingAreCounted()
    {
        SkipWithoutTools();
        KernelInspection mask = Assert.Single(Inspect("dropout", "dropout_mask"));
        Assert.False(mask.HasCeiling);
        Assert.NotEmpty(mask.Costs);
        Assert.All(InspectRow.From(mask), row => Assert.Equal((null, null), (row.Elements, row.H100FractionOfCopy)));
        string page = InspectPage.Text([.. InspectRow.From(mask)], null, EarlierCeilings.None, "kernels inspect");
        Assert.Contains("dropout_mask", page, StringComparison.Ordinal);
    }

    /// <summary>Products on tensor cores are counted as such, and shared memory that a launch adds is the group's.</summary>
    [Fact]
    public void ProductsHaveAShareOfThePeak()
    {
        SkipWithoutTools();
        InspectRow[] rows =
            [.. Inspect("conv2d", "conv2d_gather_mma").SelectMany(InspectRow.From).Where(row => row.FractionOfPeak is not null)];
        Assert.NotEmpty(rows);
        Assert.All(rows, row =>
        {
            Assert.InRange(row.FractionOfPeak!.Value, 0.3, Gpu.WarpProductShare);
            bool isWide = row.Variant.Contains("WIDE", StringComparison.Ordinal);
            Assert.Equal(isWide ? (128, 2) : (64, 3), (row.Tensor, row.GroupsPerMultiprocessor));
        });
    }

    [Fact]
    public void AMissingToolIsSaid()
    {
        Assert.False(Toolkit.TryFind(out _, out string? reason, "/nowhere"));
        Assert.Contains(Toolkit.FolderVariable, reason, StringComparison.Ordinal);
        Assert.Contains("/nowhere", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryOpHasFiles()
    {
        string[] files = [.. KernelCatalog.All.Select(kernel => kernel.File).Distinct()];
        Assert.All(OpCase.All, op => Assert.Subset(files.ToHashSet(), OpFiles.Of(op.Op).ToHashSet()));
        Assert.Equal(files.Order(), OpCase.All.SelectMany(op => OpFiles.Of(op.Op)).Distinct().Order());
    }

    [Fact]
    public void MeasuredTimesStandBesideCeilings()
    {
        SkipWithoutTools();
        InspectRow[] rows = [.. Inspect("relu", "relu_forward").SelectMany(InspectRow.From)];
        MeasuredTable.Time[] times = [new("relu", "forward", "16", "bf16", 0.0123, 0.876), new("linear", "forward", "16", "bf16", 1, 1)];
        IReadOnlyList<string> row = Assert.Single(MeasuredTable.Of(times, rows).Rows);
        Assert.Equal(["relu forward", "16", "bf16", "relu_forward", "0.0123", "88%"], row.Take(6));
    }

    [Fact]
    public void MeasuredEntriesAreBenched_AndTheirKernelsHaveCeilings()
    {
        Assert.Subset(
            OpCase.All.SelectMany(op => op.BenchProblems.Select(problem => $"{op.Op} {problem.Entry}")).ToHashSet(),
            MeasuredTable.Entries.ToHashSet());
        Assert.Subset(KernelWork.Names.ToHashSet(), MeasuredTable.KernelNames.ToHashSet());
    }

    [Fact]
    public void AFileWithoutTimesIsRefused() =>
        Assert.Throws<ArgumentException>(() => MeasuredTable.Read(typeof(InspectorTests).Assembly.Location));

    /// <summary>A page of results is read as its rows: those beside a copy, each problem once.</summary>
    [Fact]
    public void APageOfResultsHasTimes()
    {
        using TemporaryFolder folder = new();
        string page = Path.Combine(folder.Path, "gpu.md");
        File.WriteAllText(page, "# A GPU\n");
        Assert.Throws<ArgumentException>(() => MeasuredTable.Read(page));
        File.WriteAllText(
            page,
            """
            | op | shape | type | ms | of limit | to PyTorch |
            | --- | --- | --- | ---: | ---: | ---: |
            | stochastic-depth backward branch | 8x16 p=0.5 | bf16 | 0.0123 ±0.2% | 0.91 copy | 1.02× ±0.5% |
            | matmul forward | 8x16x4 | f32 | 0.5 ±2% | 0.44 peak | |
            """);
        Assert.Equal([new("stochastic-depth", "backward branch", "8x16 p=0.5", "bf16", 0.0123, 0.91)], MeasuredTable.Read(page));
    }

    private static IEnumerable<KernelInspection> Inspect(string op, string? kernel) =>
        Inspector.Inspect(new InspectionRequest(op, kernel, ["f32", "bf16"], null, ""), _ => { });

    private static void SkipWithoutTools()
    {
        if (!NvrtcProgram.TryVersion(out _, out string? compiler)) Assert.Skip($"NVRTC: {compiler}");
        if (!Toolkit.TryFind(out _, out string? tool)) Assert.Skip(tool!);
    }
}
