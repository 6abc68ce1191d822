using System.Text;
using Kernels.Interop;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenCl;

namespace Kernels.Devices.OpenCl;

/// <summary>Reads what platforms and devices say of themselves.</summary>
internal static unsafe class OpenClQuery
{
    /// <summary>While one thread is inside its first call, the loader ocl-icd tells another that there are no platforms.</summary>
    private static readonly Lock Enumeration = new();

    /// <summary>Every device of every platform, in the order in which ids number them.</summary>
    public static IReadOnlyList<(nint Platform, nint Device)> Devices()
    {
        lock (Enumeration) return [.. Platforms().SelectMany(platform => DevicesOf(platform).Select(device => (platform, device)))];
    }

    public static string DeviceText(nint device, OpenClDeviceInfo info)
    {
        nuint size;
        ThrowIfFailed(clGetDeviceInfo(device, info, 0, null, &size));
        byte[] text = new byte[size];
        fixed (byte* first = text) ThrowIfFailed(clGetDeviceInfo(device, info, size, first, null));
        return Encoding.UTF8.GetString(text).TrimEnd('\0').Trim();
    }

    public static T DeviceValue<T>(nint device, OpenClDeviceInfo info)
        where T : unmanaged
    {
        T value = default;
        ThrowIfFailed(clGetDeviceInfo(device, info, (nuint)sizeof(T), &value, null));
        return value;
    }

    public static string PlatformText(nint platform, OpenClPlatformInfo info)
    {
        nuint size;
        ThrowIfFailed(clGetPlatformInfo(platform, info, 0, null, &size));
        byte[] text = new byte[size];
        fixed (byte* first = text) ThrowIfFailed(clGetPlatformInfo(platform, info, size, first, null));
        return Encoding.UTF8.GetString(text).TrimEnd('\0').Trim();
    }

    private static nint[] DevicesOf(nint platform)
    {
        uint count;
        OpenClStatus status = clGetDeviceIDs(platform, OpenClDeviceType.All, 0, null, &count);
        if (status == OpenClStatus.DeviceNotFound) return [];
        ThrowIfFailed(status, call: "clGetDeviceIDs");
        if (count == 0) return [];
        nint[] devices = new nint[count];
        fixed (nint* first = devices) ThrowIfFailed(clGetDeviceIDs(platform, OpenClDeviceType.All, count, first, null));
        return devices;
    }

    private static nint[] Platforms()
    {
        uint count;
        OpenClStatus status = clGetPlatformIDs(0, null, &count);
        // The loader without any driver installed says this instead of returning none.
        if (status == OpenClStatus.PlatformNotFoundKhr) return [];
        ThrowIfFailed(status, call: "clGetPlatformIDs");
        if (count == 0) return [];
        nint[] platforms = new nint[count];
        fixed (nint* first = platforms) ThrowIfFailed(clGetPlatformIDs(count, first, null));
        return platforms;
    }
}
