namespace Kernels.Cli;

/// <summary>Exit codes of every command.</summary>
internal static class ExitCode
{
    /// <summary>All done, all passed.</summary>
    public const int Success = 0;

    /// <summary>A check did not pass.</summary>
    public const int CheckFailed = 1;

    /// <summary>
    /// The command could not do its work: a missing device, a damaged file, a wrong argument, an output that takes nothing.
    /// </summary>
    public const int Failed = 2;

    /// <summary>Ctrl+C or SIGTERM came before the end; what was finished until then is the result.</summary>
    public const int Interrupted = 130;
}
