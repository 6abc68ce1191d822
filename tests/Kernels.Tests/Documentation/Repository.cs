using System.Runtime.CompilerServices;

namespace Kernels.Tests.Documentation;

/// <summary>Files of the repository that the tests were built from.</summary>
internal static class Repository
{
    public static readonly string Root = Find();

    public static string Read(string path) => File.ReadAllText(PathOf(path)).ReplaceLineEndings("\n");

    public static string PathOf(string path) => Path.Combine(Root, path);

    /// <summary>Source files of all projects, by a pattern such as <c>*.csproj</c>.</summary>
    public static IEnumerable<string> Sources(string pattern) => new[] { "src", "tests", "bench" }
        .SelectMany(folder => Directory.EnumerateFiles(PathOf(folder), pattern, SearchOption.AllDirectories));

    private static string Find([CallerFilePath] string here = "")
    {
        for (DirectoryInfo? folder = Directory.GetParent(here); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Kernels.sln"))) return folder.FullName;
        }

        throw new DirectoryNotFoundException($"Kernels.sln is in no folder above {here}.");
    }
}
