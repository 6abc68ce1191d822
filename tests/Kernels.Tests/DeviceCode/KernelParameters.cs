using Kernels.Devices;

namespace Kernels.Tests.DeviceCode;

/// <summary>The parameters that the host binds, to be compared with those of the compiled kernel.</summary>
internal static class KernelParameters
{
    /// <summary>Their types as PTX writes them.</summary>
    public static IReadOnlyList<string> PtxTypes(KernelDefinition kernel, DType dtype)
    {
        Recorder recorder = new([], dtype == DType.Float64 ? "f64" : "f32");
        kernel.BindDefaults(ref recorder);
        return recorder.Types;
    }

    private readonly struct Recorder(List<string> types, string real) : IArgumentBinder
    {
        public List<string> Types { get; } = types;

        public void Tensor(TensorArgument value, string name) => Types.AddRange(["u64", "u64"]);

        public void UInt64(ulong value, string name) => Types.Add("u64");

        public void UInt32(uint value, string name) => Types.Add("u32");

        public void Real(double value, string name) => Types.Add(real);
    }
}
