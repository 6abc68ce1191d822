using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels.Native;

/// <summary>Streams: queues of work. Work of one stream runs in the order of the calls; different streams may overlap.</summary>
public static unsafe class StreamExports
{
    /// <summary>Creates a queue.</summary>
    /// <param name="device">The device.</param>
    /// <param name="stream">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_create")]
    public static Status Create(CDevice device, [Out] CStream* stream) => Failure.Guard(() =>
    {
        Arguments.Result(stream, "stream_create", nameof(stream));
        *stream = default;
        DeviceEntry entry = Arguments.Device(device);
        *stream = new CStream(Handles.Add(new StreamEntry(entry.Device.CreateStream(), entry)));
    });

    /// <summary>
    /// A stream over a queue of the caller: a CUstream of the device's primary context (0 or 1 is the legacy default stream, 2 the default
    /// stream of the calling thread), or a cl_command_queue of the device's context. It can be wrapped anew for each call: scratch memory
    /// stays with the device, and freeing the handle waits for nothing. The CPU has no queues, so there it is NOT_SUPPORTED.
    /// </summary>
    /// <param name="device">The device.</param>
    /// <param name="native">The queue.</param>
    /// <param name="stream">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_wrap")]
    public static Status Wrap(CDevice device, [Out][AllowNull] void* native, [Out] CStream* stream) => Failure.Guard(() =>
    {
        Arguments.Result(stream, "stream_wrap", nameof(stream));
        *stream = default;
        DeviceEntry entry = Arguments.Device(device);
        *stream = new CStream(Handles.Add(new StreamEntry(entry.Device.WrapStream((nint)native), entry)));
    });

    /// <summary>The queue behind a stream: a CUstream, a cl_command_queue, or NULL on the CPU. Valid until the stream is freed.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="native">Gets the queue.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_native")]
    public static Status Native(CStream stream, [Out] void** native) => Failure.Guard(() =>
    {
        Arguments.Result(native, "stream_native", nameof(native));
        *native = (void*)Arguments.Stream(stream).Stream.NativeHandle;
    });

    /// <summary>Waits until everything queued so far is done.</summary>
    /// <param name="stream">The stream.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_synchronize")]
    public static Status Synchronize(CStream stream) => Failure.Guard(() => Arguments.Stream(stream).Stream.Synchronize());

    /// <summary>Queues a copy from the host. The source may be used again on return.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="source">As many bytes as the destination has.</param>
    /// <param name="destination">Where to.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_upload")]
    public static Status Upload(CStream stream, void* source, CTensor* destination) => Failure.Guard(() =>
    {
        const string Op = "stream_upload";
        (DeviceStream queue, DeviceTensor<byte> bytes) = Bytes(stream, destination, Op, nameof(destination));
        if (bytes.Length > 0) Arguments.Result(source, Op, nameof(source));
        ForEachPiece(bytes, (piece, start, length) => queue.Upload(new ReadOnlySpan<byte>((byte*)source + start, length), piece));
    });

    /// <summary>Copies to the host, and waits until the values are there.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="source">Where from.</param>
    /// <param name="destination">As many bytes as the source has.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_download")]
    public static Status Download(CStream stream, CTensor* source, [Out] void* destination) => Failure.Guard(() =>
    {
        const string Op = "stream_download";
        (DeviceStream queue, DeviceTensor<byte> bytes) = Bytes(stream, source, Op, nameof(source));
        if (bytes.Length > 0) Arguments.Result(destination, Op, nameof(destination));
        queue.CheckQueues(Op);
        ForEachPiece(bytes, (piece, start, length) => queue.Download(piece, new Span<byte>((byte*)destination + start, length)));
    });

    /// <summary>Queues a copy between tensors of one size on this device, bit for bit.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="source">Where from.</param>
    /// <param name="destination">Where to.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_copy")]
    public static Status Copy(CStream stream, CTensor* source, CTensor* destination) => Failure.Guard(() =>
    {
        const string Op = "stream_copy";
        (DeviceStream queue, DeviceTensor<byte> from) = Bytes(stream, source, Op, nameof(source));
        queue.Copy(from, Bytes(stream, destination, Op, nameof(destination)).Bytes);
    });

    /// <summary>Queues setting every element to one value.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="destination">What is set.</param>
    /// <param name="value">One element, read before the call returns.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_fill")]
    public static Status Fill(CStream stream, CTensor* destination, void* value) => Failure.Guard(() =>
    {
        const string Op = "stream_fill";
        Arguments.Result(value, Op, nameof(value));
        StreamEntry queue = Arguments.Stream(stream);
        try
        {
            switch (Size(destination, Op, nameof(destination)))
            {
                case 1: Fill(queue, destination, *(byte*)value); break;
                case 2: Fill(queue, destination, *(Half*)value); break;
                case 4: Fill(queue, destination, *(uint*)value); break;
                default: Fill(queue, destination, *(ulong*)value); break;
            }
        }
        finally
        {
            DeviceEntry.EndCall();
        }
    });

