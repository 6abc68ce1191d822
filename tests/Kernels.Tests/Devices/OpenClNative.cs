using Kernels.Devices.OpenCl;
using Kernels.Tests.Support;
using Silk.NET.OpenCL;
using Xunit;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Tests.Devices;

/// <summary>
/// OpenCL as another library would use it: a context, a queue and memory of its own, and the driver's count of who holds them.
/// </summary>
internal sealed unsafe class OpenClNative : IDisposable
{
    private OpenClNative(nint device)
    {
        Device = device;
        int status;
        Context = CreateContext(null, 1, &device, &status);
        ThrowIfFailed(status);
    }

    public nint Context { get; }

    public nint Device { get; }

    /// <summary>How many hold the context: this object, each library device, and in most drivers each queue, buffer and program.</summary>
    public uint ContextReferences
    {
        get
        {
            uint count;
            ThrowIfFailed(Cl.GetContextInfo(Context, ContextInfo.ReferenceCount, sizeof(uint), &count, null));
            return count;
        }
    }

    public static OpenClNative CreateOrSkip(TestDevices devices)
    {
        string id = TestDevices.All.First(device => device.Kind == DeviceKind.OpenCl).Id;
        return new OpenClNative(((OpenClDevice)devices.Open(id)).Context.Device);
    }

    /// <summary>A library device over this context.</summary>
    public OpenClDevice Lend() => OpenClDevice.FromContext(Context, Device);

    public nint CreateQueue()
    {
        nint queue = Cl.CreateCommandQueue(Context, Device, CommandQueueProperties.None, out int status);
        ThrowIfFailed(status);
        return queue;
    }

    public nint CreateBuffer(nuint bytes)
    {
        nint memory = Cl.CreateBuffer(Context, MemFlags.ReadWrite, bytes, null, out int status);
        ThrowIfFailed(status);
        return memory;
    }

    public static float[] Read(nint queue, nint memory, int count)
    {
        float[] values = new float[count];
        fixed (float* first = values)
            ThrowIfFailed(Cl.EnqueueReadBuffer(queue, memory, true, 0, (nuint)count * sizeof(float), first, 0, null, null));
        return values;
    }

    public static void Write(nint queue, nint memory, ReadOnlySpan<float> values)
    {
        fixed (float* first = values)
            ThrowIfFailed(Cl.EnqueueWriteBuffer(queue, memory, true, 0, (nuint)values.Length * sizeof(float), first, 0, null, null));
    }

    /// <summary>
    /// The last reference of the library goes on a thread of the pool, which takes a moment, or longer where tests keep them busy.
    /// </summary>
    public void AssertOnlyOwnReferenceIsLeft()
    {
        for (int attempt = 0; attempt < 2000 && ContextReferences > 1; attempt++) Thread.Sleep(10);
        Assert.Equal(1u, ContextReferences);
    }

    public void Dispose() => ThrowIfFailed(Cl.ReleaseContext(Context));
}
