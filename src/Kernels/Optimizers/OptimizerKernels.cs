using Kernels.Devices;

namespace Kernels;

/// <summary>The kernels that optimizers share.</summary>
internal static class OptimizerKernels
{
    public const uint NoRole = uint.MaxValue;

    /// <summary>On where rows are projected or zeros counted: both need sums over a tile.</summary>
    public const uint ReducesSwitch = 1;

    private static readonly string[] Switches = ["REDUCES"];

    public static readonly KernelDefinition<GradientSquaresArguments> Squares = EntryPoints.GradientSquares.Float<CpuGradientSquares>();

    public static readonly KernelDefinition<OptimizerPrepareArguments> Prepare = EntryPoints.OptimizerPrepare.Float<CpuPrepare>();

    public static readonly KernelDefinition<OptimizerStepArguments> Sgd =
        EntryPoints.SgdStep.Float<CpuOptimizerPass<SgdRule<float>, SgdRule<double>>>(switches: Switches);

    public static readonly KernelDefinition<OptimizerStepArguments> Adam =
        EntryPoints.AdamStep.Float<CpuOptimizerPass<AdamRule<float>, AdamRule<double>>>(switches: Switches);

    public static readonly KernelDefinition<OptimizerStepArguments> RmsProp =
        EntryPoints.RmsPropStep.Float<CpuOptimizerPass<RmsPropRule<float>, RmsPropRule<double>>>(switches: Switches);

    public static readonly KernelDefinition<OptimizerStepArguments> Lion =
        EntryPoints.LionStep.Float<CpuOptimizerPass<LionRule<float>, LionRule<double>>>(switches: Switches);
}
