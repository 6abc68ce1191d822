using System.Globalization;
using Kernels.Inspection;
using Kernels.Reporting;
using Kernels.Tests.Documentation;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Inspection;

/// <summary>What the model knows of every kernel, and what its page says of those with too low a ceiling.</summary>
public sealed class CeilingTests
{
    private const string PagePath = "bench/results/model-h100.md";

    private static readonly (string Kernel, string Type, string Variant, double[] Shares)[] Ceilings =
    [
        .. from row in Markdown.Rows(Repository.Read(PagePath).Split('\n'))
           where row.ContainsKey(EarlierCeilings.Column)
           select (row["kernel"].Split(':')[0], row["type"], row["variant"], (double[])[Share(row["H100"]), Share(row["H200"])]),
    ];

    /// <summary>What a kernel must move, that it is one of products, or why neither is said: one of the three.</summary>
    [Fact]
    public void EveryKernelHasAnEntry()
    {
        string[] kernels = [.. KernelCatalog.All.Select(kernel => kernel.EntryPoint).Distinct().Order(StringComparer.Ordinal)];
        string[] entries =
            [.. KernelWork.Names.Select(name => name.Split(' ')[0]).Distinct(), .. KernelWork.Products, .. WithoutCeiling.Names];
        Assert.Equal(kernels, entries.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void ThePageHasEveryKernelWithPasses() =>
        Assert.Empty(KernelWork.Names.Select(name => name.Split(' ')[0]).Except(Ceilings.Select(row => row.Kernel)));

    /// <summary>Of the widest variants. A kernel that reaches the aim by now has to be taken off the table of reasons.</summary>
    [Fact]
    public void WhatIsBelowTheAimHasAReason()
    {
        (string, string)[] below =
        [
            .. Ceilings.Where(row => BelowAim.Holds(row.Shares) && IsWidest(row.Kernel, row.Variant))
                .Select(row => (row.Kernel, row.Type)).Distinct().Order(),
        ];
        Assert.Equal(below, BelowAim.Known.Order());
    }

    /// <summary>Their reasons are those of the table.</summary>
    [Fact]
    public void ThePageSaysTheReasons()
    {
        IEnumerable<((string, string), string?)> said =
            from row in Markdown.Rows(Repository.Read(PagePath).Split('\n'))
            where row.ContainsKey(InspectTable.WhyColumn)
            select ((row["kernel"], row["type"]), (string?)row[InspectTable.WhyColumn]);
        Assert.Equal(
            BelowAim.Known.Select(known => (known, BelowAim.ReasonOf(known.Kernel, known.Type))).Order(), said.Distinct().Order());
    }

    [Fact]
    public void TheFirstCeilingsStayFromPageToPage()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "| kernel | type | variant | H100 | H200 | bound |\n| --- | --- | --- | ---: | ---: | ---: |\n"
                + "| relu_forward | f32 | VEC=8 | 61% | 43% | issue |\n");
            Assert.Equal("61%, 43%", EarlierCeilings.Read(path).Of("relu_forward", "f32", "VEC=8"));
            File.WriteAllText(path, $"| kernel | type | variant | H100 | H200 | {EarlierCeilings.Column} |\n"
                + "| relu_forward | f32 | VEC=8 | 99% | 98% | 61%, 43% |\n| relu_forward | bf16 | VEC=8 | 97% | 96% |  |\n");
            Assert.Equal("61%, 43%", EarlierCeilings.Read(path).Of("relu_forward", "f32", "VEC=8"));
            Assert.Equal("97%, 96%", EarlierCeilings.Read(path).Of("relu_forward", "bf16", "VEC=8"));
            Assert.Equal("", EarlierCeilings.Read(path).Of("relu_forward", "f32", "VEC=1"));
            File.WriteAllText(path, "no table");
            Assert.Throws<ArgumentException>(() => EarlierCeilings.Read(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static bool IsWidest(string kernel, string variant) =>
        !variant.StartsWith("VEC=1", StringComparison.Ordinal)
        || KernelCatalog.All.First(each => each.EntryPoint == kernel).VectorWidths.Max() == 1;

    private static double Share(string percent) => double.Parse(percent.TrimEnd('%'), CultureInfo.InvariantCulture) / 100;
}
