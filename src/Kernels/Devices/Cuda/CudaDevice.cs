using System.Text;
using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>An NVIDIA GPU through the CUDA driver API and its primary context; kernels are compiled by NVRTC.</summary>
internal sealed unsafe class CudaDevice : Device
{
    /// <summary>Groups per multiprocessor: several times what is resident, so that the end of a launch evens out; at most.</summary>
    private const int GroupsPerMultiprocessor = 32;

    private const nint LegacyStream = 1;

    private const nint PerThreadStream = 2;

    /// <summary>The first that copies to shared memory beside its code, and multiplies tiles as conv2d does.</summary>
    private const int Ampere = 80;

    /// <summary>False with <c>KERNELS_NO_RESIDENT=1</c>.</summary>
    private static readonly bool UsesResidentKernels = Environment.GetEnvironmentVariable("KERNELS_NO_RESIDENT") != "1";

    private readonly bool _launchesCooperatively;

    private CudaDevice(DeviceDescription description, CudaContext context, int device)
        : base(description)
    {
        Context = context;
        Queues = new CudaQueues(context);
        ComputeCapability = Capability(device);
        ComputeUnits = Attribute(CudaDeviceAttribute.MultiprocessorCount, device);
        ThreadsPerMultiprocessor = Attribute(CudaDeviceAttribute.MaxThreadsPerMultiprocessor, device);
        LargestSharedBytes = Attribute(CudaDeviceAttribute.MaxSharedMemoryPerBlockOptin, device);
        _launchesCooperatively = Attribute(CudaDeviceAttribute.CooperativeLaunch, device) != 0;
        Programs = new CudaPrograms(this);
    }

    public override bool SupportsFloat64 => true;

    public override nint NativeContext => Context.Value;

    internal CudaContext Context { get; }

    internal CudaPrograms Programs { get; }

    /// <summary>The streams that may have work.</summary>
    internal CudaQueues Queues { get; }

    /// <summary>Ten times the major version plus the minor one: 90 for Hopper.</summary>
    internal int ComputeCapability { get; }

    /// <summary>The most shared memory that a group may ask for.</summary>
    internal int LargestSharedBytes { get; }

    internal override int ComputeUnits { get; }

    internal override string? RejectTensorCores(int sharedBytes)
    {
        if (RejectOlder() is { } reason) return reason;
        return LargestSharedBytes < sharedBytes
            ? $"a group may have {LargestSharedBytes} bytes of shared memory, {sharedBytes} are needed" : null;
    }

    internal override string? RejectResidentKernels()
    {
        if (!UsesResidentKernels) return "KERNELS_NO_RESIDENT=1 leaves them aside";
        return RejectOlder() ?? (_launchesCooperatively ? null : "the driver has no cooperative launches for it");
    }

    internal override long ResidentGroups(KernelDefinition kernel, in KernelVariant variant, int sharedBytes)
    {
        using CudaContext.Scope scope = Context.MakeCurrent();
        CudaKernel compiled = Programs.Get(kernel, variant);
        if (sharedBytes > compiled.SharedBytes) return 0;
        using HandleLease lease = new(compiled);
        Context.ThrowIfFailed(
            cuOccupancyMaxActiveBlocksPerMultiprocessor(out int resident, compiled.Function, kernel.GroupSize, (nuint)sharedBytes),
            kernel.EntryPoint);
        return (long)ComputeUnits * resident;
    }

    /// <summary>The most threads that are resident on a multiprocessor.</summary>
    internal int ThreadsPerMultiprocessor { get; }

    /// <summary>
    /// The most groups of a grid-stride kernel of which a multiprocessor holds <paramref name="residentGroups"/> at a time: a whole number
    /// of waves, so that the last one is full too.
    /// </summary>
    internal int MaximumGroups(int residentGroups)
    {
        int resident = Math.Clamp(residentGroups, 1, GroupsPerMultiprocessor);
        return ComputeUnits * (GroupsPerMultiprocessor / resident * resident);
    }

