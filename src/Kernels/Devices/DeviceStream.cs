using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// A queue of work on one device. Calls return once the work is queued (the CPU device runs it at once, on all cores); work of one stream
/// runs in the order of the calls. Calls from several threads are safe, their order is then up to the threads.
/// </summary>
public abstract partial class DeviceStream : IDisposable
{
    /// <summary>Bytes of an upload that are put aside for the stream to fetch.</summary>
    internal const int LargestStagedUpload = 64 << 10;

    private readonly bool _ownsQueue;
    private int _disposed;

    private protected DeviceStream(Device device, QueueState queue, bool ownsQueue)
    {
        Device = device;
        Queue = queue;
        _ownsQueue = ownsQueue;
    }

    /// <summary>The device that runs the work.</summary>
    public Device Device { get; }

    /// <summary>The native queue: CUstream, cl_command_queue, or 0 on the CPU. Borrowed: valid until this stream is disposed.</summary>
    /// <exception cref="InvalidOperationException">The stream is being captured, which work of other libraries cannot be.</exception>
    public nint NativeHandle
    {
        get
        {
            CheckQueues("DeviceStream.NativeHandle");
            return NativeHandleCore;
        }
    }

    /// <summary>What belongs to the native queue.</summary>
    internal QueueState Queue { get; }

    private protected abstract nint NativeHandleCore { get; }

    /// <summary>The vendor's matrix product on this stream, or null where there is none.</summary>
    private protected virtual IVendorBlas? Blas => null;

    /// <summary>
    /// Queues a copy of host values to the device. The span may be reused on return: up to 64 KiB are put aside for the stream to fetch,
    /// larger ones are waited for.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths differ, or the tensor is on another device.</exception>
    public void Upload<T>(ReadOnlySpan<T> source, DeviceTensor<T> destination)
        where T : unmanaged
    {
        CheckTransfer(source.Length, destination);
        if (source.IsEmpty) return;
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(source);
        if (Recording is { } recording)
            RecordUpload(recording, recording.KeepCopyOf(bytes), destination.Buffer.Memory, ByteOffset(destination), bytes.Length);
        else
            UploadCore(bytes, destination.Buffer.Memory, ByteOffset(destination), waits: bytes.Length > LargestStagedUpload);
        Wrote(destination);
    }

    /// <summary>Copies a tensor to host memory. Blocks until the values are there.</summary>
    /// <exception cref="ArgumentException">The lengths differ, or the tensor is on another device.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public void Download<T>(DeviceTensor<T> source, Span<T> destination)
        where T : unmanaged
    {
        CheckQueues("DeviceStream.Download");
        CheckTransfer(destination.Length, source);
        if (destination.IsEmpty) return;
        DownloadCore(source.Buffer.Memory, ByteOffset(source), MemoryMarshal.AsBytes(destination));
        Waited();
    }

