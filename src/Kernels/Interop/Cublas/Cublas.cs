using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// cuBLAS under its own names, for matrix products. Matrices are column-major and <c>nuint</c> device pointers; alpha and beta are
/// read from host memory (the default pointer mode) before the call returns. A handle belongs to the context current at its creation.
/// </summary>
internal static unsafe partial class Cublas
{
    [LibraryImport(NativeLibraries.Cublas)] internal static partial CublasStatus cublasCreate_v2(out nint handle);
    [LibraryImport(NativeLibraries.Cublas)] internal static partial CublasStatus cublasDestroy_v2(nint handle);
    [LibraryImport(NativeLibraries.Cublas)] internal static partial CublasStatus cublasGetVersion_v2(nint handle, out int version);

    /// <summary>Also puts the handle back to its default workspace: call <see cref="cublasSetWorkspace_v2"/> afterwards.</summary>
    [LibraryImport(NativeLibraries.Cublas)] internal static partial CublasStatus cublasSetStream_v2(nint handle, nint stream);

    /// <summary>A workspace of the caller's own keeps results the same from run to run when several streams share a handle.</summary>
    [LibraryImport(NativeLibraries.Cublas)]
    internal static partial CublasStatus cublasSetWorkspace_v2(nint handle, nuint workspace, nuint bytes);
    [LibraryImport(NativeLibraries.Cublas)] internal static partial CublasStatus cublasSetMathMode(nint handle, CublasMath mode);

    [LibraryImport(NativeLibraries.Cublas)]
    internal static partial CublasStatus cublasSgemm_v2(
        nint handle, CublasOperation transposeA, CublasOperation transposeB, int m, int n, int k,
        float* alpha, nuint a, int lda, nuint b, int ldb, float* beta, nuint c, int ldc);

    [LibraryImport(NativeLibraries.Cublas)]
    internal static partial CublasStatus cublasDgemm_v2(
        nint handle, CublasOperation transposeA, CublasOperation transposeB, int m, int n, int k,
        double* alpha, nuint a, int lda, nuint b, int ldb, double* beta, nuint c, int ldc);

    [LibraryImport(NativeLibraries.Cublas)]
    internal static partial CublasStatus cublasGemmEx(
        nint handle, CublasOperation transposeA, CublasOperation transposeB, int m, int n, int k,
        void* alpha, nuint a, CudaDataType typeA, int lda, nuint b, CudaDataType typeB, int ldb,
        void* beta, nuint c, CudaDataType typeC, int ldc, CublasComputeType computeType, CublasGemmAlgo algo);
}
