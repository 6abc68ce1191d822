using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Kernels.Devices.Cpu;

/// <summary>The CPU's stream: a call has done its work when it returns, so order and events come for free.</summary>
internal sealed unsafe class CpuStream(CpuDevice device) : DeviceStream(device, new QueueState(device), ownsQueue: true)
{
    /// <summary>Below this size one core copies faster than a hand-over to others takes.</summary>
    private const long ParallelBytes = 1 << 20;

    private protected override nint NativeHandleCore => 0;

    private protected override void SynchronizeCore(string? op)
    {
        // A call has done its work when it returns.
    }

    private protected override DeviceEvent RecordCore() => new CpuEvent(Device, Stopwatch.GetTimestamp());

    private protected override void PrepareCore(KernelDefinition kernel, in KernelVariant variant)
    {
        // The managed body is there.
    }

    private protected override void LaunchCore<TArguments>(
        KernelDefinition<TArguments> kernel, in KernelVariant variant, in LaunchShape shape, in TArguments arguments)
    {
        using MemoryLease lease = MemoryLease.Take(arguments);
        kernel.Body(variant, arguments);
    }

    private protected override void UploadCore(ReadOnlySpan<byte> source, DeviceMemory destination, long destinationOffset, bool waits)
    {
        using MemoryLease lease = MemoryLease.Take(destination);
        fixed (byte* from = source) CopyBytes(from, (byte*)destination.Value + destinationOffset, source.Length);
    }

    private protected override void DownloadCore(DeviceMemory source, long sourceOffset, Span<byte> destination)
    {
        using MemoryLease lease = MemoryLease.Take(source);
        fixed (byte* to = destination) CopyBytes((byte*)source.Value + sourceOffset, to, destination.Length);
    }

    private protected override void UploadAsyncCore(DeviceMemory host, DeviceMemory destination, long destinationOffset, long bytes) =>
        CopyCore(host, 0, destination, destinationOffset, bytes);

    private protected override void DownloadAsyncCore(DeviceMemory source, long sourceOffset, DeviceMemory host, long bytes) =>
        CopyCore(source, sourceOffset, host, 0, bytes);

    private protected override void CopyCore(
        DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset, long bytes)
    {
        using MemoryLease from = MemoryLease.Take(source);
        using MemoryLease to = MemoryLease.Take(destination);
        CopyBytes((byte*)source.Value + sourceOffset, (byte*)destination.Value + destinationOffset, bytes);
    }

    private protected override void FillCore(DeviceMemory destination, long offset, long bytes, ReadOnlySpan<byte> pattern)
    {
        using MemoryLease lease = MemoryLease.Take(destination);
        byte* start = (byte*)destination.Value + offset;
        switch (pattern.Length)
        {
            case 1: FillElements(start, bytes, pattern[0]); break;
            case 2: FillElements((ushort*)start, bytes / 2, Unsafe.ReadUnaligned<ushort>(in pattern[0])); break;
            case 4: FillElements((uint*)start, bytes / 4, Unsafe.ReadUnaligned<uint>(in pattern[0])); break;
            default: FillElements((ulong*)start, bytes / 8, Unsafe.ReadUnaligned<ulong>(in pattern[0])); break;
        }
    }

    private protected override void WaitForCore(DeviceEvent deviceEvent) => deviceEvent.Wait();

    private protected override void DisposeCore()
    {
        // Nothing native.
    }

    private static void CopyBytes(byte* source, byte* destination, long bytes) =>
        CpuParallel.ForRange(bytes, ParallelBytes, (start, end) =>
            CpuStreaming.Copy(source + start, destination + start, end - start, bytes));

    private static void FillElements<T>(T* start, long count, T value)
        where T : unmanaged =>
        CpuParallel.ForRange(count, ParallelBytes / sizeof(T), (first, end) => new Span<T>(start + first, (int)(end - first)).Fill(value));
}

/// <summary>An event of the CPU stream: the work was done when it was recorded.</summary>
internal sealed class CpuEvent(Device device, long timestamp) : DeviceEvent(device)
{
    private volatile bool _disposed;

    public override bool IsCompleted
    {
        get
        {
            Wait();
            return true;
        }
    }

    private long Timestamp { get; } = timestamp;

    /// <summary>The work was done when the event was recorded.</summary>
    public override void Wait() => ObjectDisposedException.ThrowIf(_disposed, this);

    public override void Dispose() => _disposed = true;

    private protected override TimeSpan ElapsedSinceCore(DeviceEvent earlier) =>
        Stopwatch.GetElapsedTime(((CpuEvent)earlier).Timestamp, Timestamp);
}
