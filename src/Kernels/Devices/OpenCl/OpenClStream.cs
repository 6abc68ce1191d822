using Silk.NET.OpenCL;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Devices.OpenCl;

/// <summary>An in-order OpenCL command queue.</summary>
internal sealed unsafe class OpenClStream(OpenClDevice device, OpenClQueueState state, OpenClQueue queue, bool ownsQueue)
    : DeviceStream(device, state, ownsQueue)
{
    private protected override nint NativeHandleCore => queue.Value;

    private protected override void PrepareCore(KernelDefinition kernel, in KernelVariant variant) => device.Programs.Get(kernel, variant);

    private protected override void SynchronizeCore(string? op)
    {
        device.Context.ReleaseAbandoned();
        using HandleLease queueLease = new(queue);
        ThrowIfFailed(Cl.Finish(queue.Value), op);
    }

    private protected override DeviceEvent RecordCore()
    {
        using HandleLease queueLease = new(queue);
        nint marker;
        ThrowIfFailed(Cl.EnqueueMarkerWithWaitList(queue.Value, 0, null, &marker));
        OpenClEventHandle handle = new(device.Context, marker);
        try
        {
            // Waiting for the event must not depend on someone flushing the queue later.
            ThrowIfFailed(Cl.Flush(queue.Value));
            return new OpenClEvent(device, handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private protected override void LaunchCore<TArguments>(
        KernelDefinition<TArguments> kernel, in KernelVariant variant, in LaunchShape shape, in TArguments arguments)
    {
        OpenClKernel compiled = device.Programs.Get(kernel, variant);
        using HandleLease queueLease = new(queue), kernelLease = new(compiled);
        nuint groupSize = (nuint)kernel.GroupSize;
        nuint globalSize = (nuint)Math.Clamp(shape.Groups, 1, device.MaximumGroups) * groupSize;
        lock (compiled.Lock)
        {
            OpenClArgumentBinder binder = new(compiled, variant.DType == DType.Float64);
            try
            {
                arguments.Bind(ref binder);
                ThrowIfFailed(
                    Cl.EnqueueNdrangeKernel(queue.Value, compiled.Value, 1, null, &globalSize, &groupSize, 0, null, null),
                    kernel.EntryPoint,
                    "clEnqueueNDRangeKernel");
            }
            finally
            {
                binder.Dispose();
            }
        }
    }

    private protected override void UploadCore(ReadOnlySpan<byte> source, DeviceMemory destination, long destinationOffset, bool waits)
    {
        if (!waits)
        {
            // The driver keeps the staged values until the queue has come to the copy.
            using DeviceMemory staged = device.AllocateWith(source);
            CopyCore(staged, 0, destination, destinationOffset, source.Length);
            return;
        }

        using MemoryLease lease = MemoryLease.Take(destination);
        fixed (byte* from = source) Write(from, destination, destinationOffset, source.Length, blocking: true);
    }

    private protected override void DownloadCore(DeviceMemory source, long sourceOffset, Span<byte> destination)
    {
        using MemoryLease lease = MemoryLease.Take(source);
        device.Context.ReleaseAbandoned();
        fixed (byte* to = destination) Read(source, sourceOffset, to, destination.Length, blocking: true);
    }

    private protected override void UploadAsyncCore(DeviceMemory host, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(host);
        using MemoryLease to = MemoryLease.Take(destination);
        Write((byte*)host.Value, destination, destinationOffset, bytes, blocking: false);
    }

    private protected override void DownloadAsyncCore(DeviceMemory source, long sourceOffset, DeviceMemory host, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(source);
        using MemoryLease to = MemoryLease.Take(host);
        Read(source, sourceOffset, (byte*)host.Value, bytes, blocking: false);
    }

    private protected override void CopyCore(
        DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using HandleLease queueLease = new(queue);
        using MemoryLease from = MemoryLease.Take(source);
        using MemoryLease to = MemoryLease.Take(destination);
        ThrowIfFailed(Cl.EnqueueCopyBuffer(
            queue.Value, source.Value, destination.Value, (nuint)sourceOffset, (nuint)destinationOffset, (nuint)bytes, 0, null, null));
    }

    private protected override void FillCore(DeviceMemory destination, long offset, long bytes, ReadOnlySpan<byte> pattern)
    {
        using HandleLease queueLease = new(queue);
        using MemoryLease lease = MemoryLease.Take(destination);
        fixed (byte* first = pattern)
        {
            ThrowIfFailed(Cl.EnqueueFillBuffer(
                queue.Value, destination.Value, first, (nuint)pattern.Length, (nuint)offset, (nuint)bytes, 0, null, null));
        }
    }

    private protected override void WaitForCore(DeviceEvent deviceEvent)
    {
        OpenClEventHandle awaited = ((OpenClEvent)deviceEvent).Handle;
        using HandleLease queueLease = new(queue), eventLease = new(awaited);
        nint handle = awaited.Value;
        ThrowIfFailed(Cl.EnqueueBarrierWithWaitList(queue.Value, 1, &handle, null));
    }

    private protected override void DisposeCore()
    {
        // The queue goes with its state.
    }

    private void Write(byte* source, DeviceMemory destination, long offset, long bytes, bool blocking)
    {
        using HandleLease queueLease = new(queue);
        ThrowIfFailed(Cl.EnqueueWriteBuffer(
            queue.Value, destination.Value, blocking, (nuint)offset, (nuint)bytes, source, 0, null, null));
    }

    private void Read(DeviceMemory source, long offset, byte* destination, long bytes, bool blocking)
    {
        using HandleLease queueLease = new(queue);
        ThrowIfFailed(Cl.EnqueueReadBuffer(
            queue.Value, source.Value, blocking, (nuint)offset, (nuint)bytes, destination, 0, null, null));
    }
}

/// <summary>Sets a kernel's arguments one after the other and holds their memory.</summary>
internal unsafe ref struct OpenClArgumentBinder(OpenClKernel kernel, bool doublePrecision) : IArgumentBinder, IDisposable
{
    private MemoryLease _lease;
    private uint _index;

    public void Tensor(TensorArgument value, string name)
    {
        nint memory = _lease.Add(value);
        Set(&memory, sizeof(nint), name);
        UInt64(value.Offset, name);
    }

    public void UInt64(ulong value, string name) => Set(&value, sizeof(ulong), name);

    public void UInt32(uint value, string name) => Set(&value, sizeof(uint), name);

    public void Real(double value, string name)
    {
        float single = (float)value;
        if (doublePrecision)
            Set(&value, sizeof(double), name);
        else
            Set(&single, sizeof(float), name);
    }

    public void Dispose() => _lease.Dispose();

    private void Set(void* value, int size, string name)
    {
        int status = Cl.SetKernelArg(kernel.Value, _index++, (nuint)size, value);
        // Not by ThrowIfFailed: the text would be made for every argument of every launch.
        if (status != (int)ErrorCodes.Success) throw Exception(status, $"clSetKernelArg({name})", kernel.Op);
    }
}

/// <summary>What belongs to an OpenCL queue beside its scratch memory.</summary>
internal sealed class OpenClQueueState(Device device, OpenClQueue queue) : QueueState(device)
{
    public OpenClQueue Queue => queue;

    public override void Dispose()
    {
        base.Dispose();
        queue.Dispose();
    }
}

/// <summary>A marker in an OpenCL queue.</summary>
internal sealed unsafe class OpenClEvent(OpenClDevice device, OpenClEventHandle handle) : DeviceEvent(device)
{
    public override bool IsCompleted
    {
        get
        {
            using HandleLease lease = new(Handle);
            int state;
            ThrowIfFailed(Cl.GetEventInfo(handle.Value, EventInfo.CommandExecutionStatus, sizeof(int), &state, null));
            // A negative state is the status that ended the command.
            if (state < 0) ThrowIfFailed(state, call: "a command before the event");
            return state == (int)CommandExecutionStatus.Complete;
        }
    }

    internal OpenClEventHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(handle.IsDisposed, this);
            return handle;
        }
    }

    public override void Wait()
    {
        using HandleLease lease = new(Handle);
        nint value = handle.Value;
        ThrowIfFailed(Cl.WaitForEvents(1, &value));
    }

    public override void Dispose() => handle.Dispose();

    private protected override TimeSpan ElapsedSinceCore(DeviceEvent earlier)
    {
        double nanoseconds = (double)EndTime() - ((OpenClEvent)earlier).EndTime();
        return TimeSpan.FromTicks((long)(nanoseconds / TimeSpan.NanosecondsPerTick));
    }

    private ulong EndTime()
    {
        using HandleLease lease = new(Handle);
        ulong time;
        ThrowIfFailed(Cl.GetEventProfilingInfo(handle.Value, ProfilingInfo.End, sizeof(ulong), &time, null));
        return time;
    }
}
