using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>The compiled kernels of one GPU: in memory by variant, behind that on disk by text, behind that NVRTC.</summary>
internal sealed unsafe class CudaPrograms(CudaDevice device) : IDisposable
{
    private readonly ConcurrentDictionary<KernelKey, Lazy<CudaKernel>> _kernels = new();

    // Threads may ask at once, but a failure is not kept.
    private readonly Lazy<(string Architecture, string Versions)> _compiler = new(
        () => Compiler(device), LazyThreadSafetyMode.PublicationOnly);
    private volatile bool _disposed;

    /// <summary>The kernel for a launch; the context is current.</summary>
    public CudaKernel Get(KernelDefinition kernel, in KernelVariant variant)
    {
        KernelKey key = KernelKey.Of(kernel, variant);
        Lazy<CudaKernel> entry = _kernels.GetOrAdd(key, static (key, self) => new(() => self.Build(key.Kernel, key.Variant)), this);
        CudaKernel compiled;
        try
        {
            compiled = entry.Value;
        }
        catch
        {
            // A Lazy keeps its exception; forget it, so that a later call can succeed once memory or disk is back.
            _kernels.TryRemove(new KeyValuePair<KernelKey, Lazy<CudaKernel>>(key, entry));
            throw;
        }

        // Made while another thread disposed the device: nobody else would let go of it.
        if (_disposed) compiled.Dispose();
        return compiled;
    }

    /// <summary>The cost of a kernel as the driver reports it.</summary>
    public CudaKernelCost Cost(KernelDefinition kernel, in KernelVariant variant)
    {
        using CudaContext.Scope scope = device.Context.MakeCurrent();
        CudaKernel compiled = Get(kernel, variant);
        nint function = compiled.Function;
        int registers = Attribute(CudaFunctionAttribute.NumRegs);
        int local = Attribute(CudaFunctionAttribute.LocalSizeBytes);
        int shared = Attribute(CudaFunctionAttribute.SharedSizeBytes) + compiled.SharedBytes;
        double occupancy = (double)compiled.ResidentGroups * kernel.GroupSize / device.ThreadsPerMultiprocessor;
        return new CudaKernelCost(registers, local, shared, compiled.ResidentGroups, occupancy);

        int Attribute(CudaFunctionAttribute attribute)
        {
            device.Context.ThrowIfFailed(cuFuncGetAttribute(out int value, attribute, function), kernel.EntryPoint);
            return value;
        }
    }

    public void Dispose()
    {
        _disposed = true;
        foreach (Lazy<CudaKernel> kernel in _kernels.Values)
        {
            if (kernel.IsValueCreated) kernel.Value.Dispose();
        }
    }

    private static (string Architecture, string Versions) Compiler(CudaDevice device)
    {
        if (!NvrtcProgram.TryVersion(out Version nvrtc, out string? reason)) throw new DeviceNotAvailableException($"{device}: {reason}");
        device.Context.ThrowIfFailed(cuDriverGetVersion(out int driver));
        return (NvrtcProgram.ArchitectureFor(device.ComputeCapability), $"NVRTC {nvrtc}, driver {driver}");
    }

    private CudaKernel Build(KernelDefinition kernel, KernelVariant variant)
    {
        (string architecture, string versions) = _compiler.Value;
        string text = KernelSource.Assemble("cuda", kernel, variant);
        string key = ProgramCache.Key("cuda", text, architecture, versions, device.Name);
        if (ProgramCache.TryRead(key) is { } cached)
        {
            CudaStatus known = Load(cached, out nint loaded, out _);
            if (known == CudaStatus.Success) return Function(loaded, kernel, variant);
            if (!IsUnusable(known)) throw device.Context.Failure(known, nameof(cuModuleLoadDataEx), kernel.EntryPoint);
            ProgramCache.Remove(key);
        }

        device.Counters.Compiled();
        byte[] image = NvrtcProgram.Compile(text, $"kernels/{kernel.File}", architecture);
        CudaStatus status = Load(image, out nint module, out string log);
        if (status != CudaStatus.Success)
        {
            string said = log.Length == 0 ? "" : $"; the driver says: {log}";
            throw device.Context.Failure(
                status, $"cuModuleLoadDataEx ({architecture}, {versions}; KERNELS_LIBNVRTC chooses another compiler{said})",
                kernel.EntryPoint);
        }

        ProgramCache.TryWrite(key, image);
        return Function(module, kernel, variant);
    }

    private CudaKernel Function(nint module, KernelDefinition kernel, in KernelVariant variant)
    {
        fixed (byte* name = Encoding.ASCII.GetBytes(kernel.EntryPoint + '\0'))
        {
            string call = nameof(cuModuleGetFunction);
            CudaStatus status = cuModuleGetFunction(out nint function, module, name);
            int residentGroups = 0, sharedBytes = kernel.SharedBytes(variant), declared = 0;
            if (status == CudaStatus.Success && sharedBytes > 0)
            {
                call = nameof(cuFuncGetAttribute);
                status = cuFuncGetAttribute(out declared, CudaFunctionAttribute.SharedSizeBytes, function);
            }

            if (status == CudaStatus.Success && sharedBytes > 0)
            {
                call = nameof(cuFuncSetAttribute);
                sharedBytes = Math.Min(sharedBytes, device.LargestSharedBytes - declared);
                status = cuFuncSetAttribute(function, CudaFunctionAttribute.MaxDynamicSharedSizeBytes, sharedBytes);
            }

            if (status == CudaStatus.Success)
            {
                call = nameof(cuOccupancyMaxActiveBlocksPerMultiprocessor);
                status = cuOccupancyMaxActiveBlocksPerMultiprocessor(
                    out residentGroups, function, kernel.GroupSize, (nuint)sharedBytes);
            }

            if (status == CudaStatus.Success)
                return new CudaKernel(device.Context, device.Queues, module, function, residentGroups, sharedBytes);
            cuModuleUnload(module);
            throw device.Context.Failure(status, call, kernel.EntryPoint);
        }
    }

    /// <summary>The statuses of an image that the driver may have taken before an update; others are no fault of the image.</summary>
    private static bool IsUnusable(CudaStatus status) => status is
        CudaStatus.InvalidImage or CudaStatus.NoBinaryForGpu or CudaStatus.InvalidPtx
        or CudaStatus.UnsupportedPtxVersion or CudaStatus.InvalidSource;

    /// <summary>Loads an image; <paramref name="log"/> is what the driver says of PTX that it refuses.</summary>
    private static CudaStatus Load(byte[] image, out nint module, out string log)
    {
        const int LogBytes = 4096;
        byte* text = stackalloc byte[LogBytes];
        text[0] = 0;
        CudaJitOption* options = stackalloc CudaJitOption[] { CudaJitOption.ErrorLogBuffer, CudaJitOption.ErrorLogBufferSizeBytes };
        void** values = stackalloc void*[] { text, (void*)LogBytes };
        fixed (byte* first = image)
        {
            CudaStatus status = cuModuleLoadDataEx(out module, first, 2, options, values);
            log = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text)).Trim();
            return status;
        }
    }
}

/// <summary>Resources of one compiled kernel.</summary>
internal readonly record struct CudaKernelCost(
    int Registers, int LocalBytes, int SharedBytes, int GroupsPerMultiprocessor, double Occupancy);
