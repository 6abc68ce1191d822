using Kernels.Devices;

namespace Kernels;

/// <summary>The kernels that optimizers share, their argument records, and the layout of what they read (see <c>optimizer.h</c>).</summary>
internal static class OptimizerKernels
{
    public const int SettingWords = 17;
    public const int ProgressHeader = 4;
    public const int ProgressWords = 4;
    public const uint NoRole = uint.MaxValue;

    /// <summary>On where rows are projected or zeros counted: both need sums over a tile.</summary>
    public const uint ReducesSwitch = 1;

    private static readonly string[] Switches = ["REDUCES"];

    public static readonly KernelDefinition<SquaresArguments> Squares =
        KernelDefinition<SquaresArguments>.Float<CpuGradientSquares>("portable/optimizer_step.cl", "gradient_squares");

    public static readonly KernelDefinition<PrepareArguments> Prepare =
        KernelDefinition<PrepareArguments>.Float<CpuPrepare>("portable/optimizer_step.cl", "optimizer_prepare");

    public static readonly KernelDefinition<StepArguments> Sgd =
        KernelDefinition<StepArguments>.Float<CpuOptimizerPass<SgdRule>>("portable/sgd.cl", "sgd_step", switches: Switches);

    public static readonly KernelDefinition<StepArguments> Adam =
        KernelDefinition<StepArguments>.Float<CpuOptimizerPass<AdamRule>>("portable/adam.cl", "adam_step", switches: Switches);

    public static readonly KernelDefinition<StepArguments> RmsProp =
        KernelDefinition<StepArguments>.Float<CpuOptimizerPass<RmsPropRule>>("portable/rms_prop.cl", "rms_prop_step", switches: Switches);

    public static readonly KernelDefinition<StepArguments> Lion =
        KernelDefinition<StepArguments>.Float<CpuOptimizerPass<LionRule>>("portable/lion.cl", "lion_step", switches: Switches);

    internal readonly record struct SquaresArguments(
        TensorArgument Gradient, TensorArgument Tensors, TensorArgument Tiles, TensorArgument Sums, ulong FirstTile, ulong TileCount) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Gradient);
            binder.Tensor(Tensors);
            binder.Tensor(Tiles);
            binder.Tensor(Sums);
            binder.UInt64(FirstTile);
            binder.UInt64(TileCount);
        }
    }

    internal readonly record struct PrepareArguments(
        TensorArgument Progress, TensorArgument Counts, TensorArgument Settings, TensorArgument Sums, TensorArgument Rates, TensorArgument LossScales,
        TensorArgument Zeros, ulong Groups, ulong MeasuredTiles, ulong CountedTensors, uint HasRates, uint HasLossScale, uint SkipsFaults, double LossScale,
        double MaximumNorm) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Progress);
            binder.Tensor(Counts);
            binder.Tensor(Settings);
            binder.Tensor(Sums);
            binder.Tensor(Rates);
            binder.Tensor(LossScales);
            binder.Tensor(Zeros);
            binder.UInt64(Groups);
            binder.UInt64(MeasuredTiles);
            binder.UInt64(CountedTensors);
            binder.UInt32(HasRates);
            binder.UInt32(HasLossScale);
            binder.UInt32(SkipsFaults);
            binder.Real(LossScale);
            binder.Real(MaximumNorm);
        }
    }

    internal readonly record struct StepArguments(
        TensorArgument Parameter, TensorArgument Gradient, TensorArgument State, TensorArgument Tensors, TensorArgument Tiles, TensorArgument Settings,
        TensorArgument Progress, TensorArgument Zeros, ulong FirstTile, ulong TileCount, ulong RoleStride, uint RoleA, uint RoleB, uint RoleC, uint Master,
        uint Average, uint CountsZeros) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Parameter);
            binder.Tensor(Gradient);
            binder.Tensor(State);
            binder.Tensor(Tensors);
            binder.Tensor(Tiles);
            binder.Tensor(Settings);
            binder.Tensor(Progress);
            binder.Tensor(Zeros);
            binder.UInt64(FirstTile);
            binder.UInt64(TileCount);
            binder.UInt64(RoleStride);
            binder.UInt32(RoleA);
            binder.UInt32(RoleB);
            binder.UInt32(RoleC);
            binder.UInt32(Master);
            binder.UInt32(Average);
            binder.UInt32(CountsZeros);
        }
    }
}
