namespace Kernels.Devices.Cuda;

/// <summary>What belongs to a CUDA stream beside its scratch memory: the handle, the ring for uploads, cuBLAS.</summary>
/// <param name="device">The device.</param>
/// <param name="stream">The stream; disposed with this.</param>
/// <param name="borrowed">How it is waited for where it is another library's; else null.</param>
/// <param name="owner">The only thread for which the handle means this stream, or null for all.</param>
internal sealed class CudaQueueState(CudaDevice device, CudaStreamHandle stream, CudaBorrowedStream? borrowed = null, Thread? owner = null)
    : QueueState(device, owner, isBorrowed: borrowed is not null)
{
    private readonly Lock _blasLock = new();
    private CublasHandle? _blas;
    private bool _disposed;

    public CudaStreamHandle Stream => stream;

    public CudaBorrowedStream? Borrowed => borrowed;

    public StagingRing Staging { get; } = new(device);

    /// <summary>cuBLAS on this stream, made when first asked for; null where it cannot be loaded.</summary>
    public CublasHandle? Blas
    {
        get
        {
            if (!CublasHandle.IsAvailable) return null;
            lock (_blasLock)
            {
                ObjectDisposedException.ThrowIf(_disposed, typeof(DeviceStream));
                return _blas ??= CublasHandle.Create(device, stream);
            }
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        lock (_blasLock)
        {
            _disposed = true;
            _blas?.Dispose();
        }

        Staging.Dispose();
        borrowed?.Dispose();
        stream.Dispose();
    }
}
