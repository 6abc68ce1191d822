namespace Kernels;

/// <summary>A device or its driver failed: which call, with which status, in which op.</summary>
public class DeviceException : Exception
{
    /// <summary>Creates the exception for a driver call that returned <paramref name="status"/>.</summary>
    public DeviceException(string message, string? status = null, string? call = null, string? op = null, Exception? inner = null)
        : base(message, inner)
    {
        Status = status;
        Call = call;
        Op = op;
    }

    /// <summary>The vendor's name of the status, for example <c>OutOfMemory (2)</c>; null when no driver call failed.</summary>
    public string? Status { get; }

    /// <summary>The driver call that failed, as written in the library's source; null when no driver call failed.</summary>
    public string? Call { get; }

    /// <summary>The op that was being run, when known.</summary>
    public string? Op { get; }
}

/// <summary>The device has too little free memory for a request. The device stays usable: free something and try again.</summary>
public sealed class OutOfDeviceMemoryException : DeviceException
{
    /// <summary>Creates the exception for a request of <paramref name="requestedBytes"/>.</summary>
    public OutOfDeviceMemoryException(
        string message, long requestedBytes, string? status = null, string? call = null, string? op = null, Exception? inner = null)
        : base(message, status, call, op, inner) => RequestedBytes = requestedBytes;

    /// <summary>The number of bytes asked for; 0 where the driver ran out by itself, as it may when it loads a kernel.</summary>
    public long RequestedBytes { get; }
}

/// <summary>The device asked for is not there, or a library that it needs cannot be loaded; the message says which and why.</summary>
public sealed class DeviceNotAvailableException(string message, Exception? inner = null) : DeviceException(message, inner: inner);

/// <summary>
/// Device code did not compile. <see cref="CompilerLog"/> holds what the compiler said, with the names of the real files.
/// </summary>
public sealed class KernelCompilationException : DeviceException
{
    /// <summary>Creates the exception for a program that did not build.</summary>
    public KernelCompilationException(string message, string compilerLog, string? status = null, string? call = null)
        : base($"{message}\n{compilerLog}", status, call) => CompilerLog = compilerLog;

    /// <summary>The compiler's log.</summary>
    public string CompilerLog { get; }
}

/// <summary>
/// A kernel met data it cannot use, such as an id outside a table. Thrown by the synchronisation after the launch; the device stays usable,
/// and what the op does with such an element is in its documentation.
/// </summary>
public sealed class DeviceDataException(string message, string op, long index) : DeviceException(message, op: op)
{
    /// <summary>The lowest index of an offending element.</summary>
    public long Index { get; } = index;
}
