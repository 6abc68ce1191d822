using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

internal sealed class CudaStreamHandle(CudaContext context, nint stream, bool owns) : DriverHandle(context, stream)
{
    private readonly CudaContext _context = context;

    protected override void Release()
    {
        if (!owns || !_context.TryMakeCurrent()) return;
        cuStreamDestroy_v2(handle);
        cuCtxPopCurrent_v2(out _);
    }
}

internal sealed class CudaEventHandle(CudaContext context, nint value) : DriverHandle(context, value)
{
    private readonly CudaContext _context = context;

    protected override void Release()
    {
        if (!_context.TryMakeCurrent()) return;
        cuEventDestroy_v2(handle);
        cuCtxPopCurrent_v2(out _);
    }
}

/// <summary>A loaded module and one function of it.</summary>
internal sealed class CudaKernel(CudaContext context, nint module, nint function) : DriverHandle(context, module)
{
    private readonly CudaContext _context = context;

    public nint Function { get; } = function;

    protected override void Release()
    {
        if (!_context.TryMakeCurrent()) return;
        cuModuleUnload(handle);
        cuCtxPopCurrent_v2(out _);
    }
}

internal sealed class CudaMemory(Device device, CudaContext context, nuint pointer, long bytes, bool owns)
    : DeviceMemory(device, context, (nint)pointer, bytes, owns)
{
    private readonly CudaContext _context = context;

    /// <summary>cuMemFree waits for the work that uses the memory.</summary>
    protected override void Release()
    {
        if (!_context.TryMakeCurrent()) return;
        cuMemFree_v2((nuint)handle);
        cuCtxPopCurrent_v2(out _);
    }
}

/// <summary>Page-locked host memory.</summary>
internal sealed class CudaHostMemory(Device device, CudaContext context, nint pointer, long bytes)
    : DeviceMemory(device, context, pointer, bytes, owns: true)
{
    private readonly CudaContext _context = context;

    protected override void Release()
    {
        if (!_context.TryMakeCurrent()) return;
        cuMemFreeHost(handle);
        cuCtxPopCurrent_v2(out _);
    }
}
