using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices.OpenCl;
using Kernels.Tests.Support;
using Silk.NET.OpenCL;
using Xunit;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Tests.Devices;

/// <summary>Memory and queues of another library are used and given back untouched; ours can be used by the other library.</summary>
public sealed unsafe class BorrowingTests(TestDevices devices)
{
    private static readonly float[] Values = [1, -2, 3, -4];
    private static readonly float[] Rectified = [1, 0, 3, 0];

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Fact]
    public void CpuBorrowsAndLendsMemory()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        float* theirs = (float*)NativeMemory.Alloc(4, sizeof(float));
        try
        {
            Values.CopyTo(new Span<float>(theirs, 4));
            using (DeviceBuffer<float> borrowed = device.WrapBuffer<float>((nint)theirs, 4))
            {
                Assert.Equal((nint)theirs, borrowed.NativeHandle);
                Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
                Relu.Forward(stream, borrowed.View(0, 4), borrowed.View(0, 4));
            }

            Assert.Equal(Rectified, new Span<float>(theirs, 4).ToArray());

            using DeviceTensor<float> ours = device.Upload<float>(Values, 4);
            Assert.Equal(Values, new Span<float>((void*)ours.Buffer.NativeHandle, 4).ToArray());
            ((float*)ours.Buffer.NativeHandle)[1] = 7;
            Assert.Equal([1, 7, 3, -4], ours.ToArray(stream));
        }
        finally
        {
            NativeMemory.Free(theirs);
        }
    }

    /// <summary>A tensor of another library is a pointer, a distance and a shape.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ForeignMemoryIsATensorInOneCall(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> theirs = device.Upload<float>([1, -2, 3, -4, 5, -6, 7], 7);
        nint pointer = theirs.Buffer.NativeHandle;
        (long bytes, long blocks) = (device.Counters.LiveBytes, device.Counters.LiveBlocks);
        using (DeviceTensor<float> wrapped = device.WrapTensor<float>(pointer, sizeof(float), 2, 3))
        {
            Assert.Equal((bytes, blocks), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
            Relu.Forward(stream, wrapped, wrapped);
            Assert.Equal([0, 3, 0, 5, 0, 7], wrapped.ToArray(stream));
            wrapped.Dispose();
            Assert.Throws<ObjectDisposedException>(() => stream.Fill(wrapped, 1f));
        }

        Assert.Equal([1, 0, 3, 0, 5, 0, 7], theirs.ToArray(stream));
        Assert.Throws<ArgumentException>(() => device.WrapTensor<float>(0, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.WrapTensor<float>(pointer, 2, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.WrapTensor<float>(pointer, -4, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.WrapTensor<float>(pointer, 0, -1));
        if (device.Kind == DeviceKind.OpenCl) Assert.Throws<ArgumentException>(() => device.WrapTensor<float>(pointer, 8, 6));
    }

    /// <summary>Two loans of one memory are still known to overlap.</summary>
    [Fact]
    public void OverlapOfLoansIsSeen()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> memory = device.Upload<float>(Values, 4);
        using DeviceBuffer<float> first = device.WrapBuffer<float>(memory.Buffer.NativeHandle, 3);
        using DeviceBuffer<float> second = device.WrapBuffer<float>(memory.Buffer.NativeHandle + sizeof(float), 3);
        Assert.Throws<ArgumentException>(() => Relu.Forward(stream, first.View(0, 3), second.View(0, 3)));
        Relu.Forward(stream, first.View(1, 2), second.View(0, 2));
        Assert.Equal([1, 0, 3, -4], memory.ToArray(stream));
    }

    [Fact]
    public void OpenClBorrowsContextQueueAndMemory()
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        nint queue = other.CreateQueue(), memory = other.CreateBuffer(4 * sizeof(float));
        OpenClNative.Write(queue, memory, Values);
        using (Device device = other.Lend())
        using (DeviceStream stream = device.WrapStream(queue))
        using (DeviceBuffer<float> borrowed = device.WrapBuffer<float>(memory, 4))
        {
            Assert.Equal((other.Context, queue, memory), (device.NativeContext, stream.NativeHandle, borrowed.NativeHandle));
            Relu.Forward(stream, borrowed.View(0, 4), borrowed.View(0, 4));
            Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
        }

        // All three still work, and the library holds none of them.
        Assert.Equal(Rectified, OpenClNative.Read(queue, memory, 4));
        Assert.Equal((int)ErrorCodes.Success, Cl.ReleaseMemObject(memory));
        Assert.Equal((int)ErrorCodes.Success, Cl.ReleaseCommandQueue(queue));
        other.AssertOnlyOwnReferenceIsLeft();
    }

    [Fact]
    public void OpenClLendsQueueAndMemory()
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        using (Device device = other.Lend())
        using (DeviceStream stream = device.CreateStream())
        using (DeviceTensor<float> ours = device.Upload<float>(Values, 4))
        {
            Assert.Equal(Values, OpenClNative.Read(stream.NativeHandle, ours.Buffer.NativeHandle, 4));
            OpenClNative.Write(stream.NativeHandle, ours.Buffer.NativeHandle, [7, 8]);
            Assert.Equal([7, 8, 3, -4], ours.ToArray(stream));
        }

        other.AssertOnlyOwnReferenceIsLeft();
    }

    /// <summary>A borrowed queue need not measure time; asking for it is an error, not a wrong number.</summary>
    [Fact]
    public void BorrowedQueueWithoutProfilingGivesNoTime()
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        nint queue = other.CreateQueue();
        using (Device device = other.Lend())
        using (DeviceStream stream = device.WrapStream(queue))
        using (DeviceEvent first = stream.Record())
        using (DeviceEvent second = stream.Record())
        {
            DeviceException failure = Assert.Throws<DeviceException>(() => second.ElapsedSince(first));
            Assert.Contains(nameof(ErrorCodes.ProfilingInfoNotAvailable), failure.Status, StringComparison.Ordinal);
        }

        Assert.Equal((int)ErrorCodes.Success, Cl.ReleaseCommandQueue(queue));
        other.AssertOnlyOwnReferenceIsLeft();
    }

    [Fact]
    public void OpenClRefusesLoansThatDoNotFit()
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        using OpenClNative third = OpenClNative.CreateOrSkip(devices);
        nint memory = other.CreateBuffer(4 * sizeof(float)), foreign = third.CreateBuffer(64);
        using (Device device = other.Lend())
        {
            Assert.Contains("16 bytes, not 20", Assert.Throws<ArgumentException>(() => device.WrapBuffer<float>(memory, 5)).Message,
                StringComparison.Ordinal);
            Assert.Contains("another context", Assert.Throws<ArgumentException>(() => device.WrapBuffer<float>(foreign, 4)).Message,
                StringComparison.Ordinal);
        }

        Assert.Equal((int)ErrorCodes.Success, Cl.ReleaseMemObject(memory));
        Assert.Equal((int)ErrorCodes.Success, Cl.ReleaseMemObject(foreign));
        other.AssertOnlyOwnReferenceIsLeft();
        Assert.Throws<DeviceException>(() => OpenClDevice.FromContext(0, other.Device));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void NullIsOnlyALoanOfNothing(string deviceId)
    {
        Device device = devices.Open(deviceId);
        Assert.Throws<ArgumentException>(() => device.WrapBuffer<float>(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.WrapBuffer<float>(0, -1));
        using DeviceBuffer<float> nothing = device.WrapBuffer<float>(0, 0);
        Assert.Equal(0, nothing.Length);
        if (device.Kind == DeviceKind.Cpu)
            Assert.Throws<NotSupportedException>(() => device.WrapStream(1));
        else if (device.Kind == DeviceKind.OpenCl)
            Assert.Throws<ArgumentException>(() => device.WrapStream(0));
        else
            device.WrapStream(0).Dispose(); // CUDA's legacy default stream
    }

    /// <summary>The context of the driver stays while anything made in it is there, in whatever order things go.</summary>
    [Fact]
    public void ChildrenKeepTheContext()
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        Device device = other.Lend();
        DeviceStream stream = device.CreateStream();
        DeviceTensor<float> tensor = device.Upload<float>(Values, 4);
        Relu.Forward(stream, tensor, tensor);
        DeviceEvent recorded = stream.Record();
        DeviceBuffer<float> nothing = device.WrapBuffer<float>(0, 0);
        device.Dispose();
        recorded.Wait();
        Assert.True(recorded.IsCompleted);
        Assert.True(other.ContextReferences > 1);
        stream.Dispose();
        recorded.Dispose();
        tensor.Dispose();
        Assert.True(other.ContextReferences > 1);
        nothing.Dispose();
        other.AssertOnlyOwnReferenceIsLeft();
    }

    /// <summary>With the device abandoned too, no later call could release what finalizers find; it is released all the same.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void NothingIsLeakedWhenAllIsAbandoned(bool disposeDevice)
    {
        using OpenClNative other = OpenClNative.CreateOrSkip(devices);
        Abandon(other, disposeDevice);
        for (int attempt = 0; attempt < 50 && other.ContextReferences > 1; attempt++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(10);
        }

        other.AssertOnlyOwnReferenceIsLeft();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon(OpenClNative other, bool disposeDevice)
    {
        Device device = other.Lend();
        DeviceStream stream = device.CreateStream();
        DeviceTensor<float> tensor = device.Upload<float>(Values, 4);
        Relu.Forward(stream, tensor, tensor);
        stream.Record().Wait();
        if (disposeDevice) device.Dispose();
    }
}
