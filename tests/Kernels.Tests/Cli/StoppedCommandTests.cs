using System.Globalization;
using System.Text.Json;
using Kernels.Cli.Commands;
using Kernels.Study;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>A signal ends a command cleanly, with what was finished; a later one ends it at once.</summary>
public sealed class StoppedCommandTests
{
    private const int Interrupted = 130;

    [Fact]
    public async Task TheStudyKeepsFinishedRuns()
    {
        Assert.SkipUnless(Directory.Exists(FashionMnist.DebianDirectory), "Debian's package dataset-fashion-mnist is not installed");
        string report = Path.Combine(Path.GetTempPath(), $"kernels-{Guid.NewGuid():N}.html");
        try
        {
            TaskCompletionSource<int> process = new();
            TestProcess command = await KernelsCommand.Watch(
                process.SetResult,
                line => SignalAt("seed 1  done", line, process.Task, TimeSpan.Zero),
                "study", "--json", "--recipe", "baseline", "--seeds", "50", "--epochs", "1", "--device", "cpu", "--report", report);

            Assert.Equal(Interrupted, command.ExitCode);
            IReadOnlyList<JsonElement> rows = command.Rows();
            Assert.InRange(rows.Count, 1, 49);
            Assert.Contains($"{50 - rows.Count} of 50 runs are missing", File.ReadAllText(report), StringComparison.Ordinal);
            Assert.Contains("stopped before its end", command.Error, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(report);
        }
    }

    /// <summary>The data come from a pipe that says nothing, so that the command neither ends nor computes.</summary>
    [Fact]
    public async Task ALaterSignalEndsTheProcess()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a named pipe");
        DirectoryInfo data = Directory.CreateTempSubdirectory("kernels-data-");
        string pipe = Path.Combine(data.FullName, FashionMnist.TrainImages.Name);
        try
        {
            Assert.Equal(0, (await TestProcess.Run("mkfifo", [pipe])).ExitCode);
            TaskCompletionSource<int> process = new();
            Task<TestProcess> running = KernelsCommand.Watch(
                process.SetResult,
                // Two signals within a second count as one.
                line => SignalAt("once more ends at once", line, process.Task, TimeSpan.FromSeconds(1.5)),
                "study", "--json", "--device", "cpu", "--data", data.FullName);
            // Opening waits for the reader: then the command is at work.
            Task<FileStream> opening = Task.Run(() => new FileStream(pipe, FileMode.Open, FileAccess.Write),
                TestContext.Current.CancellationToken);
            if (await Task.WhenAny(opening, running) == running) Assert.Fail($"it ended with {await running}");
            using FileStream writer = await opening;
            await Signal(await process.Task);
            TestProcess command = await running;

            Assert.Equal((Interrupted, ""), (command.ExitCode, command.Output));
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    /// <summary>Stopped in the third row, which is then none.</summary>
    [Fact]
    public void VerificationKeepsFinishedRows()
    {
        using CancellationTokenSource source = new();
        List<VerifyCommand.Row> rows = [];
        OpCase relu = OpCase.All.Single(op => op.Op == "relu");

        Assert.False(VerifyCommand.Verify(["cpu"], [relu], long.MaxValue, rows, Stop, source.Token));
        Assert.Equal(["f32", "f16"], rows.Select(row => row.Dtype));
        Assert.All(rows, row => Assert.True(row.Passed));

        void Stop(string status)
        {
            if (status == "cpu relu bf16") source.Cancel();
        }
    }

    private static async void SignalAt(string mark, string line, Task<int> process, TimeSpan delay)
    {
        if (!line.Contains(mark, StringComparison.Ordinal)) return;
        await Task.Delay(delay);
        await Signal(await process);
    }

    // SIGTERM, as a shell that runs something in the background lets it ignore SIGINT; the command treats both alike.
    private static Task Signal(int process) => TestProcess.Run("kill", ["-TERM", process.ToString(CultureInfo.InvariantCulture)]);
}