    public static IReadOnlyList<DeviceDescription> Describe()
    {
        if (Count(out string? reason) is not (> 0 and int count))
            return [new DeviceDescription("cuda:0", DeviceKind.Cuda, "CUDA", 0, Available: false, reason ?? "the driver reports no GPU")];
        return [.. Enumerable.Range(0, count).Select(Describe)];
    }

    public static CudaDevice Open(int index)
    {
        int count = Count(out string? reason);
        if (index < 0 || index >= count)
        {
            reason = reason?.TrimEnd('.') ?? $"the driver reports {count}";
            throw new DeviceNotAvailableException($"There is no device cuda:{index}: {reason}.");
        }

        DeviceDescription description = Describe(index);
        if (!description.Available) throw new DeviceNotAvailableException($"{description.Id} ({description.Name}): {description.Reason}.");
        ThrowIfFailed(cuDeviceGet(out int device, index), "cuDeviceGet");
        ThrowIfFailed(cuDevicePrimaryCtxRetain(out nint context, device), "cuDevicePrimaryCtxRetain");
        CudaContext shared = new(context, device);
        try
        {
            return new CudaDevice(description, shared, device);
        }
        catch
        {
            shared.Dispose();
            throw;
        }
    }

    internal override DeviceMemory AllocateMemory(long bytes)
    {
        using CudaContext.Scope scope = Context.MakeCurrent();
        Context.ReleaseAbandoned();
        CheckAllocation(cuMemAlloc_v2(out nuint pointer, (nuint)Math.Max(bytes, 1)), bytes, "cuMemAlloc");
        return new CudaMemory(this, Context, pointer, bytes, owns: true);
    }

    internal override DeviceMemory WrapMemory(nint nativeHandle, long bytes) =>
        new CudaMemory(this, Context, (nuint)nativeHandle, bytes, owns: false);

    /// <summary>Page-locked memory: in the unified address space every context has it mapped at its own address.</summary>
    internal override DeviceMemory AllocateMappedHostMemory(long bytes) => AllocateHostMemory(bytes);

    internal override DeviceMemory AllocateHostMemory(long bytes)
    {
        using CudaContext.Scope scope = Context.MakeCurrent();
        Context.ReleaseAbandoned();
        CheckAllocation(cuMemHostAlloc(out nint pointer, (nuint)Math.Max(bytes, 1),
            CudaHostAllocFlags.Portable | CudaHostAllocFlags.DeviceMap), bytes, "cuMemHostAlloc");
        return new CudaHostMemory(this, Context, pointer, bytes);
    }

    /// <summary>A stream that is not waited for with the others.</summary>
    internal CudaStream CreateUnlistedStream()
    {
        using CudaContext.Scope scope = Context.MakeCurrent();
        Context.ReleaseAbandoned();
        Context.ThrowIfFailed(cuStreamCreate(out nint stream, CudaStreamFlags.NonBlocking));
        CudaStreamHandle handle = new(Context, Queues, stream, owns: true);
        return new CudaStream(this, new CudaQueueState(this, handle), handle, borrowing: null);
    }

    private protected override DeviceStream CreateStreamCore()
    {
        CudaStream stream = CreateUnlistedStream();
        Queues.Add(((CudaQueueState)stream.Queue).Stream.Value);
        return stream;
    }

    private protected override DeviceStream CreateUploadStream() => CreateUnlistedStream();

    /// <summary>0 and 1 are the legacy default stream; 2 is that of the calling thread.</summary>
    private protected override QueueKey KeyOf(nint nativeHandle) => nativeHandle switch
    {
        0 => new QueueKey(LegacyStream),
        PerThreadStream => new QueueKey(PerThreadStream, Thread.CurrentThread),
        _ => new QueueKey(nativeHandle),
    };