    /// <summary>A point in the stream's work: completed once everything queued before it is.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="deviceEvent">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_record")]
    public static Status Record(CStream stream, [Out] CEvent* deviceEvent) => Failure.Guard(() =>
    {
        Arguments.Result(deviceEvent, "stream_record", nameof(deviceEvent));
        *deviceEvent = default;
        *deviceEvent = new CEvent(Handles.Add(Arguments.Stream(stream).Stream.Record()));
    });

    /// <summary>Work queued after this call waits for an event, which may come from another stream of the device.</summary>
    /// <param name="stream">The stream that waits.</param>
    /// <param name="deviceEvent">What it waits for.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_wait")]
    public static Status Wait(CStream stream, CEvent deviceEvent) => Failure.Guard(() =>
        Arguments.Stream(stream).Stream.WaitFor(Handles.Get<DeviceEvent>(deviceEvent.Value, nameof(deviceEvent))));

    /// <summary>
    /// From here on what this thread tells the stream is recorded, and does not run: kernels are compiled, memory is allocated. What asks
    /// for results or orders streams is INVALID_STATE, and leaves the capture as it was.
    /// </summary>
    /// <param name="stream">The stream.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_begin_capture")]
    public static Status BeginCapture(CStream stream) => Failure.Guard(() => Arguments.Stream(stream).Stream.BeginCapture());

    /// <summary>Ends the capture and makes a graph of it.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="graph">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_end_capture")]
    public static Status EndCapture(CStream stream, [Out] CGraph* graph) => Failure.Guard(() =>
    {
        Arguments.Result(graph, "stream_end_capture", nameof(graph));
        *graph = default;
        *graph = new CGraph(Handles.Add(Arguments.Stream(stream).Stream.EndCapture()));
    });

    /// <summary>Ends the capture and forgets what was recorded: after a failure in it, say.</summary>
    /// <param name="stream">The stream.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_abandon_capture")]
    public static Status AbandonCapture(CStream stream) => Failure.Guard(() => Arguments.Stream(stream).Stream.AbandonCapture());

    /// <summary>Lets a stream go. Work already queued still runs.</summary>
    /// <param name="stream">The stream.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_stream_free")]
    public static Status Free([AllowNull] CStream stream) => Failure.Guard(() => Handles.Remove<StreamEntry>(stream.Value, nameof(stream)));

    private static void Fill<T>(StreamEntry queue, CTensor* destination, T value)
        where T : unmanaged
    {
        CTensor tensor = *destination;
        queue.Stream.Fill(queue.Device.TensorOf<T>(tensor, "stream_fill", nameof(destination)), value);
    }

    /// <summary>A tensor as its bytes, whatever its type. It is used after the call's own arguments were given back.</summary>
    private static (DeviceStream Queue, DeviceTensor<byte> Bytes) Bytes(CStream stream, CTensor* tensor, string op, string name)
    {
        StreamEntry queue = Arguments.Stream(stream);
        int size = Size(tensor, op, name);
        CTensor checkedTensor = *tensor;
        // Its own type first, so that it is dense and aligned.
        DeviceTensor<byte> bytes = size switch
        {
            1 => queue.Device.TensorOf<byte>(checkedTensor, op, name, keeps: true),
            2 => BytesOf(queue.Device.TensorOf<Half>(checkedTensor, op, name, keeps: true)),
            4 => BytesOf(queue.Device.TensorOf<uint>(checkedTensor, op, name, keeps: true)),
            _ => BytesOf(queue.Device.TensorOf<ulong>(checkedTensor, op, name, keeps: true)),
        };
        return (queue.Stream, bytes);
    }

    private static DeviceTensor<byte> BytesOf<T>(DeviceTensor<T> tensor)
        where T : unmanaged
    {
        DeviceMemory memory = tensor.Buffer.Memory;
        return new DeviceBuffer<byte>(memory, memory.Bytes).View(tensor.Offset * sizeof(T), checked(tensor.Length * sizeof(T)));
    }

    private static int Size(CTensor* tensor, string op, string name)
    {
        DType type = Arguments.TypeOf(tensor, op, name);
        if (!Enum.IsDefined(type)) throw Arguments.NoSuchTypes(op, name, type);
        return type.SizeInBytes();
    }

    /// <summary>A span has fewer than 2^31 bytes.</summary>
    private static void ForEachPiece(DeviceTensor<byte> bytes, Action<DeviceTensor<byte>, long, int> work)
    {
        const long Largest = 1 << 30;
        for (long start = 0; start < bytes.Length; start += Largest)
        {
            int length = (int)Math.Min(Largest, bytes.Length - start);
            work(bytes.Buffer.View(bytes.Offset + start, length), start, length);
        }
    }
}
