using Kernels.Devices;

namespace Kernels;

/// <content>Capture: what the stream is told goes into a recording instead of the queue.</content>
public abstract partial class DeviceStream
{
    private GraphRecording? _recording;

    /// <summary>Where work goes instead of the queue, while this thread captures the stream.</summary>
    private GraphRecording? Recording
    {
        get
        {
            GraphRecording? recording = Volatile.Read(ref _recording);
            if (recording is { IsOfThisThread: false })
                throw new InvalidOperationException("DeviceStream: another thread is capturing this stream.");
            return recording;
        }
    }

    /// <summary>What the stream is told is recorded and does not run.</summary>
    internal bool IsCaptured => Recording is not null;

    /// <summary>
    /// Makes a graph of the work that <paramref name="work"/> gives this stream; none of it runs yet. Kernels are compiled and memory is
    /// allocated here, so that a replay does neither. Other streams, and other streams over the same queue, are not captured.
    /// </summary>
    /// <param name="work">Calls ops with this stream. What asks for results or orders streams cannot be captured and throws, and leaves the
    /// capture as it was.</param>
    /// <exception cref="InvalidOperationException">The stream is being captured already, or the work synchronises, downloads, records or
    /// waits.</exception>
    /// <exception cref="DeviceException">A kernel does not compile, memory is short, or the driver refuses the graph. The stream stays
    /// usable.</exception>
    public DeviceGraph Capture(Action work) => GraphOf(RecordWork(work, "DeviceStream.Capture"));

    /// <summary>Begins what <see cref="Capture"/> does, for callers that have no delegate to hand over.</summary>
    internal void BeginCapture() => BeginRecording("DeviceStream.BeginCapture");

    /// <summary>Ends it and makes the graph.</summary>
    /// <exception cref="InvalidOperationException">The stream is not being captured.</exception>
    internal DeviceGraph EndCapture() => GraphOf(EndRecording("DeviceStream.EndCapture"));

    /// <summary>Ends it and forgets what was recorded.</summary>
    /// <exception cref="InvalidOperationException">The stream is not being captured.</exception>
    internal void AbandonCapture() => Forget(EndRecording("DeviceStream.AbandonCapture"));

    /// <summary>Compiles what the work would launch, and launches nothing.</summary>
    internal void Prepare(Action work)
    {
        using GraphRecording recording = RecordWork(work, "Device.Prepare");
        recording.Errors.Dispose();
    }

    /// <summary>Has a graph that is being recorded keep memory that its kernels reach through tables.</summary>
    internal void KeepForGraph(DeviceMemory memory) => Recording?.Keep(memory);

    /// <summary>The stream queues what it is told, as it must for <paramref name="call"/>.</summary>
    /// <exception cref="InvalidOperationException">It is being captured.</exception>
    internal void CheckQueues(string call)
    {
        ThrowIfDisposed();
        if (Recording is not null)
            throw new InvalidOperationException($"{call}: the stream is being captured, and this cannot be part of a graph.");
    }

    /// <summary>Compiles and loads a kernel ahead of its launch.</summary>
    private protected abstract void PrepareCore(KernelDefinition kernel, in KernelVariant variant);

    /// <summary>What the driver makes of a recording, or null where the work is queued again for each replay.</summary>
    private protected virtual INativeGraph? Instantiate(GraphRecording recording) => null;

    private GraphRecording RecordWork(Action work, string call)
    {
        ArgumentNullException.ThrowIfNull(work);
        BeginRecording(call);
        try
        {
            work();
        }
        catch
        {
            Forget(EndRecording(call));
            throw;
        }

        return EndRecording(call);
    }

    private void BeginRecording(string call)
    {
        ThrowIfDisposed();
        GraphRecording recording = new(Device);
        if (Interlocked.CompareExchange(ref _recording, recording, null) is null) return;
        Forget(recording);
        throw new InvalidOperationException($"{call}: the stream is being captured already.");
    }

    private GraphRecording EndRecording(string call)
    {
        GraphRecording recording = Recording ?? throw new InvalidOperationException($"{call}: the stream is not being captured.");
        Volatile.Write(ref _recording, null);
        return recording;
    }

    private DeviceGraph GraphOf(GraphRecording recording)
    {
        try
        {
            // Kernel by kernel, each launch can be followed by a synchronisation.
            return new DeviceGraph(Device, recording, Device.SynchronizeAfterLaunch ? null : Instantiate(recording));
        }
        catch
        {
            Forget(recording);
            throw;
        }
    }

    private static void Forget(GraphRecording recording)
    {
        recording.Errors.Dispose();
        recording.Dispose();
    }

    private void RecordLaunch<TArguments>(
        GraphRecording recording, KernelDefinition<TArguments> kernel, KernelVariant variant, LaunchShape shape, TArguments arguments)
        where TArguments : struct, IKernelArguments
    {
        using MemoryLease lease = MemoryLease.Take(arguments);
        PrepareCore(kernel, variant);
        lease.KeepFor(recording);
        recording.AddLaunch(stream => stream.LaunchNow(kernel, variant, shape, arguments));
    }

    private static void RecordProduct(
        GraphRecording recording, MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument c) =>
        recording.AddProduct(stream => stream.MultiplyNow(stream.Blas!, product, a, b, c), a.Memory!, b.Memory!, c.Memory!);

    private static void RecordUpload(GraphRecording recording, DeviceMemory host, DeviceMemory memory, long offset, long bytes) =>
        recording.Add(stream => stream.UploadAsyncCore(host, memory, offset, bytes), host, memory);

    private static void RecordDownload(GraphRecording recording, DeviceMemory memory, long offset, DeviceMemory host, long bytes) =>
        recording.Add(stream => stream.DownloadAsyncCore(memory, offset, host, bytes), memory, host);

    private static void RecordCopy(
        GraphRecording recording, DeviceMemory source, long sourceOffset, DeviceMemory destination, long destinationOffset, long bytes) =>
        recording.Add(stream => stream.CopyCore(source, sourceOffset, destination, destinationOffset, bytes), source, destination);

    private static void RecordFill(GraphRecording recording, DeviceMemory memory, long offset, long bytes, byte[] pattern) =>
        recording.Add(stream => stream.FillCore(memory, offset, bytes, pattern), memory);
}
