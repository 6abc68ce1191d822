using System.Runtime.CompilerServices;
using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>A CUDA stream.</summary>
internal sealed unsafe class CudaStream(CudaDevice device, CudaQueueState queue, CudaStreamHandle stream, CudaBorrowing? borrowing)
    : DeviceStream(device, queue, ownsQueue: borrowing is null)
{
    private protected override nint NativeHandleCore => stream.Value;

    /// <summary>A cuBLAS handle of the caller's own on this stream, whatever <see cref="Blas"/> may leave aside.</summary>
    internal CublasHandle CreateBlas() => CublasHandle.Create(device, stream);

    /// <summary>Makes the cuBLAS handle, which a capture does not allow.</summary>
    internal void PrepareBlas() => _ = queue.Blas;

    private protected override IVendorBlas? Blas => queue.Blas;

    private protected override void PrepareCore(KernelDefinition kernel, in KernelVariant variant)
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Programs.Get(kernel, variant);
    }

    private protected override INativeGraph Instantiate(GraphRecording recording) => CudaGraph.Create(device, recording);

    private protected override void SynchronizeCore(string? op)
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ReleaseAbandoned();
        device.Context.ThrowIfFailed(cuStreamSynchronize(stream.Value), op);
    }

    private protected override DeviceEvent RecordCore()
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ThrowIfFailed(cuEventCreate(out nint value, CudaEventFlags.Default));
        CudaEventHandle handle = new(device.Context, value);
        try
        {
            device.Context.ThrowIfFailed(cuEventRecord(value, stream.Value));
            return new CudaEvent(device, handle);
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
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        CudaKernel compiled = device.Programs.Get(kernel, variant);
        using HandleLease kernelLease = new(compiled);
        ulong* values = stackalloc ulong[TArguments.ParameterCount];
        void** parameters = stackalloc void*[TArguments.ParameterCount];
        uint groups = (uint)(shape.IsCooperative
            ? shape.Groups : Math.Clamp(shape.Groups, 1, device.MaximumGroups(compiled.ResidentGroups)));
        uint group = (uint)kernel.GroupSize, sharedBytes = (uint)(shape.SharedBytes ?? compiled.SharedBytes);
        CudaArgumentBinder binder = new(values, parameters, variant.DType == DType.Float64);
        try
        {
            arguments.Bind(ref binder);
            if (shape.IsCooperative)
            {
                device.Context.ThrowIfFailed(
                    cuLaunchCooperativeKernel(compiled.Function, groups, 1, 1, group, 1, 1, sharedBytes, stream.Value, parameters),
                    kernel.EntryPoint,
                    nameof(cuLaunchCooperativeKernel));
                return;
            }

            device.Context.ThrowIfFailed(
                cuLaunchKernel(compiled.Function, groups, 1, 1, group, 1, 1, sharedBytes, stream.Value, parameters, null),
                kernel.EntryPoint,
                nameof(cuLaunchKernel));
        }
        finally
        {
            binder.Dispose();
        }
    }

    private protected override void UploadCore(ReadOnlySpan<byte> source, DeviceMemory destination, long destinationOffset, bool waits)
    {
        if (!waits)
        {
            ThrowIfCapturedByOwner();
            queue.Staging.Upload(this, source, destination, destinationOffset);
            return;
        }

        fixed (byte* from = source)
        {
            Fetch(from, destination, destinationOffset, source.Length);
            try
            {
                // The driver has copied pageable memory when it returns, but promises so only for some sizes; wait, as the span may go.
                SynchronizeCore(op: null);
            }
            catch
            {
                device.Queues.NoteUnknownWork();
                throw;
            }
        }
    }

    /// <summary>A graph of another library would read from the ring what has come there since.</summary>
    private void ThrowIfCapturedByOwner()
    {
        if (queue.Borrowed is not { } borrowed) return;
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        if (!borrowed.IsCaptured) return;
        throw new InvalidOperationException(
            "DeviceStream.Upload: the owner of the stream is capturing it; a graph takes its values from a HostBuffer.");
    }

    /// <summary>Queues a copy from host memory that stays as it is until the stream has come to it.</summary>
    internal void Fetch(void* source, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using MemoryLease lease = MemoryLease.Take(destination);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ThrowIfFailed(cuMemcpyHtoDAsync_v2(Address(destination, destinationOffset), source, (nuint)bytes, stream.Value));
    }

    private protected override void DownloadCore(DeviceMemory source, long sourceOffset, Span<byte> destination)
    {
        using MemoryLease lease = MemoryLease.Take(source);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ReleaseAbandoned();
        fixed (byte* to = destination)
        {
            device.Context.ThrowIfFailed(cuMemcpyDtoHAsync_v2(to, Address(source, sourceOffset), (nuint)destination.Length, stream.Value));
            device.Context.ThrowIfFailed(cuStreamSynchronize(stream.Value));
        }
    }

    private protected override void UploadAsyncCore(DeviceMemory host, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(host);
        Fetch((void*)host.Value, destination, destinationOffset, bytes);
    }

    private protected override void DownloadAsyncCore(DeviceMemory source, long sourceOffset, DeviceMemory host, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(source);
        using MemoryLease to = MemoryLease.Take(host);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ThrowIfFailed(cuMemcpyDtoHAsync_v2((void*)host.Value, Address(source, sourceOffset), (nuint)bytes, stream.Value));
    }

    private protected override void CopyCore(
        DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(source);
        using MemoryLease to = MemoryLease.Take(destination);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ThrowIfFailed(cuMemcpyDtoDAsync_v2(
            Address(destination, destinationOffset), Address(source, sourceOffset), (nuint)bytes, stream.Value));
    }

    private protected override void FillCore(DeviceMemory destination, long offset, long bytes, ReadOnlySpan<byte> pattern)
    {
        using MemoryLease lease = MemoryLease.Take(destination);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        nuint start = Address(destination, offset);
        switch (pattern.Length)
        {
            case 1: device.Context.ThrowIfFailed(cuMemsetD8Async(start, pattern[0], (nuint)bytes, stream.Value)); break;
            case 2: FillTwoBytes(start, bytes, Unsafe.ReadUnaligned<ushort>(in pattern[0])); break;
            case 4: FillFourBytes(start, bytes, Unsafe.ReadUnaligned<uint>(in pattern[0])); break;
            default: FillEightBytes(start, bytes, pattern); break;
        }
    }

    private protected override void WaitForCore(DeviceEvent deviceEvent)
    {
        CudaEventHandle awaited = ((CudaEvent)deviceEvent).Handle;
        using HandleLease eventLease = new(awaited);
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        device.Context.ThrowIfFailed(cuStreamWaitEvent(stream.Value, awaited.Value, 0));
    }

    private protected override void DisposeCore() => borrowing?.Dispose();

    private static nuint Address(DeviceMemory memory, long offset) => (nuint)memory.Value + (nuint)offset;

    private void FillTwoBytes(nuint start, long bytes, ushort value) =>
        device.Context.ThrowIfFailed(cuMemsetD16Async(start, value, (nuint)bytes / 2, stream.Value));

    private void FillFourBytes(nuint start, long bytes, uint value) =>
        device.Context.ThrowIfFailed(cuMemsetD32Async(start, value, (nuint)bytes / 4, stream.Value));

    /// <summary>
    /// CUDA has no 64-bit fill. Equal halves are a 32-bit one; else the halves of the first element are set, and it is doubled by copies.
    /// </summary>
    private void FillEightBytes(nuint start, long bytes, ReadOnlySpan<byte> pattern)
    {
        (uint low, uint high) = (Unsafe.ReadUnaligned<uint>(in pattern[0]), Unsafe.ReadUnaligned<uint>(in pattern[4]));
        if (low == high)
        {
            FillFourBytes(start, bytes, low);
            return;
        }

        FillFourBytes(start, sizeof(uint), low);
        FillFourBytes(start + sizeof(uint), sizeof(uint), high);
        for (long filled = 8; filled < bytes; filled *= 2)
        {
            nuint next = (nuint)Math.Min(filled, bytes - filled);
            device.Context.ThrowIfFailed(cuMemcpyDtoDAsync_v2(start + (nuint)filled, start, next, stream.Value));
        }
    }
}

