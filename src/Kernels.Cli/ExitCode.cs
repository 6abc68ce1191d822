namespace Kernels.Cli;

/// <summary>Exit codes of every command.</summary>
internal static class ExitCode
{
    /// <summary>All done, all passed.</summary>
    public const int Success = 0;

    /// <summary>A check did not pass.</summary>
    public const int CheckFailed = 1;

    /// <summary>The command could not do its work: a missing device, a damaged file, a wrong argument.</summary>
    public const int Failed = 2;
}
