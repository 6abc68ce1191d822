using System.Collections.Concurrent;
using System.Text;
using Kernels.Interop;
using static Kernels.Interop.CudaDriver;

namespace Kernels.Devices.Cuda;

/// <summary>The compiled kernels of one GPU: in memory by variant, behind that on disk by text, behind that NVRTC.</summary>
internal sealed unsafe class CudaPrograms(CudaDevice device) : IDisposable
{
    private readonly ConcurrentDictionary<(KernelDefinition, KernelVariant), Lazy<CudaKernel>> _kernels = new();
    private readonly Lazy<(string Architecture, string Versions)> _compiler = new(() => Compiler(device));

    /// <summary>The kernel for a launch; the context is current.</summary>
    public CudaKernel Get(KernelDefinition kernel, in KernelVariant variant)
    {
        Lazy<CudaKernel> entry = _kernels.GetOrAdd((kernel, variant), static (key, self) => new(() => self.Build(key.Item1, key.Item2)), this);
        try
        {
            return entry.Value;
        }
        catch
        {
            // A Lazy keeps its exception; forget it, so that a later call can succeed once memory or disk is back.
            _kernels.TryRemove(new KeyValuePair<(KernelDefinition, KernelVariant), Lazy<CudaKernel>>((kernel, variant), entry));
            throw;
        }
    }

    public void Dispose()
    {
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
            if (Load(cached, out nint known) == CudaStatus.Success) return Function(known, kernel);
            ProgramCache.Remove(key);
        }

        device.Counters.Compiled();
        byte[] image = NvrtcProgram.Compile(text, $"kernels/{kernel.File}", architecture);
        CudaStatus status = Load(image, out nint module);
        if (status != CudaStatus.Success)
        {
            throw device.Context.Failure(
                status, $"cuModuleLoadDataEx ({architecture}, {versions}; KERNELS_LIBNVRTC chooses another compiler)", kernel.EntryPoint);
        }

        ProgramCache.TryWrite(key, image);
        return Function(module, kernel);
    }

    private CudaKernel Function(nint module, KernelDefinition kernel)
    {
        fixed (byte* name = Encoding.ASCII.GetBytes(kernel.EntryPoint + '\0'))
        {
            CudaStatus status = cuModuleGetFunction(out nint function, module, name);
            if (status == CudaStatus.Success) return new CudaKernel(device.Context, module, function);
            cuModuleUnload(module);
            throw device.Context.Failure(status, nameof(cuModuleGetFunction), kernel.EntryPoint);
        }
    }

    private static CudaStatus Load(byte[] image, out nint module)
    {
        fixed (byte* first = image) return cuModuleLoadDataEx(out module, first, 0, null, null);
    }
}
