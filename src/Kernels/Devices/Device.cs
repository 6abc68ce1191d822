using System.Runtime.InteropServices;
using Kernels.Devices;
using Kernels.Devices.Cpu;
using Kernels.Devices.Cuda;
using Kernels.Devices.OpenCl;

namespace Kernels;

/// <summary>The kind of a device.</summary>
public enum DeviceKind
{
    /// <summary>The managed device: vectorised C#, always there.</summary>
    Cpu,

    /// <summary>An OpenCL 1.2 (or newer) device of any vendor.</summary>
    OpenCl,

    /// <summary>An NVIDIA GPU through the CUDA driver.</summary>
    Cuda,
}

/// <summary>One line of <see cref="Device.List"/>.</summary>
/// <param name="Id">What <see cref="Device.Open"/> takes: <c>cpu</c>, <c>opencl:0</c>, <c>cuda:0</c>.</param>
/// <param name="Kind">The kind of device.</param>
/// <param name="Name">The vendor's name.</param>
/// <param name="MemoryBytes">Device memory in bytes; 0 when unknown.</param>
/// <param name="Available">Whether it can be opened.</param>
/// <param name="Reason">Why it cannot be opened, or null.</param>
public sealed record DeviceDescription(string Id, DeviceKind Kind, string Name, long MemoryBytes, bool Available, string? Reason);

/// <summary>
/// A place where kernels run. Everything made from a device (streams, buffers, tensors, events) keeps its native context alive, so objects
/// may be disposed in any order. All members may be called from any thread.
/// </summary>
public abstract class Device : IDisposable
{
    private readonly Dictionary<QueueKey, QueueState> _wrapped = [];
    private readonly Lock _uploadLock = new();
    private DeviceStream? _uploads;
    private int _disposed;

    private protected Device(DeviceDescription description)
    {
        Description = description;
        SynchronizeAfterLaunch = Environment.GetEnvironmentVariable("KERNELS_SYNC") == "1";
    }

    /// <summary>Id, kind, name and memory of this device.</summary>
    public DeviceDescription Description { get; }

    /// <summary>The id that opens this device: <c>cpu</c>, <c>opencl:0</c>, <c>cuda:0</c>.</summary>
    public string Id => Description.Id;

    /// <summary>The kind of device.</summary>
    public DeviceKind Kind => Description.Kind;

    /// <summary>The vendor's name.</summary>
    public string Name => Description.Name;

    /// <summary>What this device has handed out and done.</summary>
    public DeviceCounters Counters { get; } = new();

    /// <summary>True when double-precision tensors can be used.</summary>
    public abstract bool SupportsFloat64 { get; }

    /// <summary>The native context: CUcontext, cl_context, or 0 on the CPU. Borrowed: do not release it.</summary>
    public abstract nint NativeContext { get; }

    /// <summary>Each launch is followed by a synchronisation, so that an error names its kernel (environment KERNELS_SYNC=1).</summary>
    internal bool SynchronizeAfterLaunch { get; }

    /// <summary>Multiprocessors of a GPU; 0 for the CPU, where a row never waits for others.</summary>
    internal virtual int ComputeUnits => 0;

    /// <summary>
    /// Why kernels that keep what they have read in shared memory, and may wait for each other's groups, do not run here; null where they
    /// do.
    /// </summary>
    internal virtual string? RejectResidentKernels() => "resident kernels are CUDA's";

    /// <summary>How many groups of a kernel this device holds at a time, with so much shared memory each.</summary>
    internal virtual long ResidentGroups(KernelDefinition kernel, in KernelVariant variant, int sharedBytes) => 0;

    /// <summary>Why a kernel for tensor cores whose groups have so much shared memory cannot run here; null where it can.</summary>
    internal virtual string? RejectTensorCores(int sharedBytes) => "tensor cores are CUDA's";

    /// <summary>Every device this machine could have, the missing kinds included with the reason why they are missing.</summary>
    public static IReadOnlyList<DeviceDescription> List() =>
        [CpuDevice.Describe(), .. OpenClDevice.Describe(), .. CudaDevice.Describe()];

    /// <summary>
    /// Opens a device: the one with this <paramref name="id"/>, or else the first CUDA GPU, else the first OpenCL GPU, else the CPU.
    /// </summary>
    /// <exception cref="ArgumentException">The id is not of the form <c>cpu</c>, <c>opencl:N</c> or <c>cuda:N</c>.</exception>
    /// <exception cref="DeviceNotAvailableException">There is no such device, or its driver cannot be loaded; the message says
    /// why.</exception>
    public static Device Open(string? id = null)
    {
        if (id is null)
        {
            DeviceDescription? gpu = CudaDevice.Describe().FirstOrDefault(d => d.Available)
                ?? OpenClDevice.DescribeGpus().FirstOrDefault(d => d.Available);
            return gpu is null ? new CpuDevice() : Open(gpu.Id);
        }

        string[] parts = id.Trim().ToLowerInvariant().Split(':');
        bool numbered = parts.Length == 2 && int.TryParse(parts[1], out _);
        return parts[0] switch
        {
            "cpu" when parts.Length == 1 => new CpuDevice(),
            "opencl" when parts.Length == 1 || numbered => OpenClDevice.Open(parts.Length == 1 ? 0 : int.Parse(parts[1])),
            "cuda" when parts.Length == 1 || numbered => CudaDevice.Open(parts.Length == 1 ? 0 : int.Parse(parts[1])),
            _ => throw new ArgumentException($"'{id}' is not a device id; use cpu, opencl:N or cuda:N.", nameof(id)),
        };
    }

