using System.Text;

namespace Kernels.Cli;

/// <summary>Standard output takes nothing: the disk is full, or it is closed.</summary>
internal sealed class OutputException(Exception inner) : Exception($"standard output cannot be written: {inner.Message}", inner);

/// <summary>
/// Standard output, whose failures are told from those of other files, or standard error, whose failures nobody could be told of.
/// </summary>
internal sealed class StandardStream(TextWriter writer, bool isError) : TextWriter
{
    public override Encoding Encoding => writer.Encoding;

    public override void Write(char value) => Guard(() => writer.Write(value));

    public override void Write(char[] buffer, int index, int count) => Guard(() => writer.Write(buffer, index, count));

    public override void Write(string? value) => Guard(() => writer.Write(value));

    public override void WriteLine(string? value) => Guard(() => writer.WriteLine(value));

    public override void Flush() => Guard(writer.Flush);

    private void Guard(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A closed descriptor is the inner exception of a denied access.
            if (!isError) throw new OutputException(e.InnerException ?? e);
        }
    }
}
