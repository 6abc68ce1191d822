using Kernels.Interop;
using static Kernels.Interop.Cublas;

namespace Kernels.Devices.Cuda;

/// <summary>cuBLAS on one stream. Float products keep float precision (no TF32); half products accumulate in float.</summary>
internal sealed unsafe class CublasHandle : DriverHandle, IVendorBlas
{
    private readonly CudaDevice _device;
    private readonly CudaStreamHandle _stream;

    private CublasHandle(CudaDevice device, CudaStreamHandle stream, nint handle)
        : base(device.Context, handle)
    {
        _device = device;
        _stream = stream;
    }

    /// <summary>True when the library can be loaded; <c>KERNELS_NO_CUBLAS=1</c> leaves it aside.</summary>
    public static bool IsAvailable { get; } =
        Environment.GetEnvironmentVariable("KERNELS_NO_CUBLAS") != "1" && NativeLibraries.TryLoad(NativeLibraries.Cublas, out _);

    public static CublasHandle Create(CudaDevice device, CudaStreamHandle stream)
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent(stream);
        nint handle;
        CublasStatus status;
        lock (device.Context.WholeContext) status = cublasCreate_v2(out handle);
        ThrowIfFailed(device, stream, status, "cublasCreate");
        CublasHandle created = new(device, stream, handle);
        try
        {
            ThrowIfFailed(device, stream, cublasSetStream_v2(handle, stream.Value), "cublasSetStream");
            CublasMath mode = CublasMath.Default | CublasMath.DisallowReducedPrecisionReduction;
            ThrowIfFailed(device, stream, cublasSetMathMode(handle, mode), "cublasSetMathMode");
            return created;
        }
        catch
        {
            created.Dispose();
            throw;
        }
    }

    public string ProductName => "cublasGemmEx";

    public string? Reject(in MatrixProduct product)
    {
        if (Math.Max(product.M, Math.Max(product.N, product.K)) > int.MaxValue) return "cuBLAS counts in 32 bits";
        return product.K == 0 ? "an empty sum" : null;
    }

    public void Multiply(in MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument c)
    {
        // cuBLAS is column-major: it sees our row-major c as its transpose, so it computes cT = op(b)T op(a)T from b and a in this order.
        (int m, int n, int k) = ((int)product.M, (int)product.N, (int)product.K);
        CudaDataType type = product.DType switch
        {
            DType.Float32 => CudaDataType.R32F,
            DType.Float16 => CudaDataType.R16F,
            DType.BFloat16 => CudaDataType.R16BF,
            _ => CudaDataType.R64F,
        };
        bool isDouble = product.DType == DType.Float64;
        double oneDouble = 1, zeroDouble = 0;
        float oneSingle = 1, zeroSingle = 0;
        using MemoryLease aLease = MemoryLease.Take(a.Memory!), bLease = MemoryLease.Take(b.Memory!), cLease = MemoryLease.Take(c.Memory!);
        using HandleLease lease = new(this);
        using CudaContext.Scope scope = _device.Context.MakeCurrent(_stream);
        ThrowIfFailed(
            _device,
            _stream,
            cublasGemmEx(
                handle,
                product.TransposeB ? CublasOperation.T : CublasOperation.N,
                product.TransposeA ? CublasOperation.T : CublasOperation.N,
                n, m, k,
                isDouble ? &oneDouble : &oneSingle,
                Address(b, product.DType), type, product.TransposeB ? k : n,
                Address(a, product.DType), type, product.TransposeA ? m : k,
                isDouble ? &zeroDouble : &zeroSingle,
                Address(c, product.DType), type, n,
                isDouble ? CublasComputeType.Compute64F : CublasComputeType.Compute32F,
                CublasGemmAlgo.Default),
            ProductName);
    }

    public override void Release()
    {
        lock (_device.Context.WholeContext) cublasDestroy_v2(handle);
    }

    private static nuint Address(TensorArgument tensor, DType dtype) =>
        (nuint)tensor.Memory!.Value + ((nuint)tensor.Offset * (nuint)dtype.SizeInBytes());

    private static void ThrowIfFailed(CudaDevice device, CudaStreamHandle stream, CublasStatus status, string call)
    {
        if (status == CublasStatus.Success) return;
        string name = $"{status} ({(int)status})";
        if (status == CublasStatus.AllocFailed) throw new OutOfDeviceMemoryException($"cuBLAS: {name} from {call}", 0, name, call);
        // cuBLAS answers the same for many causes. When the context is lost, the driver knows by which; a stream that is captured must not
        // be queried.
        CudaStatus cause = CudaDriver.cuStreamIsCapturing(stream.Value, out CudaCaptureStatus captured);
        if (cause == CudaStatus.Success && captured == CudaCaptureStatus.None) cause = CudaDriver.cuStreamQuery(stream.Value);
        if (CudaError.IsSticky(cause)) throw device.Context.Failure(cause, call, op: null);
        throw new DeviceException($"cuBLAS: {name} from {call}", name, call);
    }
}