/// <summary>Lays the arguments out one after the other, points to each, as cuLaunchKernel wants them, and holds their memory.</summary>
internal unsafe ref struct CudaArgumentBinder(ulong* values, void** parameters, bool doublePrecision) : IArgumentBinder, IDisposable
{
    private MemoryLease _lease;
    private int _count;

    public void Tensor(TensorArgument value, string name)
    {
        UInt64((ulong)_lease.Add(value), name);
        UInt64(value.Offset, name);
    }

    // Little-endian: a narrower parameter is read from the low bytes of its slot.
    public void UInt64(ulong value, string name)
    {
        values[_count] = value;
        parameters[_count] = values + _count;
        _count++;
    }

    public void UInt32(uint value, string name) => UInt64(value, name);

    public void Real(double value, string name) =>
        UInt64(doublePrecision ? BitConverter.DoubleToUInt64Bits(value) : BitConverter.SingleToUInt32Bits((float)value), name);

    public void Dispose() => _lease.Dispose();
}

/// <summary>An event in a CUDA stream.</summary>
internal sealed class CudaEvent(CudaDevice device, CudaEventHandle handle) : DeviceEvent(device)
{
    public override bool IsCompleted
    {
        get
        {
            using CudaContext.Scope scope = device.Context.MakeCurrent(Handle);
            CudaStatus status = cuEventQuery(handle.Value);
            if (status == CudaStatus.NotReady) return false;
            device.Context.ThrowIfFailed(status, call: "cuEventQuery");
            return true;
        }
    }

    internal CudaEventHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(handle.IsDisposed, this);
            return handle;
        }
    }

    public override void Wait()
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent(Handle);
        device.Context.ThrowIfFailed(cuEventSynchronize(handle.Value));
    }

    public override void Dispose() => handle.Dispose();

    private protected override TimeSpan ElapsedSinceCore(DeviceEvent earlier)
    {
        CudaEventHandle start = ((CudaEvent)earlier).Handle;
        using HandleLease startLease = new(start);
        using CudaContext.Scope scope = device.Context.MakeCurrent(Handle);
        device.Context.ThrowIfFailed(cuEventElapsedTime(out float milliseconds, start.Value, handle.Value));
        return TimeSpan.FromMilliseconds(milliseconds);
    }
}