    /// <summary>
    /// Queues a copy of host values to the device. Leave the host buffer alone until an event recorded after this call is done.
    /// </summary>
    public void Upload<T>(HostBuffer<T> source, DeviceTensor<T> destination)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(source);
        CheckTransfer(source.Length, destination);
        if (source.Length == 0) return;
        if (Recording is { } recording)
            RecordUpload(recording, source.Memory, destination.Buffer.Memory, ByteOffset(destination), ByteLength(destination));
        else
            UploadAsyncCore(source.Memory, destination.Buffer.Memory, ByteOffset(destination), ByteLength(destination));
        Wrote(destination);
    }

    /// <summary>Queues a copy of a tensor to host memory. The values are there once an event recorded after this call is done.</summary>
    public void Download<T>(DeviceTensor<T> source, HostBuffer<T> destination)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(destination);
        CheckTransfer(destination.Length, source);
        if (destination.Length == 0) return;
        if (Recording is { } recording)
            RecordDownload(recording, source.Buffer.Memory, ByteOffset(source), destination.Memory, ByteLength(source));
        else
            DownloadAsyncCore(source.Buffer.Memory, ByteOffset(source), destination.Memory, ByteLength(source));
    }

    /// <summary>Queues a copy between tensors of the same length on this device, bit for bit.</summary>
    /// <exception cref="ArgumentException">The lengths differ, the tensors overlap in part, or one is on another device.</exception>
    public void Copy<T>(DeviceTensor<T> source, DeviceTensor<T> destination)
        where T : unmanaged
    {
        CheckTensor(source, nameof(source));
        CheckTensor(destination, nameof(destination));
        if (source.Length != destination.Length)
        {
            throw new ArgumentException(
                $"DeviceStream.Copy: {source} has {source.Length} elements, {destination} has {destination.Length}.", nameof(destination));
        }

        if (source.IsSameMemoryAs(destination) || source.Length == 0) return;
        if (source.Overlaps(destination))
            throw new ArgumentException("DeviceStream.Copy: the tensors overlap in part.", nameof(destination));
        if (Recording is { } recording)
        {
            RecordCopy(recording, source.Buffer.Memory, ByteOffset(source), destination.Buffer.Memory, ByteOffset(destination),
                ByteLength(source));
        }
        else
        {
            CopyCore(source.Buffer.Memory, ByteOffset(source), destination.Buffer.Memory, ByteOffset(destination), ByteLength(source));
        }

        Wrote(destination);
    }

    /// <summary>Queues setting every element to <paramref name="value"/>.</summary>
    public unsafe void Fill<T>(DeviceTensor<T> destination, T value)
        where T : unmanaged
    {
        CheckTensor(destination, nameof(destination));
        if (destination.Length == 0) return;
        ReadOnlySpan<byte> pattern = new(&value, sizeof(T));
        if (Recording is { } recording)
            RecordFill(recording, destination.Buffer.Memory, ByteOffset(destination), ByteLength(destination), pattern.ToArray());
        else
            FillCore(destination.Buffer.Memory, ByteOffset(destination), ByteLength(destination), pattern);
        Wrote(destination);
    }

    /// <summary>Blocks until everything queued so far is done.</summary>
    /// <exception cref="DeviceException">Some of that work failed.</exception>
    /// <exception cref="DeviceDataException">A kernel met data it cannot use; the device and the stream stay usable.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public void Synchronize()
    {
        CheckQueues("DeviceStream.Synchronize");
        SynchronizeCore();
        Waited();
    }

    /// <summary>
    /// Completes when everything queued so far is done, without keeping a thread. Over the default stream of a thread it blocks: that
    /// stream can be asked on its own thread only.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting; the work goes on.</param>
    /// <exception cref="DeviceException">Some of that work failed.</exception>
    /// <exception cref="DeviceDataException">A kernel met data it cannot use; the device and the stream stay usable.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled before the work was done.</exception>
    public async Task SynchronizeAsync(CancellationToken cancellationToken = default)
    {
        if (Queue.IsOfOneThread)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Synchronize();
            return;
        }

        using DeviceEvent recorded = Record();
        await recorded.WaitAsync(cancellationToken).ConfigureAwait(false);
        Waited();
    }

    /// <summary>An event that completes when everything queued so far is done.</summary>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public DeviceEvent Record()
    {
        CheckQueues("DeviceStream.Record");
        return RecordCore();
    }

    /// <summary>
    /// Work queued after this call waits for <paramref name="deviceEvent"/>, which may come from another stream of the device.
    /// </summary>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public void WaitFor(DeviceEvent deviceEvent)
    {
        CheckQueues("DeviceStream.WaitFor");
        ArgumentNullException.ThrowIfNull(deviceEvent);
        if (deviceEvent.Device != Device)
        {
            throw new ArgumentException(
                $"DeviceStream.WaitFor: the event belongs to {deviceEvent.Device}, the stream to {Device}.", nameof(deviceEvent));
        }

        WaitForCore(deviceEvent);
    }

    /// <summary>Lets the stream go. Work already queued still runs.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_ownsQueue) Queue.Dispose();
        DisposeCore();
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Device memory for the duration of one op, from this stream's pool. Giving it back at once is right although the kernels that use it
    /// may not have run yet: only later work of this same stream can get it.
    /// </summary>
    internal ScratchPool.Lease<T> RentScratch<T>(long length)
        where T : unmanaged => (Recording?.Scratch ?? Queue.Scratch).Rent<T>(length);

    /// <summary>What groups of a cooperative launch in this stream count in.</summary>
    internal TensorArgument GroupCounters => (Recording?.Counters ?? Queue.Counters).Argument;

    /// <summary>
    /// Where a kernel reports the index of data it cannot use, lowest first (see <c>report_error</c> in the dialect).
    /// <paramref name="problem"/> ends the message of the exception that the next synchronisation throws.
    /// </summary>
    internal DataErrorSlot DataErrorSlot(string op, string problem)
    {
        ThrowIfDisposed();
        return (Recording?.Errors ?? Queue.Errors).Take(this, op, problem);
    }

    /// <summary>Queues a kernel.</summary>
    internal void Launch<TArguments>(
        KernelDefinition<TArguments> kernel, in KernelVariant variant, in LaunchShape shape, in TArguments arguments)
        where TArguments : struct, IKernelArguments
    {
        ThrowIfDisposed();
        if (Recording is { } recording)
        {
            RecordLaunch(recording, kernel, variant, shape, arguments);
            return;
        }

        LaunchNow(kernel, variant, shape, arguments);
        Device.Counters.Launched();
    }

    /// <summary>Queues c = op(a) op(b) in the vendor's library; false where there is none that takes this product.</summary>
    internal bool TryMultiply(in MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument c)
    {
        ThrowIfDisposed();
        if (Blas is not { } blas || blas.Reject(product) is not null) return false;
        if (Recording is { } recording)
            RecordProduct(recording, product, a, b, c);
        else
            MultiplyNow(blas, product, a, b, c);
        return true;
    }

    /// <summary>Copies from host memory and waits.</summary>
    internal void UploadNow(ReadOnlySpan<byte> source, DeviceMemory destination) => UploadCore(source, destination, 0, waits: true);

    /// <summary>Copies to host memory and waits; for bad data alone, so that nothing more is looked for.</summary>
    internal void DownloadNow(DeviceMemory source, long sourceOffset, Span<byte> destination) =>
        DownloadCore(source, sourceOffset, destination);

    /// <summary>Queues a copy to host memory of this device.</summary>
    internal void Fetch(in TensorBytes source, DeviceMemory host) => DownloadAsyncCore(source.Memory, source.First, host, source.Bytes);

    /// <summary>Queues a copy from host memory of this device, which stays as it is until the stream has come to it.</summary>
    internal void Send(DeviceMemory host, in TensorBytes destination) =>
        UploadAsyncCore(host, destination.Memory, destination.First, destination.Bytes);

    /// <summary>Tells who derives something from a tensor that this stream was told to write to it.</summary>
    internal void Wrote<T>(DeviceTensor<T> tensor)
        where T : unmanaged => tensor.Buffer.Memory.NoteWritten(this, ByteOffset(tensor), ByteLength(tensor));

    private protected abstract void LaunchCore<TArguments>(
        KernelDefinition<TArguments> kernel, in KernelVariant variant, in LaunchShape shape, in TArguments arguments)
        where TArguments : struct, IKernelArguments;

    /// <param name="op">The op to name when its work failed.</param>
    private protected abstract void SynchronizeCore(string? op = null);

    private protected abstract DeviceEvent RecordCore();

    /// <param name="source">May be used again on return.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="destinationOffset">Bytes from its start.</param>
    /// <param name="waits">True to return when the values are there, false to put them aside; then there are no more than
    /// <see cref="LargestStagedUpload"/>.</param>
    private protected abstract void UploadCore(ReadOnlySpan<byte> source, DeviceMemory destination, long destinationOffset, bool waits);

    private protected abstract void DownloadCore(DeviceMemory source, long sourceOffset, Span<byte> destination);

    private protected abstract void UploadAsyncCore(DeviceMemory host, DeviceMemory destination, long destinationOffset, long bytes);

    private protected abstract void DownloadAsyncCore(DeviceMemory source, long sourceOffset, DeviceMemory host, long bytes);

    private protected abstract void CopyCore(
        DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset, long bytes);

    private protected abstract void FillCore(DeviceMemory destination, long offset, long bytes, ReadOnlySpan<byte> pattern);

    private protected abstract void WaitForCore(DeviceEvent deviceEvent);

    private protected abstract void DisposeCore();

    /// <summary>Neither this stream nor its device was disposed.</summary>
    private protected void ThrowIfDisposed()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        Device.ThrowIfDisposed();
        Queue.ThrowIfOfAnotherThread();
    }

    /// <summary>After a wait: nothing that was queued before it uses scratch memory, and all bad data is known.</summary>
    private void Waited()
    {
        Queue.Scratch.Trim();
        Queue.ThrowDataErrors(this);
    }

    private void LaunchNow<TArguments>(
        KernelDefinition<TArguments> kernel, in KernelVariant variant, in LaunchShape shape, in TArguments arguments)
        where TArguments : struct, IKernelArguments
    {
        LaunchCore(kernel, variant, shape, arguments);
        if (Device.SynchronizeAfterLaunch) SynchronizeCore(kernel.EntryPoint);
    }

    private void MultiplyNow(IVendorBlas blas, in MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument c)
    {
        blas.Multiply(product, a, b, c);
        if (Device.SynchronizeAfterLaunch) SynchronizeCore(blas.ProductName);
    }

    private static long ByteOffset<T>(DeviceTensor<T> tensor)
        where T : unmanaged => tensor.Offset * Unsafe.SizeOf<T>();

    private static long ByteLength<T>(DeviceTensor<T> tensor)
        where T : unmanaged => tensor.Length * Unsafe.SizeOf<T>();

    private void CheckTransfer<T>(
        long hostLength, DeviceTensor<T> tensor, [CallerArgumentExpression(nameof(tensor))] string name = "",
        [CallerMemberName] string call = "")
        where T : unmanaged
    {
        CheckTensor(tensor, name, call);
        if (tensor.Length != hostLength)
        {
            throw new ArgumentException(
                $"DeviceStream.{call}: the host side has {hostLength} elements, {tensor} has {tensor.Length}.", name);
        }
    }

    private void CheckTensor<T>(DeviceTensor<T> tensor, string name, [CallerMemberName] string call = "")
        where T : unmanaged
    {
        ThrowIfDisposed();
        ArgumentNullException.ThrowIfNull(tensor, name);
        ObjectDisposedException.ThrowIf(tensor.Buffer.Memory.IsDisposed, tensor);
        if (tensor.Device != Device)
            throw new ArgumentException($"DeviceStream.{call}: {name} is on {tensor.Device}, the stream on {Device}.", name);
    }
}
