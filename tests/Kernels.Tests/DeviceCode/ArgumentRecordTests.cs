using Kernels.Devices;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>Argument records are bound to kernels by position alone, so each must be its kernel's parameter list.</summary>
public sealed class ArgumentRecordTests
{
    public static TheoryData<string> Kernels => [.. KernelPrograms.Kernels.Select(kernel => kernel.ToString())];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void RecordIsParameterListOfText(string name)
    {
        KernelDefinition kernel = KernelPrograms.Kernels.Single(kernel => kernel.ToString() == name);
        Assert.Null(Difference(kernel));
    }

    /// <summary>The comparison itself, against records that are wrong in one way each.</summary>
    [Fact]
    public void ComparisonSeesWrongRecords()
    {
        Assert.Null(Difference(Advance<RightArguments>()));
        Assert.Contains("'u64* key' in the text and 'u64 steps'", Difference(Advance<SwappedArguments>()), StringComparison.Ordinal);
        Assert.Contains("'u64 steps' in the text and 'u64 count'", Difference(Advance<RenamedArguments>()), StringComparison.Ordinal);
        Assert.Contains("'u64 steps' in the text and 'u32 steps'", Difference(Advance<NarrowArguments>()), StringComparison.Ordinal);
        Assert.Contains("'u64 steps' in the text and 'nothing'", Difference(Advance<ShortArguments>()), StringComparison.Ordinal);
    }

    private static KernelDefinition Advance<TArguments>()
        where TArguments : struct, IKernelArguments =>
        KernelDefinition<TArguments>.Fixed("portable/random.cl", "random_advance", (in KernelVariant _, in TArguments _) => { });

    private static string? Difference(KernelDefinition kernel) => KernelParameters.Difference(
        KernelParameters.InText(KernelSource.Read(kernel.File), kernel.EntryPoint), KernelParameters.InRecord(kernel));

    private readonly record struct RightArguments(TensorArgument Key, ulong Steps) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Key);
            binder.UInt64(Steps);
        }
    }

    private readonly record struct SwappedArguments(TensorArgument Key, ulong Steps) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.UInt64(Steps);
            binder.Tensor(Key);
        }
    }

    private readonly record struct RenamedArguments(TensorArgument Key, ulong Count) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Key);
            binder.UInt64(Count);
        }
    }

    private readonly record struct NarrowArguments(TensorArgument Key, uint Steps) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Key);
            binder.UInt32(Steps);
        }
    }

    private readonly record struct ShortArguments(TensorArgument Key) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct => binder.Tensor(Key);
    }
}
