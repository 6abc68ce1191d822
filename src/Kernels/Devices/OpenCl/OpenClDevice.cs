using Kernels.Interop;
using Silk.NET.OpenCL;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Devices.OpenCl;

/// <summary>An OpenCL 1.2 device: a GPU, a CPU runtime or an accelerator of any vendor.</summary>
internal sealed unsafe class OpenClDevice : Device
{
    /// <summary>Groups per compute unit: enough to hide latency and even out the end of a launch.</summary>
    private const int GroupsPerComputeUnit = 64;

    private OpenClDevice(DeviceDescription description, OpenClContext context)
        : base(description)
    {
        Context = context;
        nint device = context.Device;
        ComputeUnits = (int)OpenClQuery.DeviceValue<uint>(device, DeviceInfo.MaxComputeUnits);
        SupportsFloat64 = OpenClQuery.DeviceText(device, DeviceInfo.Extensions).Split(' ').Contains("cl_khr_fp64");
        Programs = new OpenClPrograms(this);
    }

    public override bool SupportsFloat64 { get; }

    public override nint NativeContext => Context.Value;

    internal OpenClContext Context { get; }

    internal OpenClPrograms Programs { get; }

    internal override int ComputeUnits { get; }

    /// <summary>Grid-stride kernels are launched with no more groups than these.</summary>
    internal int MaximumGroups => ComputeUnits * GroupsPerComputeUnit;

    public static IReadOnlyList<DeviceDescription> Describe() => Enumerate(out string? reason) is { Count: > 0 } devices
        ? [.. devices.Select((device, index) => Describe(device.Platform, device.Device, index))]
        : [new DeviceDescription("opencl:0", DeviceKind.OpenCl, "OpenCL", 0, Available: false, reason)];

    public static IEnumerable<DeviceDescription> DescribeGpus() =>
        Enumerate(out _)
            .Select((device, index) => (device, index))
            .Where(d => OpenClQuery.IsGpu(d.device.Device))
            .Select(d => Describe(d.device.Platform, d.device.Device, d.index));

    public static OpenClDevice Open(int index)
    {
        IReadOnlyList<(nint Platform, nint Device)> devices = Enumerate(out string? reason);
        if (index < 0 || index >= devices.Count)
        {
            string found = devices.Count == 0 ? "" : $"{devices.Count} found{(reason is null ? "" : "; ")}";
            throw new DeviceNotAvailableException($"There is no device opencl:{index}: {found}{reason?.TrimEnd('.')}.");
        }

        (nint platform, nint device) = devices[index];
        DeviceDescription description = Describe(platform, device, index);
        if (!description.Available) throw new DeviceNotAvailableException($"{description.Id} ({description.Name}): {description.Reason}.");
        nint* properties = stackalloc nint[] { (nint)ContextProperties.Platform, platform, 0 };
        int status;
        nint context = CreateContext(properties, 1, &device, &status);
        ThrowIfFailed(status, call: "clCreateContext");
        return Create(description, new OpenClContext(context, device));
    }

