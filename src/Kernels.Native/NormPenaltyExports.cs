using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Kernels.Native;

/// <summary>
/// L1, L2 and elastic-net penalties over a list of parameters: value = sum of l1 * sum |w| + c * l2 * sum w^2, with c = 1/2 or 1 by the
/// convention; value and gradient of all tensors in one launch.
/// </summary>
public static unsafe class NormPenaltyExports
{
    /// <summary>The penalty of these tensors, whose memory must live as long as it.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="parameters">The parameters, of one data type and any shapes.</param>
    /// <param name="gradients">Their gradients, to which the penalty's are added; NULL when only the value is wanted.</param>
    /// <param name="strengths">For each parameter its strengths; zeros leave it out.</param>
    /// <param name="count">How many there are of each.</param>
    /// <param name="convention">Which square the L2 strengths multiply.</param>
    /// <param name="penalty">Gets the handle.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_norm_penalty_create")]
    public static Status Create(
        CDevice device, CTensor* parameters, [AllowNull] CTensor* gradients, CPenaltyStrength* strengths, long count,
        L2Convention convention, [Out] CNormPenalty* penalty) => Failure.Guard(() =>
    {
        const string Op = "norm_penalty_create";
        Arguments.Result(penalty, Op, nameof(penalty));
        *penalty = default;
        DeviceEntry owner = Arguments.Device(device);
        DType type = Arguments.TypeOfAll(parameters, count, Op, nameof(parameters));
        ReadOnlySpan<CPenaltyStrength> given = Arguments.Span(strengths, count, Op, nameof(strengths));
        PenaltyStrength[] all = new PenaltyStrength[given.Length];
        for (int i = 0; i < all.Length; i++) all[i] = given[i].ToManaged();
        NormPenaltyEntry entry = type switch
        {
            DType.Float32 => Make<float>(),
            DType.Float16 => Make<Half>(),
            DType.BFloat16 => Make<BFloat16>(),
            DType.Float64 => Make<double>(),
            _ => throw Arguments.NoSuchTypes(Op, nameof(parameters), type),
        };
        *penalty = new CNormPenalty(Handles.Add(entry));

        NormPenaltyEntry<T> Make<T>()
            where T : unmanaged =>
            new(new NormPenalty<T>(
                owner.Device, Arguments.Tensors<T>(owner, parameters, count, Op, nameof(parameters)),
                gradients is null ? null : Arguments.Tensors<T>(owner, gradients, count, Op, nameof(gradients)), all, convention));
    });

    /// <summary>Queues computing the value.</summary>
    /// <param name="penalty">The penalty.</param>
    /// <param name="stream">Queue to run in.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_norm_penalty_forward")]
    public static Status Forward(CNormPenalty penalty, CStream stream) =>
        Failure.Guard(() => Get(penalty).Forward(Arguments.Stream(stream).Stream));

    /// <summary>Queues computing the value and adding the gradient to the gradients, in one pass.</summary>
    /// <param name="penalty">A penalty with gradients.</param>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="gradientScale">Factor of the gradient, not of the value: a loss scale, or 1.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_norm_penalty_forward_backward")]
    public static Status ForwardBackward(CNormPenalty penalty, CStream stream, double gradientScale) =>
        Failure.Guard(() => Get(penalty).ForwardBackward(Arguments.Stream(stream).Stream, gradientScale));

    /// <summary>The value of the last call, once it has run: one FLOAT32, or FLOAT64 for FLOAT64 parameters.</summary>
    /// <param name="penalty">The penalty.</param>
    /// <param name="value">Gets a view, valid as long as the penalty.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_norm_penalty_value")]
    public static Status Value(CNormPenalty penalty, [Out] CTensor* value) => Failure.Guard(() =>
    {
        Arguments.Result(value, "norm_penalty_value", nameof(value));
        Get(penalty).ShowValue(value);
    });

    /// <summary>Frees a penalty. The tensors stay the caller's.</summary>
    /// <param name="penalty">The penalty.</param>
    [UnmanagedCallersOnly(EntryPoint = "kernels_norm_penalty_free")]
    public static Status Free([AllowNull] CNormPenalty penalty) =>
        Failure.Guard(() => Handles.Remove<NormPenaltyEntry>(penalty.Value, nameof(penalty)));

    private static NormPenaltyEntry Get(CNormPenalty penalty) => Handles.Get<NormPenaltyEntry>(penalty.Value, nameof(penalty));
}