    /// <summary>
    /// A device over an OpenCL context that another library owns, so that its cl_mem objects and queues can be lent in. The context is
    /// retained.
    /// </summary>
    /// <param name="context">The cl_context.</param>
    /// <param name="device">The cl_device_id, one of the context's devices.</param>
    /// <exception cref="ArgumentException">The device does not belong to the context.</exception>
    /// <exception cref="DeviceException">OpenCL cannot be loaded, or refuses the handles.</exception>
    public static Device FromOpenClContext(nint context, nint device) => OpenClDevice.FromContext(context, device);

    /// <summary>Creates a queue of work. Work in one stream runs in the order of the calls; different streams may overlap.</summary>
    public DeviceStream CreateStream()
    {
        ThrowIfDisposed();
        return CreateStreamCore();
    }

    /// <summary>
    /// A stream over a queue that another library owns: a CUstream of the primary context (0 or 1 is the legacy default stream, 2 the
    /// default stream of the calling thread), or a cl_command_queue of <see cref="NativeContext"/>. It is borrowed: the caller keeps it
    /// alive until this object is disposed. Streams over one queue share scratch memory and reports of bad data, which stay with the
    /// device, so it can be wrapped anew for each call; disposing waits for nothing.
    /// </summary>
    /// <remarks>
    /// A stream over the default stream of a thread is used on that thread. The owner of a CUDA stream may capture it: run the work once
    /// before, so that kernels are compiled and scratch memory is there, and replay it on the same stream.
    /// </remarks>
    /// <exception cref="ArgumentException">An OpenCL handle is null.</exception>
    /// <exception cref="NotSupportedException">The CPU device has no native queues.</exception>
    public DeviceStream WrapStream(nint nativeHandle)
    {
        ThrowIfDisposed();
        QueueKey key = KeyOf(nativeHandle);
        lock (_wrapped)
        {
            ThrowIfDisposed();
            if (!_wrapped.TryGetValue(key, out QueueState? queue))
            {
                foreach (QueueKey dead in _wrapped.Keys.Where(other => other.Owner is { IsAlive: false }).ToArray())
                {
                    if (_wrapped.Remove(dead, out QueueState? state)) state.Dispose();
                }

                queue = WrapQueue(key);
                _wrapped.Add(key, queue);
            }

            return WrapStreamCore(queue);
        }
    }

    /// <summary>
    /// Compiles the kernels that <paramref name="work"/> launches, so that its first call need not; launches none of them and changes no
    /// tensor.
    /// </summary>
    /// <param name="work">Calls ops with the stream it is given. As in <see cref="DeviceStream.Capture"/>, it cannot ask for
    /// results.</param>
    /// <exception cref="InvalidOperationException">The work synchronises, downloads, records or waits.</exception>
    /// <exception cref="KernelCompilationException">A kernel does not compile.</exception>
    public void Prepare(Action<DeviceStream> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        using DeviceStream stream = CreateStream();
        stream.Prepare(() => work(stream));
    }

    /// <summary>A buffer of <paramref name="length"/> elements, not initialised.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative, or its bytes exceed 2^63.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory; it stays usable.</exception>
    public DeviceBuffer<T> AllocateBuffer<T>(long length)
        where T : unmanaged
    {
        ThrowIfDisposed();
        return new DeviceBuffer<T>(AllocateMemory(BytesOf<T>(length)), length);
    }

    /// <summary>
    /// A buffer over memory that another library owns: a CUdeviceptr, a cl_mem of <see cref="NativeContext"/>, or an address on the CPU. It
    /// is borrowed: disposing the buffer does not free it, and the caller keeps it alive as long as this object is used.
    /// </summary>
    /// <exception cref="ArgumentException">The handle is null, or a cl_mem that is smaller or belongs to another context.</exception>
    public DeviceBuffer<T> WrapBuffer<T>(nint nativeHandle, long length)
        where T : unmanaged
    {
        ThrowIfDisposed();
        long bytes = BytesOf<T>(length);
        if (nativeHandle == 0 && bytes > 0) throw new ArgumentException("Device.WrapBuffer: the handle is null.", nameof(nativeHandle));
        return new DeviceBuffer<T>(WrapMemory(nativeHandle, bytes), length);
    }

