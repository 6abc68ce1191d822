using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Devices.OpenCl;

internal sealed class OpenClContext(nint context, nint device) : DriverContext(context)
{
    public nint Device { get; } = device;

    protected override void Release() => Cl.ReleaseContext(handle);
}

internal sealed class OpenClQueue(OpenClContext context, nint queue, bool owns) : DriverHandle(context, queue)
{
    public override void Release()
    {
        if (owns) Cl.ReleaseCommandQueue(handle);
    }
}

internal sealed class OpenClEventHandle(OpenClContext context, nint value) : DriverHandle(context, value)
{
    public override void Release() => Cl.ReleaseEvent(handle);
}

internal sealed class OpenClProgram(OpenClContext context, nint program) : DriverHandle(context, program)
{
    public override void Release() => Cl.ReleaseProgram(handle);
}

/// <summary>A kernel object. It stores its arguments, so whoever binds and enqueues it holds its lock meanwhile.</summary>
internal sealed class OpenClKernel(OpenClContext context, nint kernel, string op) : DriverHandle(context, kernel)
{
    public Lock Lock { get; } = new();

    /// <summary>The entry point, for messages.</summary>
    public string Op { get; } = op;

    public override void Release() => Cl.ReleaseKernel(handle);
}

internal sealed class OpenClMemory(Device device, OpenClContext context, nint memory, long bytes, bool owns)
    : DeviceMemory(device, context, memory, bytes, owns)
{
    public override nint AddressSpace => Value;

    public override long Address => 0;

    /// <summary>The driver keeps the memory until queued commands that use it are done.</summary>
    public override void Release() => Cl.ReleaseMemObject(handle);
}
