using System.Xml.Linq;
using Kernels.Tests.Documentation;
using Xunit;

namespace Kernels.Tests.Architecture;

/// <summary>
/// Who may know whom: between projects by what they reference, inside the library by the folders of the files that types stand in.
/// </summary>
public sealed class ArrowTests
{
    /// <summary>A project references projects of lower layers only.</summary>
    private static readonly string[][] Layers =
    [
        ["Kernels", "Kernels.Reference", "Kernels.Reporting", "Kernels.Generators"],
        ["Kernels.Verification", "Kernels.Bindings"],
        ["Kernels.Benchmarks", "Kernels.Inspection", "Kernels.Native", "Kernels.Study"],
        ["Kernels.Cli", "Kernels.Bench"],
        ["Kernels.Tests"],
    ];

    /// <summary>
    /// A folder of the library, and the folders that its code may use. Every other folder is a family of ops, which may use another's, but
    /// not each other.
    /// </summary>
    private static readonly Dictionary<string, string[]> Folders = new()
    {
        ["Errors"] = [],
        ["Randomness"] = ["Errors"],
        ["Interop"] = ["Errors"],
        ["Devices"] = ["Interop", "Randomness", "Errors"],
        ["Cpu"] = ["Devices", "Randomness", "Errors"],
        ["Collectives"] = ["Cpu", "Devices", "Interop", "Errors", "Penalties"],
    };

    private static readonly string[] FamiliesMayUse = ["Cpu", "Devices", "Randomness", "Errors"];

    [Fact]
    public void ProjectsReferenceLowerLayers()
    {
        List<string> wrong = [];
        foreach (string file in Repository.Sources("*.csproj"))
        {
            string name = Path.GetFileNameWithoutExtension(file);
            IEnumerable<string> references = XDocument.Load(file).Descendants("ProjectReference")
                .Where(reference => reference.Attribute("OutputItemType")?.Value != "Analyzer")
                .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/')));
            wrong.AddRange(references.Where(reference => LayerOf(reference) >= LayerOf(name))
                .Select(reference => $"{name} -> {reference}"));
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void FoldersUseWhatLiesBelowThem()
    {
        CodeReferences code = CodeReferences.OfLibrary();
        Assert.Superset(new HashSet<string> { "Devices", "Cpu", "Interop", "Randomness", "Noise", "Optimizers" }, code.Folders);
        HashSet<(string, string)> arrows = [.. code.All.Select(reference => (reference.FromFolder, reference.ToFolder))];
        IEnumerable<string> wrong =
            from reference in code.All
            where reference.FromFolder != reference.ToFolder && !MayUse(reference.FromFolder, reference.ToFolder, arrows)
            group reference by (reference.FromFolder, reference.ToFolder) into arrow
            select $"{arrow.Key.FromFolder} -> {arrow.Key.ToFolder}: "
                + $"{string.Join(", ", arrow.Select(r => $"{r.From} uses {r.To}").Distinct().Take(8))}";
        Assert.Empty(wrong);
    }

    private static int LayerOf(string project)
    {
        int layer = Array.FindIndex(Layers, layer => layer.Contains(project));
        Assert.True(layer >= 0, $"{project} has no layer");
        return layer;
    }

    private static bool MayUse(string from, string to, HashSet<(string From, string To)> arrows)
    {
        bool areFamilies = !Folders.ContainsKey(from) && !Folders.ContainsKey(to);
        return areFamilies ? !arrows.Contains((to, from)) : (Folders.GetValueOrDefault(from) ?? FamiliesMayUse).Contains(to);
    }
}
