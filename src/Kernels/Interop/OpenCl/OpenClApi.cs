using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// OpenCL 1.2 under its own names. Handles (platform, device, context, queue, memory object, program, kernel, event) are
/// <c>nint</c>, a cl_bool is <c>uint</c>; pointers may be null where the standard says NULL. An info call is made twice:
/// first for the size, then for the value. Texts are zero-terminated, and their sizes include the zero.
/// </summary>
internal static unsafe partial class OpenCl
{
    // Platforms and devices.
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetPlatformIDs(uint entryCount, nint* platforms, uint* platformCount);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetPlatformInfo(
        nint platform, OpenClPlatformInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetDeviceIDs(
        nint platform, OpenClDeviceType type, uint entryCount, nint* devices, uint* deviceCount);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetDeviceInfo(
        nint device, OpenClDeviceInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);

    // Contexts and queues.

    /// <summary><paramref name="properties"/> is a zero-terminated list of pairs, see <see cref="OpenClConstants.ContextPlatform"/>.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial nint clCreateContext(
        nint* properties, uint deviceCount, nint* devices, nint notify, void* userData, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clRetainContext(nint context);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseContext(nint context);

    /// <summary>Deprecated since OpenCL 2.0 and still there in every implementation; its successor is missing in 1.2.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial nint clCreateCommandQueue(
        nint context, nint device, OpenClQueueProperties properties, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clRetainCommandQueue(nint queue);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseCommandQueue(nint queue);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clFlush(nint queue);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clFinish(nint queue);

    // Buffers. A size of zero is InvalidBufferSize, and enqueuing a copy of zero bytes is InvalidValue.
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial nint clCreateBuffer(
        nint context, OpenClMemFlags flags, nuint bytes, void* hostPointer, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clRetainMemObject(nint memory);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseMemObject(nint memory);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetMemObjectInfo(
        nint memory, OpenClMemInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueReadBuffer(
        nint queue, nint buffer, uint blocking, nuint offset, nuint bytes, void* destination,
        uint waitCount, nint* waitList, nint* eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueWriteBuffer(
        nint queue, nint buffer, uint blocking, nuint offset, nuint bytes, void* source,
        uint waitCount, nint* waitList, nint* eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueCopyBuffer(
        nint queue, nint source, nint destination, nuint sourceOffset, nuint destinationOffset, nuint bytes,
        uint waitCount, nint* waitList, nint* eventHandle);

    /// <summary>The pattern is 1, 2, 4, ... 128 bytes; offset and size are multiples of it.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueFillBuffer(
        nint queue, nint buffer, void* pattern, nuint patternBytes, nuint offset, nuint bytes,
        uint waitCount, nint* waitList, nint* eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial void* clEnqueueMapBuffer(
        nint queue, nint buffer, uint blocking, OpenClMapFlags flags, nuint offset, nuint bytes,
        uint waitCount, nint* waitList, nint* eventHandle, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueUnmapMemObject(
        nint queue, nint memory, void* mappedPointer, uint waitCount, nint* waitList, nint* eventHandle);

    // Programs.
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial nint clCreateProgramWithSource(
        nint context, uint count, byte** strings, nuint* lengths, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial nint clCreateProgramWithBinary(
        nint context, uint deviceCount, nint* devices, nuint* lengths, byte** binaries, OpenClStatus* binaryStatuses,
        out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clBuildProgram(
        nint program, uint deviceCount, nint* devices, byte* options, nint notify, void* userData);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetProgramInfo(
        nint program, OpenClProgramInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetProgramBuildInfo(
        nint program, nint device, OpenClProgramBuildInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseProgram(nint program);

    // Kernels. A kernel object keeps its arguments, so two threads must not set and enqueue one kernel at a time.
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial nint clCreateKernel(nint program, byte* name, out OpenClStatus status);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseKernel(nint kernel);

    /// <summary>For a buffer the value is the cl_mem handle; for local memory it is null and the size counts bytes.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clSetKernelArg(nint kernel, uint index, nuint size, void* value);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetKernelInfo(
        nint kernel, OpenClKernelInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);

    /// <summary>Only for a program built from source with <c>-cl-kernel-arg-info</c>.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetKernelArgInfo(
        nint kernel, uint index, OpenClKernelArgInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetKernelWorkGroupInfo(
        nint kernel, nint device, OpenClKernelWorkGroupInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);

    /// <summary>In OpenCL 1.2 the global size must be a multiple of the local size in each dimension.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueNDRangeKernel(
        nint queue, nint kernel, uint dimensions, nuint* globalOffset, nuint* globalSize, nuint* localSize,
        uint waitCount, nint* waitList, nint* eventHandle);

    // Events and ordering.
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueMarkerWithWaitList(nint queue, uint waitCount, nint* waitList, nint* eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clEnqueueBarrierWithWaitList(nint queue, uint waitCount, nint* waitList, nint* eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clWaitForEvents(uint count, nint* events);
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetEventInfo(
        nint eventHandle, OpenClEventInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);

    /// <summary>Device nanoseconds (ulong); the queue must have been created with ProfilingEnable and the command be complete.</summary>
    [LibraryImport(NativeLibraries.OpenCl)]
    internal static partial OpenClStatus clGetEventProfilingInfo(
        nint eventHandle, OpenClProfilingInfo name, nuint valueSize, void* value, nuint* valueSizeReturned);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clRetainEvent(nint eventHandle);
    [LibraryImport(NativeLibraries.OpenCl)] internal static partial OpenClStatus clReleaseEvent(nint eventHandle);
}
