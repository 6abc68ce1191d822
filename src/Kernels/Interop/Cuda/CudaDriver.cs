using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// The CUDA driver API under its own names; versioned entry points (<c>_v2</c>) are named so. Handles (context, stream, event,
/// module, function) are <c>nint</c>, a CUdevice is <c>int</c>, a CUdeviceptr is <c>nuint</c>. A function is bound when first
/// called, so an old driver lacks only what it lacks. A call may return the error of an earlier asynchronous launch.
/// </summary>
internal static unsafe partial class CudaDriver
{
    // Initialisation, version, error text (static strings owned by the driver).
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuInit(uint flags);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDriverGetVersion(out int driverVersion);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuGetErrorName(CudaStatus error, out nint name);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuGetErrorString(CudaStatus error, out nint text);

    // Devices.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDeviceGetCount(out int count);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDeviceGet(out int device, int ordinal);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDeviceGetName(byte* name, int length, int device);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDeviceTotalMem_v2(out nuint bytes, int device);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuDeviceGetAttribute(out int value, CudaDeviceAttribute attribute, int device);

    /// <summary>Writes 16 bytes.</summary>
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDeviceGetUuid(byte* uuid, int device);

    // Contexts. The primary context is the one the CUDA runtime, cuBLAS and PyTorch use too.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDevicePrimaryCtxRetain(out nint context, int device);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuDevicePrimaryCtxRelease_v2(int device);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuCtxPushCurrent_v2(nint context);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuCtxPopCurrent_v2(out nint context);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuCtxGetCurrent(out nint context);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuCtxSynchronize();

    // Memory. cuMemAlloc_v2 refuses a size of zero with InvalidValue.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuMemGetInfo_v2(out nuint freeBytes, out nuint totalBytes);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuMemAlloc_v2(out nuint pointer, nuint bytes);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuMemFree_v2(nuint pointer);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemHostAlloc(out nint pointer, nuint bytes, CudaHostAllocFlags flags);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuMemFreeHost(nint pointer);

    // Copies and fills. D16 and D32 count elements, not bytes, and want the pointer aligned to the element.
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemcpyHtoDAsync_v2(nuint destination, void* source, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemcpyDtoHAsync_v2(void* destination, nuint source, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemcpyDtoDAsync_v2(nuint destination, nuint source, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemsetD8Async(nuint destination, byte value, nuint count, nint stream);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemsetD16Async(nuint destination, ushort value, nuint count, nint stream);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuMemsetD32Async(nuint destination, uint value, nuint count, nint stream);

    // Streams.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamCreate(out nint stream, CudaStreamFlags flags);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamDestroy_v2(nint stream);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamSynchronize(nint stream);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamQuery(nint stream);

    /// <summary><paramref name="flags"/> is 0 outside stream capture.</summary>
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuStreamWaitEvent(nint stream, nint eventHandle, uint flags);

    // Capture and graphs. While a stream is captured, what is queued in it becomes a graph and does not run; a capture ends on the thread
    // it began on.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamBeginCapture_v2(nint stream, CudaCaptureMode mode);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamEndCapture(nint stream, out nint graph);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuStreamIsCapturing(nint stream, out CudaCaptureStatus status);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuGraphLaunch(nint executable, nint stream);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuGraphExecDestroy(nint executable);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuGraphDestroy(nint graph);

    // Events.
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuEventCreate(out nint eventHandle, CudaEventFlags flags);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuEventDestroy_v2(nint eventHandle);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuEventRecord(nint eventHandle, nint stream);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuEventQuery(nint eventHandle);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuEventSynchronize(nint eventHandle);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuEventElapsedTime(out float milliseconds, nint start, nint end);

    // Modules and kernels.

    /// <summary>
    /// <paramref name="image"/> is a cubin, a fatbin or zero-terminated PTX. An option's value travels in the pointer itself
    /// when it is a number, and is that pointer when it is a buffer.
    /// </summary>
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuModuleLoadDataEx(
        out nint module, void* image, uint optionCount, CudaJitOption* options, void** optionValues);
    [LibraryImport(NativeLibraries.Cuda)] internal static partial CudaStatus cuModuleUnload(nint module);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuModuleGetFunction(out nint function, nint module, byte* name);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuFuncGetAttribute(out int value, CudaFunctionAttribute attribute, nint function);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuFuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value);
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuOccupancyMaxActiveBlocksPerMultiprocessor(
        out int blocks, nint function, int blockSize, nuint dynamicSharedMemoryBytes);

    /// <summary>The driver copies the argument values before it returns. Grid y and z stop at 65,535.</summary>
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuLaunchKernel(
        nint function,
        uint gridX, uint gridY, uint gridZ,
        uint blockX, uint blockY, uint blockZ,
        uint dynamicSharedMemoryBytes, nint stream, void** parameters, void** extra);

    /// <summary>All groups are there at once, so that they may wait for each other; more than fit are refused.</summary>
    [LibraryImport(NativeLibraries.Cuda)]
    internal static partial CudaStatus cuLaunchCooperativeKernel(
        nint function,
        uint gridX, uint gridY, uint gridZ,
        uint blockX, uint blockY, uint blockZ,
        uint dynamicSharedMemoryBytes, nint stream, void** parameters);
}
