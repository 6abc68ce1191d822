using System.Collections.Concurrent;
using System.Text;
using Kernels.Interop;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenCl;

namespace Kernels.Devices.OpenCl;

/// <summary>The compiled kernels of one OpenCL device: in memory by variant, behind that on disk by text, behind that the driver's compiler.</summary>
internal sealed unsafe class OpenClPrograms(OpenClDevice device) : IDisposable
{
    private const string Options = "-cl-std=CL1.2";

    private readonly ConcurrentDictionary<(KernelDefinition, KernelVariant), Lazy<OpenClKernel>> _kernels = new();
    private readonly string _compiler = string.Join(
        '|',
        new[] { OpenClDeviceInfo.Name, OpenClDeviceInfo.Vendor, OpenClDeviceInfo.Version, OpenClDeviceInfo.DriverVersion }
            .Select(info => OpenClQuery.DeviceText(device.Context.Device, info)));
    private volatile bool _disposed;

    /// <summary>
    /// Not by default with PoCL: it keeps what it compiled in a cache of its own, and to give out a program's binary it compiles all its kernels once more, for
    /// groups of any size, which takes longer than compiling the one that is launched.
    /// </summary>
    private bool KeepsBinaries =>
        ProgramCache.IsChosen || (ProgramCache.Folder is not null && !_compiler.Contains("pocl", StringComparison.OrdinalIgnoreCase));

    public OpenClKernel Get(KernelDefinition kernel, in KernelVariant variant)
    {
        Lazy<OpenClKernel> entry = _kernels.GetOrAdd((kernel, variant), static (key, self) => new(() => self.Build(key.Item1, key.Item2)), this);
        OpenClKernel compiled;
        try
        {
            compiled = entry.Value;
        }
        catch
        {
            // A Lazy keeps its exception; forget it, so that a later call can succeed once memory or disk is back.
            _kernels.TryRemove(new KeyValuePair<(KernelDefinition, KernelVariant), Lazy<OpenClKernel>>((kernel, variant), entry));
            throw;
        }

        // Made while another thread disposed the device: nobody else would let go of it.
        if (_disposed) compiled.Dispose();
        return compiled;
    }

    public void Dispose()
    {
        _disposed = true;
        foreach (Lazy<OpenClKernel> kernel in _kernels.Values)
        {
            if (kernel.IsValueCreated) kernel.Value.Dispose();
        }
    }

    private OpenClKernel Build(KernelDefinition kernel, KernelVariant variant)
    {
        string text = KernelSource.Assemble("opencl", kernel, variant);
        string? key = KeepsBinaries ? ProgramCache.Key("opencl", text, Options, _compiler) : null;
        nint cached = key is not null && ProgramCache.TryRead(key) is { } binary ? FromBinary(binary, key) : 0;
        nint program = cached == 0 ? FromSource(kernel, text) : cached;
        try
        {
            if (cached == 0 && key is not null) ProgramCache.TryWrite(key, BinaryOf(program));
            fixed (byte* name = Encoding.ASCII.GetBytes(kernel.EntryPoint + '\0'))
            {
                nint handle = clCreateKernel(program, name, out OpenClStatus status);
                ThrowIfFailed(status, kernel.EntryPoint, "clCreateKernel");
                return new OpenClKernel(device.Context, handle, kernel.EntryPoint);
            }
        }
        finally
        {
            // A kernel keeps its program.
            clReleaseProgram(program);
        }
    }

    private nint FromSource(KernelDefinition kernel, string text)
    {
        device.Counters.Compiled();
        byte[] source = Encoding.UTF8.GetBytes(text);
        nint program;
        fixed (byte* first = source)
        {
            nuint length = (nuint)source.Length;
            program = clCreateProgramWithSource(device.Context.Value, 1, &first, &length, out OpenClStatus created);
            ThrowIfFailed(created, kernel.EntryPoint, "clCreateProgramWithSource");
        }

        OpenClStatus status = BuildProgram(program);
        if (status == OpenClStatus.Success) return program;
        string log = BuildLog(program);
        clReleaseProgram(program);
        if (status != OpenClStatus.BuildProgramFailure) throw Exception(status, "clBuildProgram", kernel.EntryPoint);
        throw new KernelCompilationException($"{kernel} does not compile for {device}.", log, $"{status} ({(int)status})", "clBuildProgram");
    }

    /// <summary>0 when the driver refuses the entry, as it may after an update; it is then compiled afresh.</summary>
    private nint FromBinary(byte[] binary, string key)
    {
        fixed (byte* first = binary)
        {
            nuint length = (nuint)binary.Length;
            nint deviceId = device.Context.Device;
            OpenClStatus binaryStatus;
            nint program = clCreateProgramWithBinary(device.Context.Value, 1, &deviceId, &length, &first, &binaryStatus, out OpenClStatus status);
            if (status == OpenClStatus.Success && binaryStatus == OpenClStatus.Success && BuildProgram(program) == OpenClStatus.Success) return program;
            if (program != 0) clReleaseProgram(program);
        }

        ProgramCache.Remove(key);
        return 0;
    }

    private OpenClStatus BuildProgram(nint program)
    {
        nint deviceId = device.Context.Device;
        fixed (byte* options = Encoding.ASCII.GetBytes(Options + '\0')) return clBuildProgram(program, 1, &deviceId, options, 0, null);
    }

    private string BuildLog(nint program)
    {
        nuint size;
        if (clGetProgramBuildInfo(program, device.Context.Device, OpenClProgramBuildInfo.Log, 0, null, &size) != OpenClStatus.Success) return "";
        byte[] log = new byte[size];
        fixed (byte* first = log) clGetProgramBuildInfo(program, device.Context.Device, OpenClProgramBuildInfo.Log, size, first, null);
        return Encoding.UTF8.GetString(log).TrimEnd('\0').Trim();
    }

    private static byte[] BinaryOf(nint program)
    {
        nuint size;
        ThrowIfFailed(clGetProgramInfo(program, OpenClProgramInfo.BinarySizes, (nuint)sizeof(nuint), &size, null));
        byte[] binary = new byte[size];
        fixed (byte* first = binary)
        {
            byte* target = first;
            ThrowIfFailed(clGetProgramInfo(program, OpenClProgramInfo.Binaries, (nuint)sizeof(byte*), &target, null));
        }

        return binary;
    }
}
