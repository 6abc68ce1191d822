using System.Runtime.InteropServices;
using Kernels.Devices.OpenCl;
using Kernels.Interop;
using Kernels.Tests.Support;
using Xunit;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenCl;

namespace Kernels.Tests.Devices;

/// <summary>OpenCL as another library would use it: a context, a queue and memory of its own, and the driver's count of who holds them.</summary>
internal sealed unsafe class OpenClNative : IDisposable
{
    private const uint ContextReferenceCount = 0x1080;

    private static readonly delegate* unmanaged<nint, uint, nuint, void*, nuint*, OpenClStatus> GetContextInfo =
        (delegate* unmanaged<nint, uint, nuint, void*, nuint*, OpenClStatus>)NativeLibrary.GetExport(
            NativeLibrary.Load(NativeLibraries.PathOf(NativeLibraries.OpenCl)!), "clGetContextInfo");

    private OpenClNative(nint device)
    {
        Device = device;
        Context = clCreateContext(null, 1, &device, 0, null, out OpenClStatus status);
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
            ThrowIfFailed(GetContextInfo(Context, ContextReferenceCount, sizeof(uint), &count, null));
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
        nint queue = clCreateCommandQueue(Context, Device, OpenClQueueProperties.None, out OpenClStatus status);
        ThrowIfFailed(status);
        return queue;
    }

    public nint CreateBuffer(nuint bytes)
    {
        nint memory = clCreateBuffer(Context, OpenClMemFlags.ReadWrite, bytes, null, out OpenClStatus status);
        ThrowIfFailed(status);
        return memory;
    }

    public static float[] Read(nint queue, nint memory, int count)
    {
        float[] values = new float[count];
        fixed (float* first = values)
            ThrowIfFailed(clEnqueueReadBuffer(queue, memory, OpenClConstants.True, 0, (nuint)count * sizeof(float), first, 0, null, null));
        return values;
    }

    public static void Write(nint queue, nint memory, ReadOnlySpan<float> values)
    {
        fixed (float* first = values)
            ThrowIfFailed(clEnqueueWriteBuffer(queue, memory, OpenClConstants.True, 0, (nuint)values.Length * sizeof(float), first, 0, null, null));
    }

    /// <summary>The last reference of the library goes on a thread of the pool, so it takes a moment.</summary>
    public void AssertOnlyOwnReferenceIsLeft()
    {
        for (int attempt = 0; attempt < 200 && ContextReferences > 1; attempt++) Thread.Sleep(10);
        Assert.Equal(1u, ContextReferences);
    }

    public void Dispose() => ThrowIfFailed(clReleaseContext(Context));
}
