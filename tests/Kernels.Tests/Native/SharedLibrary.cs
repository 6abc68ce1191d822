using System.Runtime.Intrinsics.X86;
using System.Text;
using Kernels.Bindings;
using Kernels.Tests.Documentation;
using Kernels.Tests.FakeDriver;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>libkernels.so, and C programs that are compiled against it.</summary>
internal static class SharedLibrary
{
    /// <summary>Where the build puts it.</summary>
    public static string File => Path.Combine(StandIns.Folder, "libkernels.so");

    /// <summary>The level of instructions of the build that processes of these tests load.</summary>
    public static string Level => Environment.GetEnvironmentVariable("KERNELS_INSTRUCTION_SET") switch
    {
        { Length: > 0 } chosen => chosen,
        _ when Avx512F.VL.IsSupported => "x86-64-v4",
        _ => Avx2.IsSupported ? "x86-64-v3" : "base",
    };

    public static void SkipUnlessBuilt() => Assert.SkipUnless(
        System.IO.File.Exists(File),
        $"libkernels.so is not in {StandIns.Folder}: build.sh compiles it on Linux where the compiler ahead of time can be restored");

    public static void SkipWithoutCompiler(string compiler) => Assert.SkipUnless(
        !OperatingSystem.IsWindows() && Find(compiler), $"there is no {compiler}");

    /// <summary>A program that names every function, and has a variable of every struct.</summary>
    public static string UseOfEverything(Interface exports)
    {
        StringBuilder text = new("#include <kernels.h>\n#include <stdio.h>\n\ntypedef void (*function)(void);\n\n");
        foreach (Struct record in exports.Structs)
        {
            string value = record.HasDefaults ? $" = {record.Name.ToUpperInvariant()}_INIT" : "";
            text.Append($"static {record.Name} variable_{record.Name}{value};\n");
        }

        text.Append("\nstatic const function functions[] = {\n");
        foreach (Function function in exports.Sections.SelectMany(section => section.Functions))
            text.Append($"    (function){function.Name},\n");
        text.Append("};\n\nint main(void)\n{\n    size_t missing = 0;\n");
        foreach (Struct record in exports.Structs) text.Append($"    (void)variable_{record.Name};\n");
        return text.Append("""
                for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) missing += functions[i] == NULL;
                printf("%u missing\n", (unsigned)missing);
                return missing != 0;
            }

            """).ToString();
    }

    /// <summary>Compiles a C program against the library, and runs it.</summary>
    public static async Task<TestProcess> CompileAndRun(string source, IEnumerable<string> options, params string[] arguments)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kernels-native-");
        try
        {
            string program = Path.Combine(folder.FullName, "program");
            TestProcess compiled = await TestProcess.Run(
                "cc",
                [
                    "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-D_POSIX_C_SOURCE=200809L", .. options,
                    "-I" + Repository.PathOf("native/include"), source, "-L" + StandIns.Folder, "-lkernels", "-lm", "-lpthread",
                    "-Wl,-rpath," + StandIns.Folder, "-o", program,
                ]);
            Assert.True(compiled.ExitCode == 0, compiled.Error);
            // What managed objects hold looks lost to who does not know them.
            Dictionary<string, string?> environment = new() { ["ASAN_OPTIONS"] = "detect_leaks=0" };
            if (MachineDriver.IsInstalled) environment[MachineDriver.Variable] = StandIns.Cuda;
            return await TestProcess.Run(program, arguments, environment: environment);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Whether the C compiler comes with AddressSanitizer.</summary>
    public static async Task<bool> HasSanitizer()
    {
        string empty = Path.GetTempFileName() + ".c";
        try
        {
            System.IO.File.WriteAllText(empty, "int main(void) { return 0; }\n");
            return (await TestProcess.Run("cc", ["-fsanitize=address,undefined", empty, "-o", "/dev/null"])).ExitCode == 0;
        }
        finally
        {
            System.IO.File.Delete(empty);
        }
    }

    private static bool Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => System.IO.File.Exists(Path.Combine(folder, program)));
}
