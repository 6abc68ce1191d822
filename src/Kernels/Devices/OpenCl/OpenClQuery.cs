using System.Text;
using Silk.NET.OpenCL;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Devices.OpenCl;

/// <summary>Reads what platforms and devices say of themselves.</summary>
internal static unsafe class OpenClQuery
{
    /// <summary>While one thread is inside its first call, the loader ocl-icd tells another that there are no platforms.</summary>
    private static readonly Lock Enumeration = new();

    /// <summary>
    /// Every device of every platform, in the order in which ids number them. The reason says that there is no platform, or which platforms
    /// have no device; it is null where all have some. A platform that fails does not hide the others.
    /// </summary>
    public static IReadOnlyList<(nint Platform, nint Device)> Devices(out string? reason)
    {
        lock (Enumeration)
        {
            nint[] platforms = Platforms();
            List<(nint Platform, nint Device)> devices = [];
            List<string> without = [];
            foreach (nint platform in platforms)
            {
                int status = DevicesOf(platform, out nint[] found);
                devices.AddRange(found.Select(device => (platform, device)));
                if (found.Length == 0) without.Add(WhyWithout(platform, status));
            }

            reason = platforms.Length == 0 ? "no OpenCL platform is installed" : without.Count == 0 ? null : string.Join("; ", without);
            return devices;
        }
    }

    /// <summary>A device that does not say what it is counts as something else.</summary>
    public static bool IsGpu(nint device)
    {
        DeviceType type;
        int status = Cl.GetDeviceInfo(device, DeviceInfo.Type, sizeof(DeviceType), &type, null);
        return status == (int)ErrorCodes.Success && type.HasFlag(DeviceType.Gpu);
    }

    public static string DeviceText(nint device, DeviceInfo info)
    {
        nuint size;
        ThrowIfFailed(Cl.GetDeviceInfo(device, info, 0, null, &size));
        byte[] text = new byte[size];
        fixed (byte* first = text) ThrowIfFailed(Cl.GetDeviceInfo(device, info, size, first, null));
        return Encoding.UTF8.GetString(text).TrimEnd('\0').Trim();
    }

    public static T DeviceValue<T>(nint device, DeviceInfo info)
        where T : unmanaged
    {
        T value = default;
        ThrowIfFailed(Cl.GetDeviceInfo(device, info, (nuint)sizeof(T), &value, null));
        return value;
    }

    public static string PlatformText(nint platform, PlatformInfo info)
    {
        nuint size;
        ThrowIfFailed(Cl.GetPlatformInfo(platform, info, 0, null, &size));
        byte[] text = new byte[size];
        fixed (byte* first = text) ThrowIfFailed(Cl.GetPlatformInfo(platform, info, size, first, null));
        return Encoding.UTF8.GetString(text).TrimEnd('\0').Trim();
    }

    /// <summary>The devices, and the status of the call that found them or failed.</summary>
    private static int DevicesOf(nint platform, out nint[] devices)
    {
        devices = [];
        uint count = 0;
        int status = Cl.GetDeviceIDs(platform, DeviceType.All, 0, null, &count);
        if (status != (int)ErrorCodes.Success || count == 0) return status;
        nint[] found = new nint[count];
        fixed (nint* first = found) status = Cl.GetDeviceIDs(platform, DeviceType.All, count, first, null);
        if (status == (int)ErrorCodes.Success) devices = found;
        return status;
    }

    private static string WhyWithout(nint platform, int status)
    {
        string name = NameOf(platform);
        // PoCL's only device is the processor, which is always there; what it lacks is a folder, as under a home that is read-only.
        string why = name.Contains("Portable Computing Language", StringComparison.Ordinal)
            ? "; PoCL has none when it cannot make its cache folder (POCL_CACHE_DIR, or pocl in XDG_CACHE_HOME or in ~/.cache), " +
                "and says more with POCL_DEBUG=error"
            : "";
        return $"the OpenCL platform {name} has no device (clGetDeviceIDs answers {OpenClError.NameOf(status)}){why}";
    }

    private static string NameOf(nint platform)
    {
        try
        {
            return $"'{PlatformText(platform, PlatformInfo.Name)}'";
        }
        catch (DeviceException)
        {
            return "without a name";
        }
    }

    private static nint[] Platforms()
    {
        uint count;
        int status = Cl.GetPlatformIDs(0, null, &count);
        // The loader without any driver installed says this instead of returning none.
        if (status == (int)ErrorCodes.PlatformNotFoundKhr) return [];
        ThrowIfFailed(status, call: "clGetPlatformIDs");
        if (count == 0) return [];
        nint[] platforms = new nint[count];
        fixed (nint* first = platforms) ThrowIfFailed(Cl.GetPlatformIDs(count, first, null));
        return platforms;
    }
}
