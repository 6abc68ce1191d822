using Kernels.Interop;
using static Kernels.Interop.Cublas;

namespace Kernels.Devices.Cuda;

/// <summary>cuBLAS on one stream. Float products keep float precision (no TF32); half products accumulate in float.</summary>
internal sealed unsafe class CublasHandle : IVendorBlas, IDisposable
{
    private readonly CudaDevice _device;
    private readonly nint _handle;

    public CublasHandle(CudaDevice device, nint stream)
    {
        _device = device;
        using CudaContext.Scope scope = device.Context.MakeCurrent();
        ThrowIfFailed(cublasCreate_v2(out _handle), "cublasCreate");
        ThrowIfFailed(cublasSetStream_v2(_handle, stream), "cublasSetStream");
        ThrowIfFailed(cublasSetMathMode(_handle, CublasMath.Default | CublasMath.DisallowReducedPrecisionReduction), "cublasSetMathMode");
    }

    /// <summary>Whether the library can be loaded; <c>KERNELS_NO_CUBLAS=1</c> leaves it aside.</summary>
    public static bool IsAvailable { get; } =
        Environment.GetEnvironmentVariable("KERNELS_NO_CUBLAS") != "1" && NativeLibraries.TryLoad(NativeLibraries.Cublas, out _);

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
        using CudaContext.Scope scope = _device.Context.MakeCurrent();
        ThrowIfFailed(
            cublasGemmEx(
                _handle,
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
            "cublasGemmEx");
    }

    public void Dispose()
    {
        if (!_device.Context.TryMakeCurrent()) return;
        cublasDestroy_v2(_handle);
        CudaDriver.cuCtxPopCurrent_v2(out _);
    }

    private static nuint Address(TensorArgument tensor, DType dtype) =>
        (nuint)tensor.Memory!.Value + ((nuint)tensor.Offset * (nuint)dtype.SizeInBytes());

    private static void ThrowIfFailed(CublasStatus status, string call)
    {
        string name = $"{status} ({(int)status})";
        if (status != CublasStatus.Success) throw new DeviceException($"cuBLAS: {name} from {call}", name, call);
    }
}
