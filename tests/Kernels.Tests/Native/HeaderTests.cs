using Kernels.Bindings;
using Kernels.Native;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>The header and the table of the C interface.</summary>
public sealed class HeaderTests
{
    private const string Remedy =
        "make both anew: dotnet exec .artifacts/bin/Kernels.Bindings/release/Kernels.Bindings.dll header "
        + ".artifacts/bin/Kernels.Native/release/Kernels.Native.dll native/include";

    private static readonly Interface Exports = Interface.Of(typeof(DropoutExports).Assembly);

    /// <summary>Both are made from the exports, which are made from the public API: what that has, they have.</summary>
    [Fact]
    public void HeaderAndTableAreThoseOfTheExports()
    {
        Assert.True(Repository.Read("native/include/kernels.h") == HeaderWriter.Write(Exports), $"kernels.h is out of date; {Remedy}");
        Assert.True(Repository.Read("native/include/kernels.json") == TableWriter.Write(Exports), $"kernels.json is out of date; {Remedy}");
    }

    /// <summary>Each public method of an op is a function.</summary>
    [Fact]
    public void EveryOpIsExported()
    {
        HashSet<string> functions = [.. Exports.Sections.SelectMany(section => section.Functions).Select(function => function.Name)];
        IEnumerable<string> expected = typeof(Device).Assembly.GetExportedTypes()
            .SelectMany(type => type.GetMethods())
            .Where(method => method is { IsStatic: true, IsPublic: true }
                && method.GetParameters().FirstOrDefault()?.ParameterType == typeof(DeviceStream))
            .Select(method => Names.Function(method.DeclaringType!.Name, method.Name)).Distinct();
        Assert.Empty(expected.Except(functions));
        Assert.Superset(new HashSet<string> { "kernels_dropout_forward", "kernels_cutmix_draw", "kernels_adamw_create" }, functions);
    }

    /// <summary>All functions, structs and macros of defaults, as C99 and as C++17, without a warning.</summary>
    [Theory]
    [InlineData("cc", "c99", "c")]
    [InlineData("c++", "c++17", "cpp")]
    public async Task HeaderCompiles(string compiler, string standard, string extension)
    {
        SharedLibrary.SkipWithoutCompiler(compiler);
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kernels-header-");
        try
        {
            string source = Path.Combine(folder.FullName, "all." + extension);
            File.WriteAllText(source, SharedLibrary.UseOfEverything(Exports));
            TestProcess compiled = await TestProcess.Run(
                compiler,
                [
                    "-std=" + standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I" + Repository.PathOf("native/include"),
                    "-fsyntax-only", source,
                ]);
            Assert.True(compiled.ExitCode == 0, compiled.Error);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
