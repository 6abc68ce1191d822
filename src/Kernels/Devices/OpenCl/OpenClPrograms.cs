using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Kernels.Interop;
using Silk.NET.OpenCL;
using static Kernels.Devices.OpenCl.OpenClError;
using static Kernels.Interop.OpenClLibrary;

namespace Kernels.Devices.OpenCl;

/// <summary>
/// The compiled kernels of one OpenCL device: in memory by variant, behind that programs by text, which kernels of one file share, behind
/// that on disk, behind that the driver's compiler.
/// </summary>
internal sealed unsafe class OpenClPrograms(OpenClDevice device) : IDisposable
{
    private readonly ConcurrentDictionary<KernelKey, Lazy<OpenClKernel>> _kernels = new();
    private readonly ConcurrentDictionary<(string Text, string Options), Lazy<OpenClProgram>> _programs = new();
    private readonly string _compiler = string.Join(
        '|',
        new[] { DeviceInfo.Name, DeviceInfo.Vendor, DeviceInfo.Version, DeviceInfo.DriverVersion }
            .Select(info => OpenClQuery.DeviceText(device.Context.Device, info)));
    private volatile bool _disposed;

    /// <summary>For tests: what the compiler is told about the program of a kernel beyond the language.</summary>
    internal static Func<KernelDefinition, KernelVariant, string> FurtherOptions { get; set; } = (_, _) => "";

    /// <summary>
    /// Not by default with PoCL: it keeps what it compiled in a cache of its own, and to give out a program's binary it compiles all its
    /// kernels once more, for groups of any size, which takes longer than compiling the one that is launched.
    /// </summary>
    private bool KeepsBinaries =>
        ProgramCache.IsChosen || (ProgramCache.Folder is not null && !_compiler.Contains("pocl", StringComparison.OrdinalIgnoreCase));

    public OpenClKernel Get(KernelDefinition kernel, in KernelVariant variant)
    {
        KernelKey key = KernelKey.Of(kernel, variant);
        Lazy<OpenClKernel> entry = _kernels.GetOrAdd(key, static (key, self) => new(() => self.Build(key.Kernel, key.Variant)), this);
        return Value(_kernels, key, entry);
    }

    public void Dispose()
    {
        _disposed = true;
        foreach (Lazy<OpenClKernel> kernel in _kernels.Values)
        {
            if (kernel.IsValueCreated) kernel.Value.Dispose();
        }

        foreach (Lazy<OpenClProgram> program in _programs.Values)
        {
            if (program.IsValueCreated) program.Value.Dispose();
        }
    }

    private THandle Value<TKey, [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] THandle>(
        ConcurrentDictionary<TKey, Lazy<THandle>> made, TKey key, Lazy<THandle> entry)
        where TKey : notnull
        where THandle : DriverHandle
    {
        THandle handle;
        try
        {
            handle = entry.Value;
        }
        catch
        {
            // A Lazy keeps its exception; forget it, so that a later call can succeed once memory or disk is back.
            made.TryRemove(new KeyValuePair<TKey, Lazy<THandle>>(key, entry));
            throw;
        }

        // Made while another thread disposed the device: nobody else would let go of it.
        if (_disposed) handle.Dispose();
        return handle;
    }

    private OpenClKernel Build(KernelDefinition kernel, KernelVariant variant)
    {
        string text = KernelSource.Assemble("opencl", kernel, variant), options = "-cl-std=CL1.2" + FurtherOptions(kernel, variant);
        (string Text, string Options) key = (text, options);
        Lazy<OpenClProgram> entry = _programs.GetOrAdd(
            key,
            static (key, made) => new(() => made.Programs.Build(made.Kernel, key.Text, key.Options)),
            (Programs: this, Kernel: kernel));
        OpenClProgram program = Value(_programs, key, entry);
        using HandleLease lease = new(program);
        fixed (byte* name = Encoding.ASCII.GetBytes(kernel.EntryPoint + '\0'))
        {
            nint handle = Cl.CreateKernel(program.Value, name, out int status);
            ThrowIfFailed(status, kernel.EntryPoint, "clCreateKernel");
            return new OpenClKernel(device.Context, handle, kernel.EntryPoint);
        }
    }

