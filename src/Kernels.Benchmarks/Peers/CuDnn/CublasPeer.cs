using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Interop;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>
/// cuBLAS, called straight. Our own products use it too where it is installed, so the ratio says what we add; with
/// <c>KERNELS_NO_CUBLAS=1</c> it says how our own kernels compare.
/// </summary>
internal sealed class CublasPeer : Peer
{
    private readonly CublasHandle _blas;

    /// <exception cref="PeerException">The library is missing or refuses the device.</exception>
    public CublasPeer(DeviceStream stream)
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.Cublas, out string? reason)) throw new PeerException(reason!);
        try
        {
            _blas = ((CudaStream)stream).CreateBlas();
        }
        catch (DeviceException e)
        {
            throw new PeerException(e.Message, e);
        }
    }

    public override string Name => "cuBLAS";

    public override string? Reject(OpCase op, Problem problem, DType dtype) =>
        op.Op == "matmul" && problem is MatMulProblem p ? _blas.Reject(Product(p, dtype)) : NoCounterpart;

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors)
    {
        if (Reject(op, problem, dtype) is { } reason) throw new PeerException(reason);
        MatrixProduct product = Product((MatMulProblem)problem, dtype);
        TensorArgument a = tensors.Argument("a", dtype), b = tensors.Argument("b", dtype), c = tensors.Argument("c", dtype);
        return new QueuedCall("cublasGemmEx", () => _blas.Multiply(product, a, b, c));
    }

    public override void Dispose()
    {
        _blas.Dispose();
        base.Dispose();
    }

    private static MatrixProduct Product(MatMulProblem p, DType dtype) => new(dtype, p.M, p.N, p.K, p.TransposeA, p.TransposeB);
}
