using System.Runtime.CompilerServices;

namespace Kernels.Tests.Documentation;

/// <summary>Files of the repository that the tests were built from.</summary>
internal static class Repository
{
    public static readonly string Root = Find();

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path)).ReplaceLineEndings("\n");

    private static string Find([CallerFilePath] string here = "")
    {
        for (DirectoryInfo? folder = Directory.GetParent(here); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Kernels.sln"))) return folder.FullName;
        }

        throw new DirectoryNotFoundException($"Kernels.sln is in no folder above {here}.");
    }
}
