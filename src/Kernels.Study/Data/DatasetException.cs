namespace Kernels.Study;

/// <summary>A data file that is missing, damaged or not what it should be: says which file and why.</summary>
internal sealed class DatasetException : Exception
{
    public DatasetException(string file, string reason, Exception? inner = null)
        : base($"{file}: {reason}", inner)
    {
        File = file;
        Reason = reason;
    }

    public string File { get; }

    public string Reason { get; }
}
