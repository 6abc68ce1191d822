using Kernels.Reporting;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Reporting;

/// <summary>What is found out when a report is opened is what happens when it is written, and it goes where the name leads.</summary>
public sealed class ReportFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kernels-report-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void OpeningLeavesEverythingAsItIs()
    {
        string old = Place("old.html");
        File.WriteAllText(old, "an older report");
        DateTime written = File.GetLastWriteTimeUtc(old);

        ReportFile.Open(old).Dispose();
        ReportFile.Open(Place("new.html")).Dispose();

        Assert.Equal(["old.html"], Names());
        Assert.Equal(("an older report", written), (File.ReadAllText(old), File.GetLastWriteTimeUtc(old)));
    }

    [Fact]
    public void FoldersAreMade()
    {
        using ReportFile report = ReportFile.Open(Place("a/b/report.html"));
        report.Write("text");

        Assert.Equal("text", File.ReadAllText(report.Path));
    }

    /// <summary>
    /// In place: whoever has the file open, or by another name, sees the report, and its folder need not be writable. Shorter and longer
    /// than before.
    /// </summary>
    [Theory]
    [InlineData("short")]
    [InlineData("longer than what was there")]
    public void AFileIsWrittenInPlace(string text)
    {
        string path = Place("report.html");
        File.WriteAllText(path, "what was there");
        using FileStream reader = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

        using ReportFile report = ReportFile.Open(path);
        report.Write(text);

        Assert.Equal(text, new StreamReader(reader).ReadToEnd());
        Assert.Equal(["report.html"], Names());
    }

    /// <summary>A link to a file, to one that is not there yet, and to a link.</summary>
    [Theory]
    [InlineData("target.html", true)]
    [InlineData("target.html", false)]
    [InlineData("second.html", true)]
    public void LinksAreFollowed(string target, bool exists)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs the right to make links");
        if (exists) File.WriteAllText(Place("target.html"), "old");
        File.CreateSymbolicLink(Place("second.html"), Place("target.html"));
        File.CreateSymbolicLink(Place("link.html"), Place(target));

        using (ReportFile report = ReportFile.Open(Place("link.html")))
        {
            Assert.Equal(exists, File.Exists(Place("target.html")));
            report.Write("new");
        }

        Assert.Equal(Place(target), new FileInfo(Place("link.html")).LinkTarget);
        Assert.Equal("new", File.ReadAllText(Place("target.html")));
        Assert.Equal(["link.html", "second.html", "target.html"], Names());
    }

    /// <summary>A pipe gets the report once, and stays a pipe; so do devices, which would be dangerous to try.</summary>
    [Fact]
    public async Task APipeGetsTheReport()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a named pipe");
        string pipe = Place("pipe.html");
        Assert.Equal(0, (await TestProcess.Run("mkfifo", [pipe])).ExitCode);
        // Each side's opening waits for the other's.
        Task<string> received = Task.Run(() => File.ReadAllText(pipe), TestContext.Current.CancellationToken);
        Task written = Task.Run(
            () =>
            {
                using ReportFile report = ReportFile.Open(pipe);
                report.Write("a report");
            },
            TestContext.Current.CancellationToken);
        await Task.WhenAll(received, written).WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);

        Assert.Equal("a report", await received);
        Assert.Equal(["pipe.html"], Names());
        Assert.Equal(0, (await TestProcess.Run("test", ["-p", pipe])).ExitCode);
    }

    /// <summary>A folder where the file should go, a file where its folder should be, a link that leads in a circle, no name.</summary>
    [Theory]
    [InlineData("folder")]
    [InlineData("file.html/report.html")]
    [InlineData("circle.html")]
    [InlineData("no\0name")]
    public void AnImpossiblePlaceIsAClearError(string name)
    {
        Directory.CreateDirectory(Place("folder"));
        File.WriteAllText(Place("file.html"), "");
        if (!OperatingSystem.IsWindows()) File.CreateSymbolicLink(Place("circle.html"), Place("circle.html"));
        else Directory.CreateDirectory(Place("circle.html"));

        ReportException e = Assert.Throws<ReportException>(() => ReportFile.Open(Place(name)));
        Assert.StartsWith($"the report {Place(name)} cannot be written: ", e.Message, StringComparison.Ordinal);
    }

    private string Place(string name) => Path.Combine(_folder, name);

    private string[] Names() => [.. Directory.EnumerateFileSystemEntries(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];
}
