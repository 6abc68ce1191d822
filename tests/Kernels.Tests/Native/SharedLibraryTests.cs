using System.Runtime.InteropServices;
using Kernels.Bindings;
using Kernels.Native;
using Kernels.Tests.Documentation;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>The shared library as C programs meet it.</summary>
public sealed class SharedLibraryTests
{
    private static readonly Interface Exports = Interface.Of(typeof(DropoutExports).Assembly);

    /// <summary>What the header declares the library has, and nothing else that begins with its name.</summary>
    [Fact]
    public async Task LibraryHasWhatTheHeaderDeclares()
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        string source = Path.GetTempFileName() + ".c";
        try
        {
            File.WriteAllText(source, SharedLibrary.UseOfEverything(Exports));
            TestProcess run = await SharedLibrary.CompileAndRun(source, []);
            Assert.Equal((0, "0 missing\n"), (run.ExitCode, run.Output));
        }
        finally
        {
            File.Delete(source);
        }

        TestProcess symbols = await TestProcess.Run("nm", ["-D", "--defined-only", SharedLibrary.File]);
        Assert.SkipUnless(symbols.ExitCode == 0, "there is no nm");
        IEnumerable<string> exported = symbols.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ')[^1]);
        IEnumerable<string> declared = Exports.Sections.SelectMany(section => section.Functions).Select(function => function.Name);
        Assert.Equal(declared.Order(StringComparer.Ordinal), exported.Order(StringComparer.Ordinal));
    }

    /// <summary>The example trains, and every bad call of the other program gives a status and a message.</summary>
    [Fact]
    public async Task ExampleTrains()
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        TestProcess run = await SharedLibrary.CompileAndRun(Repository.PathOf("native/examples/train.c"), [], "cpu");
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Matches(@"^loss 0\.\d+ after 300 steps, right: (0\.9\d\d|1\.000)\n$", run.Output);
    }

    /// <summary>
    /// Bad calls get a status and a message, and read and write nothing that they should not, which AddressSanitizer watches; a good one
    /// has the bits of the managed call.
    /// </summary>
    [Fact]
    public async Task BadCallsGetAMessage()
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        string[] options = await SharedLibrary.HasSanitizer() ? ["-fsanitize=address,undefined"] : [];
        TestProcess run = await SharedLibrary.CompileAndRun(Repository.PathOf("native/library/check.c"), options);
        Assert.Equal((0, $"sum {Sum():x8}\n", ""), (run.ExitCode, run.Output, run.Error));
    }

    /// <summary>Addresses and a cl_mem of the caller, on every device there is; CUDA without a GPU is the machine of native/.</summary>
    [Theory]
    [InlineData("opencl:0")]
    [InlineData("cuda:0")]
    public async Task BorrowedMemoryHasTheSameBits(string device)
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        DeviceDescription? found = TestDevices.All.SingleOrDefault(description => description.Id == device);
        Assert.SkipUnless(found is { Available: true }, $"{device}: {found?.Reason ?? "not there"}");
        TestProcess run = await SharedLibrary.CompileAndRun(Repository.PathOf("native/library/check.c"), [], device);
        Assert.Equal((0, $"sum {Sum():x8}\n"), (run.ExitCode, run.Output));
    }

    /// <summary>The program on the page.</summary>
    [Fact]
    public async Task ProgramOfThePageRuns()
    {
        SharedLibrary.SkipUnlessBuilt();
        SharedLibrary.SkipWithoutCompiler("cc");
        string page = Repository.Read("kernels/docs/native.md");
        string program = page.Split("```c\n")[1].Split("```")[0], source = Path.GetTempFileName() + ".c";
        try
        {
            File.WriteAllText(source, program);
            TestProcess run = await SharedLibrary.CompileAndRun(source, []);
            Assert.Equal(0, run.ExitCode);
            Assert.Matches(@"^Dropout\.Forward: dropProbability lies in \[0, 1\][^:]*1\.25\.\n$", run.Error);
        }
        finally
        {
            File.Delete(source);
        }
    }

    /// <summary>As in check.c.</summary>
    private static uint Sum()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        float[] values = [.. Enumerable.Range(0, 1000).Select(i => (float)(i - 500) / 16)];
        using DeviceTensor<float> x = device.Upload<float>(values, 10, 100);
        using DeviceTensor<float> y = device.Allocate<float>(10, 100);
        Dropout.Forward(stream, x, y, 0.25, new RandomKey(42, 7));
        return MemoryMarshal.Cast<float, uint>(y.ToArray(stream)).ToArray().Aggregate(0u, (sum, bits) => unchecked((sum * 31) + bits));
    }
}
