using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices;
using Kernels.Interop;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>Finds the native libraries of peers, by the same rules and folders as the library's own.</summary>
internal static class PeerLibraries
{
    internal const string OneDnn = "dnnl";
    internal const string Cudnn = "cudnn";

    private static readonly Dictionary<string, Lazy<NativeLibraries.Outcome>> Outcomes = new()
    {
        // Version 3 has another C API.
        [OneDnn] = NativeLibraries.Find(
            OneDnn, "KERNELS_LIBDNNL", linux: ["libdnnl.so.2"], windows: ["dnnl.dll"], macOS: ["libdnnl.2.dylib"], usualFolders: () => []),
        [Cudnn] = NativeLibraries.Find(
            Cudnn, "KERNELS_LIBCUDNN", linux: ["libcudnn.so.9"], windows: ["cudnn64_9.dll"], macOS: [], usualFolders: () => []),
    };

    /// <summary>Loads the library.</summary>
    /// <exception cref="PeerException">It is not there.</exception>
    internal static void Load(string name)
    {
        if (Outcomes[name].Value.Reason is { } reason) throw new PeerException(reason);
    }

    // Before the first P/Invoke of this assembly.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void InstallResolver() =>
        NativeLibrary.SetDllImportResolver(
            typeof(PeerLibraries).Assembly,
            static (name, _, _) => Outcomes.TryGetValue(name, out Lazy<NativeLibraries.Outcome>? outcome) ? outcome.Value.Handle : 0);
}

/// <summary>Addresses of tensors whose type is known at run time only.</summary>
internal static class PeerTensors
{
    /// <summary>The tensor as kernels get it: its memory, and the first element.</summary>
    public static TensorArgument Argument(this DeviceTensors tensors, string name, DType dtype) => dtype switch
    {
        DType.Float32 => tensors.Get<float>(name).Argument,
        DType.Float16 => tensors.Get<Half>(name).Argument,
        DType.BFloat16 => tensors.Get<BFloat16>(name).Argument,
        DType.Float64 => tensors.Get<double>(name).Argument,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "not a floating-point type"),
    };

    /// <summary>The address of the first element, on the CPU and on CUDA.</summary>
    public static unsafe void* Address(this DeviceTensors tensors, string name, DType dtype)
    {
        TensorArgument argument = tensors.Argument(name, dtype);
        return (byte*)argument.Memory!.Value + ((long)argument.Offset * dtype.SizeInBytes());
    }
}
