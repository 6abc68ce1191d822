using System.Text;

namespace Kernels.Reporting;

/// <summary>Where reports go.</summary>
internal static class ReportFile
{
    /// <summary>Tells before an hour of work, not after it, that the report has no place to go.</summary>
    /// <exception cref="ReportException">It has none.</exception>
    public static void CheckWritable(string path)
    {
        bool existed = File.Exists(path);
        Guard(path, () =>
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            File.Open(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
            if (!existed) File.Delete(path);
        });
    }

    /// <summary>Writes a report; an older one stays whole until the new one is complete.</summary>
    /// <exception cref="ReportException">It cannot be written.</exception>
    public static void Write(string path, string text) => Guard(path, () =>
    {
        string unfinished = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllText(unfinished, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        File.Move(unfinished, path, overwrite: true);
    });

    private static void Guard(string path, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ReportException(path, e);
        }
    }
}
