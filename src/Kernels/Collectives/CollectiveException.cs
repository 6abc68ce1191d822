namespace Kernels;

/// <summary>
/// A call to other ranks did not succeed, on this rank or another: a rank is missing, left or made another call, or the transport failed.
/// The group cannot be used any more.
/// </summary>
public sealed class CollectiveException : DeviceException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What happened, with the ranks and calls.</param>
    /// <param name="culprits">The ranks at fault, as far as this rank can know.</param>
    /// <param name="status">The library's name of the status, where its call failed.</param>
    /// <param name="call">The library's call that failed.</param>
    /// <param name="op">The collective call.</param>
    /// <param name="inner">The cause.</param>
    public CollectiveException(
        string message, IReadOnlyList<int>? culprits = null, string? status = null, string? call = null, string? op = null,
        Exception? inner = null)
        : base(message, status, call, op, inner) => Culprits = culprits ?? [];

    /// <summary>The ranks at fault, as far as this rank can know; empty where it cannot.</summary>
    public IReadOnlyList<int> Culprits { get; }
}