    /// <summary>
    /// A device over a context of another library, so that its cl_mem objects can be used; both handles are retained or borrowed.
    /// </summary>
    public static OpenClDevice FromContext(nint context, nint device)
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.OpenCl, out string? missing))
            throw new DeviceNotAvailableException($"Device.FromOpenClContext: {missing}");
        // Listed devices keep their id; a sub-device has none and goes by the first.
        int index = Math.Max(0, Enumerate(out _).Select(listed => listed.Device).ToList().IndexOf(device));
        DeviceDescription description = Describe(OpenClQuery.DeviceValue<nint>(device, DeviceInfo.Platform), device, index);
        if (!description.Available) throw new DeviceNotAvailableException($"{description.Id} ({description.Name}): {description.Reason}.");
        ThrowIfFailed(Cl.RetainContext(context));
        return Create(description, new OpenClContext(context, device));
    }

    internal override DeviceMemory AllocateMemory(long bytes) => AllocateMemory(bytes, MemFlags.ReadWrite);

    internal override DeviceMemory AllocateMappedHostMemory(long bytes) =>
        AllocateMemory(bytes, MemFlags.ReadWrite | MemFlags.AllocHostPtr);

    /// <summary>Memory that holds a copy of these bytes from the start.</summary>
    internal DeviceMemory AllocateWith(ReadOnlySpan<byte> contents)
    {
        fixed (byte* first = contents) return AllocateMemory(contents.Length, MemFlags.ReadOnly | MemFlags.CopyHostPtr, first);
    }

    internal override DeviceMemory WrapMemory(nint nativeHandle, long bytes)
    {
        if (nativeHandle != 0)
        {
            nuint size;
            nint context;
            ThrowIfFailed(Cl.GetMemObjectInfo(nativeHandle, MemInfo.Size, (nuint)sizeof(nuint), &size, null));
            ThrowIfFailed(Cl.GetMemObjectInfo(nativeHandle, MemInfo.Context, (nuint)sizeof(nint), &context, null));
            if (context != Context.Value)
                throw new ArgumentException($"Device.WrapBuffer: the cl_mem belongs to another context than {this}.", nameof(nativeHandle));
            if ((nuint)bytes > size)
                throw new ArgumentException($"Device.WrapBuffer: the cl_mem holds {size} bytes, not {bytes}.", nameof(nativeHandle));
        }

        return new OpenClMemory(this, Context, nativeHandle, bytes, owns: false);
    }

    private protected override DeviceStream CreateStreamCore()
    {
        using HandleLease lease = new(Context);
        Context.ReleaseAbandoned();
        nint queue = Cl.CreateCommandQueue(Context.Value, Context.Device, CommandQueueProperties.ProfilingEnable, out int status);
        ThrowIfFailed(status, call: "clCreateCommandQueue");
        OpenClQueue handle = new(Context, queue, owns: true);
        return new OpenClStream(this, new OpenClQueueState(this, handle), handle, ownsQueue: true);
    }

    private protected override QueueKey KeyOf(nint nativeHandle) => nativeHandle == 0
        ? throw new ArgumentException("Device.WrapStream: the handle is null.", nameof(nativeHandle))
        : new QueueKey(nativeHandle);

    private protected override QueueState WrapQueue(in QueueKey key) =>
        new OpenClQueueState(this, new OpenClQueue(Context, key.Handle, owns: false));

    private protected override DeviceStream WrapStreamCore(QueueState queue) =>
        new OpenClStream(this, (OpenClQueueState)queue, ((OpenClQueueState)queue).Queue, ownsQueue: false);

    private protected override void DisposeCore()
    {
        Programs.Dispose();
        Context.ReleaseAbandoned();
        Context.Dispose();
    }

    /// <summary>The device owns the context, also one that cannot be made.</summary>
    private static OpenClDevice Create(DeviceDescription description, OpenClContext context)
    {
        try
        {
            return new OpenClDevice(description, context);
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>Every device, and the reason why there is none, or none of some platform; null where every platform has devices.</summary>
    private static IReadOnlyList<(nint Platform, nint Device)> Enumerate(out string? reason)
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.OpenCl, out reason)) return [];
        try
        {
            return OpenClQuery.Devices(out reason);
        }
        catch (Exception e) when (e is DeviceException or EntryPointNotFoundException)
        {
            reason = e.Message;
            return [];
        }
    }

    /// <summary>A device that answers with an error is not available; it must not hide the others.</summary>
    private static DeviceDescription Describe(nint platform, nint device, int index)
    {
        try
        {
            return Query(platform, device, index);
        }
        catch (DeviceException e)
        {
            return new DeviceDescription($"opencl:{index}", DeviceKind.OpenCl, "OpenCL", 0, Available: false, e.Message);
        }
    }

    private static DeviceDescription Query(nint platform, nint device, int index)
    {
        string name = OpenClQuery.DeviceText(device, DeviceInfo.Name);
        string vendor = OpenClQuery.PlatformText(platform, PlatformInfo.Name);
        long memory = (long)OpenClQuery.DeviceValue<ulong>(device, DeviceInfo.GlobalMemSize);
        string? reason = Unsuitable(device);
        return new DeviceDescription($"opencl:{index}", DeviceKind.OpenCl, $"{name} ({vendor})", memory, reason is null, reason);
    }

    private static string? Unsuitable(nint device)
    {
        // The text is "OpenCL <major>.<minor> <vendor-specific>".
        string version = OpenClQuery.DeviceText(device, DeviceInfo.Version);
        string[] words = version.Split(' ');
        bool isOld = words.Length < 2 || !Version.TryParse(words[1], out Version? number) || number < new Version(1, 2);
        if (isOld) return $"{version} is older than 1.2";
        if (OpenClQuery.DeviceValue<uint>(device, DeviceInfo.Available) == 0) return "the driver says that the device is not available";
        if (OpenClQuery.DeviceValue<uint>(device, DeviceInfo.CompilerAvailable) == 0) return "its driver has no compiler";
        if (OpenClQuery.DeviceValue<uint>(device, DeviceInfo.EndianLittle) == 0) return "big-endian devices are not supported";
        nuint groupSize = OpenClQuery.DeviceValue<nuint>(device, DeviceInfo.MaxWorkGroupSize);
        return groupSize < KernelDefinition.DefaultGroupSize
            ? $"its work groups hold {groupSize} items, {KernelDefinition.DefaultGroupSize} are needed"
            : null;
    }

    private OpenClMemory AllocateMemory(long bytes, MemFlags flags, void* contents = null)
    {
        using HandleLease lease = new(Context);
        Context.ReleaseAbandoned();
        long size = Math.Max(bytes, 1);
        nint memory = Cl.CreateBuffer(Context.Value, flags, (nuint)size, contents, out int status);
        if (IsOutOfMemory(status))
        {
            string answer = NameOf(status);
            throw new OutOfDeviceMemoryException(
                $"{this}: clCreateBuffer answers {answer}: {bytes} bytes cannot be had ({Counters.LiveBytes} are in use).",
                bytes,
                answer,
                "clCreateBuffer");
        }

        ThrowIfFailed(status, call: "clCreateBuffer");
        return new OpenClMemory(this, Context, memory, bytes, owns: true);
    }
}