    private OpenClProgram Build(KernelDefinition kernel, string text, string options)
    {
        string? key = KeepsBinaries ? ProgramCache.Key("opencl", text, options, _compiler) : null;
        nint program = key is not null && ProgramCache.TryRead(key) is { } binary ? FromBinary(binary, options, key) : 0;
        if (program != 0) return new OpenClProgram(device.Context, program);
        program = FromSource(kernel, text, options);
        OpenClProgram compiled = new(device.Context, program);
        try
        {
            if (key is not null) ProgramCache.TryWrite(key, BinaryOf(program));
            return compiled;
        }
        catch
        {
            compiled.Dispose();
            throw;
        }
    }

    private nint FromSource(KernelDefinition kernel, string text, string options)
    {
        device.Counters.Compiled();
        byte[] source = Encoding.UTF8.GetBytes(text);
        nint program;
        fixed (byte* first = source)
        {
            nuint length = (nuint)source.Length;
            program = Cl.CreateProgramWithSource(device.Context.Value, 1, &first, &length, out int created);
            ThrowIfFailed(created, kernel.EntryPoint, "clCreateProgramWithSource");
        }

        int status = BuildProgram(program, options);
        if (status == (int)ErrorCodes.Success) return program;
        string log = BuildLog(program);
        Cl.ReleaseProgram(program);
        if (status != (int)ErrorCodes.BuildProgramFailure) throw Exception(status, "clBuildProgram", kernel.EntryPoint);
        throw new KernelCompilationException($"{kernel} does not compile for {device}.", log, NameOf(status), "clBuildProgram");
    }

    /// <summary>0 when the driver refuses the entry, as it may after an update; it is then compiled afresh.</summary>
    private nint FromBinary(byte[] binary, string options, string key)
    {
        fixed (byte* first = binary)
        {
            nuint length = (nuint)binary.Length;
            nint deviceId = device.Context.Device;
            int binaryStatus, status;
            nint program = Cl.CreateProgramWithBinary(device.Context.Value, 1, &deviceId, &length, &first, &binaryStatus, &status);
            if ((status | binaryStatus) == (int)ErrorCodes.Success && BuildProgram(program, options) == (int)ErrorCodes.Success)
                return program;
            if (program != 0) Cl.ReleaseProgram(program);
        }

        ProgramCache.Remove(key);
        return 0;
    }

    private int BuildProgram(nint program, string options)
    {
        nint deviceId = device.Context.Device;
        fixed (byte* text = Encoding.ASCII.GetBytes(options + '\0')) return OpenClLibrary.BuildProgram(program, 1, &deviceId, text);
    }

    private string BuildLog(nint program)
    {
        nuint size;
        int status = Cl.GetProgramBuildInfo(program, device.Context.Device, ProgramBuildInfo.BuildLog, 0, null, &size);
        if (status != (int)ErrorCodes.Success) return "";
        byte[] log = new byte[size];
        fixed (byte* first = log) Cl.GetProgramBuildInfo(program, device.Context.Device, ProgramBuildInfo.BuildLog, size, first, null);
        return Encoding.UTF8.GetString(log).TrimEnd('\0').Trim();
    }

    private static byte[] BinaryOf(nint program)
    {
        nuint size;
        ThrowIfFailed(Cl.GetProgramInfo(program, ProgramInfo.BinarySizes, (nuint)sizeof(nuint), &size, null));
        byte[] binary = new byte[size];
        fixed (byte* first = binary)
        {
            byte* target = first;
            ThrowIfFailed(Cl.GetProgramInfo(program, ProgramInfo.Binaries, (nuint)sizeof(byte*), &target, null));
        }

        return binary;
    }
}
