namespace Kernels.Interop;

/// <summary>cublasOperation_t: what is done to a (column-major) matrix before the product.</summary>
internal enum CublasOperation
{
    N = 0,
    T = 1,
    C = 2,
}

/// <summary>cublasMath_t.</summary>
[Flags]
internal enum CublasMath
{
    /// <summary>Full float precision for float matrices; tensor cores for half and bfloat16.</summary>
    Default = 0,
    TensorOp = 1,
    Pedantic = 2,

    /// <summary>Float matrices may be rounded to TF32.</summary>
    Tf32TensorOp = 3,
    Fp32EmulatedBf16x9 = 4,
    DisallowReducedPrecisionReduction = 16,
}

/// <summary>cublasComputeType_t: what the products are added up in. Alpha and beta are of the same type.</summary>
internal enum CublasComputeType
{
    Compute16F = 64,
    Compute16FPedantic = 65,
    Compute32F = 68,
    Compute32FPedantic = 69,
    Compute64F = 70,
    Compute64FPedantic = 71,
    Compute32I = 72,
    Compute32IPedantic = 73,
    Compute32FFast16F = 74,
    Compute32FFast16BF = 75,
    Compute32FFastTF32 = 77,
    Compute32FEmulated16BFX9 = 78,
}

/// <summary>cublasGemmAlgo_t: on compute capability 8.0 and later cuBLAS chooses by itself whatever is asked.</summary>
internal enum CublasGemmAlgo
{
    Default = -1,
    DefaultTensorOp = 99,
}

/// <summary>cudaDataType: the part used here.</summary>
internal enum CudaDataType
{
    R32F = 0,
    R64F = 1,
    R16F = 2,
    R8I = 3,
    R8U = 8,
    R32I = 10,
    R16BF = 14,
    R8FE4M3 = 28,
    R8FE5M2 = 29,
}
