using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Kernels.Native;

/// <summary>Where exceptions end: as a status, with a message for the thread.</summary>
internal static unsafe class Failure
{
    private static readonly byte[] NoMessage = GC.AllocateArray<byte>(1, pinned: true);

    /// <summary>UTF-8 that ends with a zero, in memory that does not move and goes with the thread.</summary>
    [ThreadStatic]
    private static byte[]? _message;

    /// <summary>The message of the thread's last failure, never null.</summary>
    public static byte* Message => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_message ?? NoMessage));

    /// <summary>Keeps the message and tells the status.</summary>
    public static Status Set(Exception exception)
    {
        try
        {
            Keep(MessageOf(exception));
        }
        catch (OutOfMemoryException)
        {
            _message = null;
            return Status.OutOfMemory;
        }

        return StatusOf(exception);
    }

    /// <summary>Runs what is not worth a try of its own; ops have theirs, so that they make no garbage.</summary>
    public static Status Guard(Action work)
    {
        try
        {
            work();
            return Status.Ok;
        }
        catch (Exception e)
        {
            return Set(e);
        }
    }

    /// <summary>What the runtime says of objects that are gone names types of .NET.</summary>
    private static string MessageOf(Exception exception) =>
        exception is ObjectDisposedException { ObjectName: { Length: > 0 } name } && name.StartsWith("Kernels.", StringComparison.Ordinal)
            ? $"{name[(name.LastIndexOf('.') + 1)..]} was freed."
            : exception.Message;

    private static void Keep(string message)
    {
        int length = Encoding.UTF8.GetByteCount(message);
        if (_message is null || _message.Length <= length) _message = GC.AllocateArray<byte>(Math.Max(length + 1, 512), pinned: true);
        Encoding.UTF8.GetBytes(message, _message);
        _message[length] = 0;
    }

    private static Status StatusOf(Exception exception) => exception switch
    {
        InvalidHandleException or ObjectDisposedException => Status.InvalidHandle,
        DeviceNotAvailableException => Status.DeviceNotAvailable,
        OutOfDeviceMemoryException or OutOfMemoryException => Status.OutOfMemory,
        KernelCompilationException => Status.CompilationFailed,
        DeviceDataException => Status.BadData,
        DeviceException => Status.DeviceError,
        ArgumentException => Status.InvalidArgument,
        NotSupportedException => Status.NotSupported,
        InvalidOperationException => Status.InvalidState,
        _ => Status.InternalError,
    };
}

/// <summary>A handle that stands for nothing, or for something else.</summary>
internal sealed class InvalidHandleException(string message) : ArgumentException(message);
