using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

// The context is current while it releases these.

internal sealed class CudaStreamHandle(CudaContext context, CudaQueues queues, nint stream, bool owns) : DriverHandle(context, stream)
{
    public override void Release()
    {
        if (owns) queues.Destroy(handle);
    }
}

/// <summary>A graph that can be launched.</summary>
internal sealed class CudaGraphHandle(CudaContext context, nint value) : DriverHandle(context, value)
{
    public override void Release() => cuGraphExecDestroy(handle);
}

internal sealed class CudaEventHandle(CudaContext context, nint value) : DriverHandle(context, value)
{
    public override void Release() => cuEventDestroy_v2(handle);
}

/// <summary>A loaded module and one function of it. Launches of it that are queued are waited for before it goes.</summary>
internal sealed class CudaKernel(
    CudaContext context, CudaQueues queues, nint module, nint function, int residentGroups, int sharedBytes)
    : DriverHandle(context, module)
{
    public nint Function { get; } = function;

    /// <summary>How many groups a multiprocessor holds at a time.</summary>
    public int ResidentGroups { get; } = residentGroups;

    /// <summary>Shared memory that a launch may ask for beyond what the text declares.</summary>
    public int SharedBytes { get; } = sharedBytes;

    public override void Release()
    {
        queues.Wait();
        cuModuleUnload(handle);
    }
}

internal sealed class CudaMemory(CudaDevice device, CudaContext context, nuint pointer, long bytes, bool owns)
    : DeviceMemory(device, context, (nint)pointer, bytes, owns)
{
    public override void Release()
    {
        device.Queues.Wait();
        cuMemFree_v2((nuint)handle);
    }
}

/// <summary>Page-locked host memory.</summary>
internal sealed class CudaHostMemory(CudaDevice device, CudaContext context, nint pointer, long bytes)
    : DeviceMemory(device, context, pointer, bytes, owns: true)
{
    public override void Release()
    {
        device.Queues.Wait();
        cuMemFreeHost(handle);
    }
}
