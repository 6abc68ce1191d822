using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>
/// The primary context of a GPU, which other CUDA libraries of the process share. After a sticky error (an illegal access, say) CUDA
/// answers every call with the same status; this object keeps the first cause, reports it from then on, and no longer frees anything: the
/// driver would only fail again and hide the cause.
/// </summary>
internal sealed class CudaContext(nint context, int device) : DriverContext(context)
{
    private DeviceException? _firstFailure;

    /// <summary>True after a sticky error.</summary>
    public bool IsPoisoned => Volatile.Read(ref _firstFailure) is not null;

    /// <summary>
    /// Held while a stream is captured, and by calls that wait for the whole context, as making and destroying a cuBLAS handle does: such a
    /// call breaks off every capture that it meets, whichever thread captures.
    /// </summary>
    public Lock WholeContext { get; } = new();

    /// <summary>
    /// Makes the context current on this thread until the result is disposed, and keeps it, or <paramref name="handle"/> made in it, from
    /// being released meanwhile.
    /// </summary>
    public Scope MakeCurrent(DriverHandle? handle = null)
    {
        ThrowIfPoisoned();
        HandleLease lease = new((NativeHandle?)handle ?? this);
        CudaStatus status = cuCtxPushCurrent_v2(Value);
        if (status == CudaStatus.Success) return new Scope(lease);
        lease.Dispose();
        throw Failure(status, nameof(cuCtxPushCurrent_v2), op: null);
    }

    public void ThrowIfFailed(CudaStatus status, string? op = null, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != CudaStatus.Success) throw Failure(status, call, op);
    }

    public DeviceException Failure(CudaStatus status, string call, string? op)
    {
        if (_firstFailure is { } first) return Poisoned(first);
        DeviceException failure = CudaError.Exception(status, call, op);
        if (!CudaError.IsSticky(status)) return failure;
        return Interlocked.CompareExchange(ref _firstFailure, failure, null) is { } earlier ? Poisoned(earlier) : failure;
    }

    public void ThrowIfPoisoned()
    {
        if (Volatile.Read(ref _firstFailure) is { } first) throw Poisoned(first);
    }

    protected override void Release() => cuDevicePrimaryCtxRelease_v2(device);

    protected override bool TryReleaseCore(IReleasable resource)
    {
        if (IsPoisoned) return true;
        CudaStatus status = cuCtxPushCurrent_v2(Value);
        if (status != CudaStatus.Success)
        {
            Failure(status, nameof(cuCtxPushCurrent_v2), op: null);
            return IsPoisoned;
        }

        resource.Release();
        cuCtxPopCurrent_v2(out _);
        return true;
    }

    private static DeviceException Poisoned(DeviceException first) =>
        new($"The CUDA context was lost by an earlier error: {first.Message}", first.Status, first.Call, first.Op, first);

    /// <summary>Takes the context off this thread again.</summary>
    internal readonly ref struct Scope(HandleLease lease)
    {
        private readonly HandleLease _lease = lease;

        public void Dispose()
        {
            cuCtxPopCurrent_v2(out _);
            _lease.Dispose();
        }
    }
}

/// <summary>Names and kinds of CUDA statuses.</summary>
internal static class CudaError
{
    public static bool IsSticky(CudaStatus status) => status is
        CudaStatus.IllegalAddress or CudaStatus.LaunchTimeout or CudaStatus.Assert or CudaStatus.HardwareStackError
        or CudaStatus.IllegalInstruction or CudaStatus.MisalignedAddress or CudaStatus.InvalidAddressSpace or CudaStatus.InvalidPc
        or CudaStatus.LaunchFailed or CudaStatus.EccUncorrectable or CudaStatus.ContextIsDestroyed or CudaStatus.NvlinkUncorrectable
        or CudaStatus.Contained or CudaStatus.TensorMemoryLeak or CudaStatus.MpsClientTerminated
        or CudaStatus.Deinitialized or CudaStatus.Unknown;

    public static DeviceException Exception(CudaStatus status, string call, string? op)
    {
        string name = $"{status} ({(int)status})";
        string of = op is null ? "" : $" in {op}";
        string message = $"CUDA: {name}{of} from {call}: {Describe(status)}";
        return status == CudaStatus.OutOfMemory
            ? new OutOfDeviceMemoryException(message, 0, name, call, op)
            : new DeviceException(message, name, call, op);
    }

    /// <summary>The driver's own sentence.</summary>
    public static string Describe(CudaStatus status) =>
        cuGetErrorString(status, out nint text) == CudaStatus.Success ? Marshal.PtrToStringUTF8(text) ?? "" : "";
}