    private protected override QueueState WrapQueue(in QueueKey key)
    {
        using CudaContext.Scope scope = Context.MakeCurrent();
        Context.ReleaseAbandoned();
        Context.ThrowIfFailed(cuEventCreate(out nint end, CudaEventFlags.DisableTiming));
        CudaBorrowedStream borrowed = new(Context, Queues, key.Handle, end, key.Owner);
        Queues.Add(borrowed);
        return new CudaQueueState(this, new CudaStreamHandle(Context, Queues, key.Handle, owns: false), borrowed, key.Owner);
    }

    private protected override DeviceStream WrapStreamCore(QueueState queue)
    {
        CudaQueueState state = (CudaQueueState)queue;
        return new CudaStream(this, state, state.Stream, new CudaBorrowing(Context, Queues, state.Borrowed!));
    }

    private protected override void DisposeCore()
    {
        Programs.Dispose();
        if (!Context.IsPoisoned) Context.ReleaseAbandoned();
        Context.Dispose();
    }

    private string? RejectOlder() =>
        ComputeCapability < Ampere ? $"compute capability {ComputeCapability / 10.0:0.0} is below {Ampere / 10.0:0.0}" : null;

    private void CheckAllocation(CudaStatus status, long bytes, string call)
    {
        if (status != CudaStatus.OutOfMemory)
        {
            Context.ThrowIfFailed(status, call: call);
            return;
        }

        string answer = $"{status} ({(int)status})";
        throw new OutOfDeviceMemoryException(
            $"{this}: {call} answers {answer}: {bytes} bytes cannot be had ({Counters.LiveBytes} are in use).", bytes, answer, call);
    }

    /// <summary>Number of GPUs; 0 with a reason when the driver is missing or refuses.</summary>
    private static int Count(out string? reason)
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.Cuda, out reason)) return 0;
        try
        {
            ThrowIfFailed(cuInit(0), nameof(cuInit));
            ThrowIfFailed(cuDeviceGetCount(out int count), nameof(cuDeviceGetCount));
            return count;
        }
        catch (DeviceException e)
        {
            reason = e.Message;
            return 0;
        }
    }

    /// <summary>A GPU that answers with an error is not available; it must not hide the others.</summary>
    private static DeviceDescription Describe(int index)
    {
        try
        {
            return Query(index);
        }
        catch (DeviceException e)
        {
            return new DeviceDescription($"cuda:{index}", DeviceKind.Cuda, "CUDA", 0, Available: false, e.Message);
        }
    }

    private static DeviceDescription Query(int index)
    {
        ThrowIfFailed(cuDeviceGet(out int device, index), "cuDeviceGet");
        byte* name = stackalloc byte[256];
        ThrowIfFailed(cuDeviceGetName(name, 256, device), "cuDeviceGetName");
        ThrowIfFailed(cuDeviceTotalMem_v2(out nuint memory, device), "cuDeviceTotalMem");
        string text = Encoding.UTF8.GetString(new ReadOnlySpan<byte>(name, 256)).TrimEnd('\0');
        string? reason = null;
        if (!NativeLibraries.TryLoad(NativeLibraries.Nvrtc, out string? missing)) reason = $"kernels are compiled by NVRTC: {missing}";
        if (Capability(device) < 70) reason = $"its compute capability is {Capability(device) / 10.0:0.0}, 7.0 is needed";
        return new DeviceDescription($"cuda:{index}", DeviceKind.Cuda, text, (long)memory, reason is null, reason);
    }

    private static int Capability(int device) =>
        (10 * Attribute(CudaDeviceAttribute.ComputeCapabilityMajor, device)) + Attribute(
            CudaDeviceAttribute.ComputeCapabilityMinor, device);

    private static int Attribute(CudaDeviceAttribute attribute, int device)
    {
        ThrowIfFailed(cuDeviceGetAttribute(out int value, attribute, device), $"cuDeviceGetAttribute({attribute})");
        return value;
    }

    private static void ThrowIfFailed(CudaStatus status, string call)
    {
        if (status != CudaStatus.Success) throw CudaError.Exception(status, call, op: null);
    }
}
