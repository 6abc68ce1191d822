using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;

namespace Kernels.Native;

/// <summary>Devices: cpu, which is always there, opencl:N and cuda:N.</summary>
public static unsafe class DeviceExports
{
    /// <summary>How many devices this machine could have, with those that are missing and the reason why.</summary>
    /// <param name="count">Gets the number.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_count")]
    public static Status Count([Out] int* count) => Failure.Guard(() =>
    {
        Arguments.Result(count, "device_count", nameof(count));
        *count = Device.List().Count;
    });

    /// <summary>One of the devices that this machine could have.</summary>
    /// <param name="index">In [0, count).</param>
    /// <param name="info">Gets what is known; its size is set.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_describe")]
    public static Status Describe(int index, [Out] CDeviceInfo* info) => Failure.Guard(() =>
    {
        IReadOnlyList<DeviceDescription> devices = Device.List();
        if (index < 0 || index >= devices.Count)
            throw new ArgumentOutOfRangeException(nameof(index), index, $"device_describe: there are {devices.Count} devices.");
        Write(devices[index], supportsFloat64: false, info);
    });

    /// <summary>Opens a device. On CUDA it uses the primary context, as other libraries do.</summary>
    /// <param name="id">cpu, opencl:N or cuda:N; NULL for the first CUDA GPU, else the first OpenCL GPU, else the CPU.</param>
    /// <param name="device">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_open")]
    public static Status Open([AllowNull] byte* id, [Out] CDevice* device) => Failure.Guard(() =>
    {
        Arguments.Result(device, "device_open", nameof(device));
        *device = default;
        *device = new CDevice(Handles.Add(new DeviceEntry(Device.Open(Arguments.Text(id)))));
    });

    /// <summary>A device over an OpenCL context of the caller, so that its cl_mem and queues can be used. It is retained.</summary>
    /// <param name="context">The cl_context.</param>
    /// <param name="clDevice">The cl_device_id, one of the context's devices.</param>
    /// <param name="device">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_open_opencl")]
    public static Status OpenOpenCl([Out] void* context, [Out] void* clDevice, [Out] CDevice* device) => Failure.Guard(() =>
    {
        Arguments.Result(device, "device_open_opencl", nameof(device));
        *device = default;
        *device = new CDevice(Handles.Add(new DeviceEntry(Device.FromOpenClContext((nint)context, (nint)clDevice))));
    });

    /// <summary>What is known about an open device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="info">Gets it; its size is set.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_get_info")]
    public static Status GetInfo(CDevice device, [Out] CDeviceInfo* info) => Failure.Guard(() =>
    {
        Device opened = Arguments.Device(device).Device;
        Write(opened.Description, opened.SupportsFloat64, info);
    });

    /// <summary>Lets go of a device: its streams take no more work. Its native context goes with the last object made from it.</summary>
    /// <param name="device">The device.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_device_free")]
    public static Status Free([AllowNull] CDevice device) => Failure.Guard(() => Handles.Remove<DeviceEntry>(device.Value, nameof(device)));

    private static void Write(DeviceDescription device, bool supportsFloat64, CDeviceInfo* info)
    {
        Arguments.Result(info, "device_info", nameof(info));
        Arguments.Sized((nuint*)info, sizeof(CDeviceInfo), "kernels_device_info");
        (info->Kind, info->Available, info->SupportsFloat64, info->MemoryBytes) =
            (device.Kind, device.Available, supportsFloat64, device.MemoryBytes);
        Write(device.Id, info->Id);
        Write(device.Name, info->Name);
        Write(device.Reason ?? "", info->Reason);
    }

    /// <summary>As much of a text as fits, in whole characters, and a zero.</summary>
    private static void Write(string text, Span<byte> place)
    {
        Encoding.UTF8.GetEncoder().Convert(text, place[..^1], flush: true, out _, out int written, out _);
        place[written..].Clear();
    }
}
