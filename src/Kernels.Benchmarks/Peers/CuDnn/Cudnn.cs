using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kernels.Benchmarks;

/// <summary>
/// The part of cuDNN 9's C API used here, under its own names. Scaling factors are host floats (host doubles for double tensors).
/// </summary>
internal static unsafe partial class Cudnn
{
    internal const int FormatNchw = 0;
    internal const int ActivationRelu = 1;
    internal const int PropagateNan = 1;

    [LibraryImport(PeerLibraries.Cudnn)] internal static partial nuint cudnnGetVersion();
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial nint cudnnGetErrorString(int status);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnCreate(out nint handle);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDestroy(nint handle);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnSetStream(nint handle, nint stream);

    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnCreateTensorDescriptor(out nint descriptor);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDestroyTensorDescriptor(nint descriptor);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnSetTensor4dDescriptor(nint descriptor, int format, CudnnType type, int n, int c, int h, int w);

    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnCreateDropoutDescriptor(out nint descriptor);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDestroyDropoutDescriptor(nint descriptor);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDropoutGetStatesSize(nint handle, out nuint bytes);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDropoutGetReserveSpaceSize(nint tensor, out nuint bytes);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnSetDropoutDescriptor(
        nint descriptor, nint handle, float dropProbability, nint states, nuint bytes, ulong seed);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnDropoutForward(
        nint handle, nint dropout, nint xTensor, void* x, nint yTensor, void* y, nint reserve, nuint bytes);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnDropoutBackward(
        nint handle, nint dropout, nint dyTensor, void* dy, nint dxTensor, void* dx, nint reserve, nuint bytes);

    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnCreateActivationDescriptor(out nint descriptor);
    [LibraryImport(PeerLibraries.Cudnn)] internal static partial int cudnnDestroyActivationDescriptor(nint descriptor);
    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnSetActivationDescriptor(
        nint descriptor, int mode, int nan, double coefficient);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnActivationForward(
        nint handle, nint activation, void* alpha, nint xTensor, void* x, void* beta, nint yTensor, void* y);

    [LibraryImport(PeerLibraries.Cudnn)]
    internal static partial int cudnnActivationBackward(
        nint handle, nint activation, void* alpha, nint yTensor, void* y, nint dyTensor, void* dy, nint xTensor, void* x, void* beta,
        nint dxTensor, void* dx);

    /// <exception cref="PeerException">The status is not 0.</exception>
    internal static void ThrowIfFailed(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status == 0) return;
        throw new PeerException($"cuDNN: {Marshal.PtrToStringUTF8(cudnnGetErrorString(status))} ({status}) from {call.Split('(')[0]}");
    }
}

/// <summary>cudnnDataType_t.</summary>
internal enum CudnnType
{
    Float32 = 0,
    Float64 = 1,
    Float16 = 2,
    BFloat16 = 9,
}
