using System.Runtime.Intrinsics;

namespace Kernels.Devices.Cpu;

/// <summary>The managed device. It runs each kernel's managed body, vectorised and on all cores, before the launch returns.</summary>
internal sealed class CpuDevice : Device
{
    public CpuDevice()
        : base(Describe())
    {
    }

    public override bool SupportsFloat64 => true;

    public override nint NativeContext => 0;

    public static DeviceDescription Describe()
    {
        int bits = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        string name = $"managed, {Environment.ProcessorCount} threads, {bits}-bit vectors";
        return new DeviceDescription("cpu", DeviceKind.Cpu, name, CpuMemory.TotalBytes, Available: true, Reason: null);
    }

    internal override DeviceMemory AllocateMemory(long bytes) => CpuMemory.Allocate(this, bytes);

    internal override DeviceMemory WrapMemory(nint nativeHandle, long bytes) => CpuMemory.Borrow(this, nativeHandle, bytes);

    private protected override DeviceStream CreateStreamCore() => new CpuStream(this);

    private protected override QueueKey KeyOf(nint nativeHandle) =>
        throw new NotSupportedException("Device.WrapStream: the CPU device has no native queues.");

    private protected override QueueState WrapQueue(in QueueKey key) => throw new NotSupportedException();

    private protected override DeviceStream WrapStreamCore(QueueState queue) => throw new NotSupportedException();

    private protected override void DisposeCore()
    {
        // Nothing native: buffers free themselves.
    }
}
