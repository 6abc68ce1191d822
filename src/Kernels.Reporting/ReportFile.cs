using System.Text;

namespace Kernels.Reporting;

/// <summary>
/// Where a report goes. It is opened before the work and written after it, both times in the same way: in place, through links, into
/// devices and pipes. So what is found out before an hour of work is what happens after it.
/// </summary>
internal sealed class ReportFile : IDisposable
{
    private FileStream? _pipe;

    private ReportFile(string path) => Path = path;

    /// <summary>The full path.</summary>
    public string Path { get; }

    /// <summary>Tells whether a report can be written there, and leaves what is there as it is.</summary>
    /// <exception cref="ReportException">It cannot.</exception>
    public static ReportFile Open(string path) => Guard(path, () =>
    {
        ReportFile report = new(FullPath(path));
        bool isLink = new FileInfo(report.Path).LinkTarget is not null;
        string target = isLink ? File.ResolveLinkTarget(report.Path, returnFinalTarget: true)!.FullName : report.Path;
        bool existed = System.IO.Path.Exists(target);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(report.Path)!);
        FileStream stream = report.OpenStream();
        // Closing a pipe would end it for its reader.
        if (!stream.CanSeek)
        {
            report._pipe = stream;
            return report;
        }

        stream.Dispose();
        if (!existed) File.Delete(target);
        return report;
    });

    /// <summary>Writes the report. A file that is there keeps its name, its owner and its other links.</summary>
    /// <exception cref="ReportException">It cannot be written.</exception>
    public void Write(string text) => Guard(Path, () =>
    {
        using FileStream stream = _pipe ?? OpenStream();
        stream.Write(Encoding.UTF8.GetBytes(text));
        if (stream.CanSeek && stream.Length > stream.Position) stream.SetLength(stream.Position);
        return this;
    });

    public void Dispose() => _pipe?.Dispose();

    // Unbuffered, so that a full disk is noticed by the write and not by what comes after it.
    private FileStream OpenStream() => new(Path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);

    private static string FullPath(string path)
    {
        try
        {
            return System.IO.Path.GetFullPath(path);
        }
        catch (FileNotFoundException e)
        {
            throw new IOException("the working folder is no longer there", e);
        }
    }

    private static ReportFile Guard(string path, Func<ReportFile> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ReportException(path, e);
        }
    }
}