    /// <summary>
    /// A dense, row-major tensor over memory that another library owns: a CUdeviceptr, a cl_mem of <see cref="NativeContext"/>, or an
    /// address on the CPU. It is borrowed: disposing the tensor does not free it, and the caller keeps it alive as long as this object and
    /// the work on it.
    /// </summary>
    /// <param name="pointer">Where the memory starts.</param>
    /// <param name="byteOffset">Bytes from there to the first element: a whole number of elements.</param>
    /// <param name="shape">The dimensions, slowest first.</param>
    /// <exception cref="ArgumentException">The pointer is null, or a cl_mem that is smaller or belongs to another context.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The offset is negative or no whole number of elements, or a dimension is
    /// negative.</exception>
    public DeviceTensor<T> WrapTensor<T>(nint pointer, long byteOffset, params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        int size = DTypes.Of<T>().SizeInBytes();
        if (byteOffset < 0 || byteOffset % size != 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(byteOffset), byteOffset, $"Device.WrapTensor: the offset is a whole number of elements of {size} bytes.");
        }

        long offset = byteOffset / size;
        long count = TensorShape.Count(shape);
        if (count > long.MaxValue - offset)
        {
            throw new ArgumentOutOfRangeException(
                nameof(byteOffset), byteOffset, $"Device.WrapTensor: {count} elements from there exceed 2^63.");
        }

        return new DeviceTensor<T>(WrapBuffer<T>(pointer, offset + count), offset, shape.ToArray(), ownsBuffer: true);
    }

    /// <summary>A dense tensor of the given shape, not initialised. It owns its memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A dimension is negative, or the bytes exceed 2^63.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory; it stays usable.</exception>
    public DeviceTensor<T> Allocate<T>(params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        DeviceBuffer<T> buffer = AllocateBuffer<T>(TensorShape.Count(shape));
        return new DeviceTensor<T>(buffer, 0, shape.ToArray(), ownsBuffer: true);
    }

    /// <summary>A dense tensor with these values, row-major. Blocks until they are on the device.</summary>
    /// <exception cref="ArgumentException">The number of values is not the product of the shape.</exception>
    public DeviceTensor<T> Upload<T>(ReadOnlySpan<T> values, params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        if (values.Length != TensorShape.Count(shape))
        {
            throw new ArgumentException(
                $"Device.Upload: {values.Length} values do not fill the shape {TensorShape.Format(shape)}.", nameof(values));
        }

        DeviceTensor<T> tensor = Allocate<T>(shape);
        try
        {
            UploadNow(MemoryMarshal.AsBytes(values), tensor.Buffer.Memory);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Host memory that transfers to and from this device without a copy in between (page-locked where the driver offers it).
    /// </summary>
    public HostBuffer<T> AllocateHost<T>(int length)
        where T : unmanaged
    {
        ThrowIfDisposed();
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new HostBuffer<T>(AllocateHostMemory(BytesOf<T>(length)), length);
    }

    /// <summary>
    /// Lets go of the device: its streams take no more work. Its native context goes when the last stream, buffer and event made from it is
    /// gone.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            lock (_wrapped)
            {
                foreach (QueueState queue in _wrapped.Values) queue.Dispose();
                _wrapped.Clear();
            }

            lock (_uploadLock) _uploads?.Dispose();
            DisposeCore();
        }

        GC.SuppressFinalize(this);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Id} ({Name})";

    internal abstract DeviceMemory AllocateMemory(long bytes);

    internal abstract DeviceMemory WrapMemory(nint nativeHandle, long bytes);

    /// <summary>Memory of the host that kernels of this device can read and write in place.</summary>
    internal virtual DeviceMemory AllocateMappedHostMemory(long bytes) => AllocateMemory(bytes);

    internal virtual DeviceMemory AllocateHostMemory(long bytes) => CpuMemory.Allocate(this, bytes);

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);

    private protected abstract DeviceStream CreateStreamCore();

    /// <summary>A stream in which nothing is ever left to wait for.</summary>
    private protected virtual DeviceStream CreateUploadStream() => CreateStreamCore();

    /// <summary>Which queue a handle means.</summary>
    private protected abstract QueueKey KeyOf(nint nativeHandle);

    private protected abstract QueueState WrapQueue(in QueueKey key);

    private protected abstract DeviceStream WrapStreamCore(QueueState queue);

    private protected abstract void DisposeCore();

    private void UploadNow(ReadOnlySpan<byte> values, DeviceMemory destination)
    {
        if (values.IsEmpty) return;
        lock (_uploadLock)
        {
            ThrowIfDisposed();
            _uploads ??= CreateUploadStream();
            _uploads.UploadNow(values, destination);
        }
    }

    private static long BytesOf<T>(long length)
        where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        int size = DTypes.Of<T>().SizeInBytes();
        if (length > long.MaxValue / size)
            throw new ArgumentOutOfRangeException(nameof(length), length, $"{length} elements of {size} bytes exceed 2^63 bytes.");
        return length * size;
    }
}
