using System.Runtime.InteropServices;
using Kernels.Devices;

namespace Kernels;

/// <summary>The square that an L2 strength multiplies. Systems differ, and a factor of 2 in the strength is the usual surprise.</summary>
public enum L2Convention
{
    /// <summary>(l2 / 2) * |w|^2 with gradient l2 * w: weight decay of PyTorch, the form of textbooks.</summary>
    Half,

    /// <summary>l2 * |w|^2 with gradient 2 * l2 * w: regularizers of Keras.</summary>
    Full,
}

/// <summary>Strengths of the penalties on one tensor, finite and at least 0; with both 0 the tensor is left alone and not read.</summary>
/// <param name="L1">Strength of |w|.</param>
/// <param name="L2">Strength of |w|^2 in the penalty's convention.</param>
public readonly record struct PenaltyStrength(double L1, double L2);

/// <summary>
/// L1, L2 and elastic-net penalties over a list of parameters: their value and their gradient, for all tensors in one launch and one pass
/// over memory.
/// </summary>
/// <typeparam name="T">Stored type of parameters and gradients: float, Half, BFloat16 or double.</typeparam>
/// <remarks>
/// <para>
/// value = sum over tensors of l1 * sum |w| + c * l2 * sum w^2; gradient l1 * sign(w) + 2 * c * l2 * w with sign(0) = 0; c = 1/2
/// (<see cref="L2Convention.Half"/>) or 1 (<see cref="L2Convention.Full"/>). Sums in float (double for double) in an order that depends on
/// the list alone. A gradient by sign(w) leaves hardly any weight at exactly 0; the proximal L1 of the optimizers
/// (<see cref="L1Mode.Proximal"/>) does.
/// </para>
/// <para>
/// NaN and infinite weights reach the value and their own gradients, except in tensors of strength 0. Empty lists and tensors are valid:
/// their value is 0. Tensors stay the caller's and must outlive the object. On OpenCL a launch reaches one pair of buffers (see
/// <see cref="Optimizer{T, TOptions}"/>).
/// </para>
/// <para>
/// R. Tibshirani, "Regression shrinkage and selection via the lasso", 1996; H. Zou and T. Hastie, "Regularization and variable selection
/// via the elastic net", 2005.
/// </para>
/// </remarks>
public sealed class NormPenalty<T> : IDisposable
    where T : unmanaged
{
    private const string Op = "NormPenalty";

    private readonly TensorTable<T> _table;
    private readonly RealBuffer<T> _coefficients;
    private readonly RealBuffer<T> _value;
    private readonly bool _hasGradients;

    /// <summary>The penalty of these tensors.</summary>
    /// <param name="device">Device of all tensors.</param>
    /// <param name="parameters">The parameters w, of any shapes.</param>
    /// <param name="gradients">Their gradients, same shapes, to which the penalty's are added; null when only the value is wanted.</param>
    /// <param name="strengths">For each tensor its strengths; <c>default</c> leaves a bias out.</param>
    /// <param name="convention">Which square the L2 strengths multiply.</param>
    /// <exception cref="ArgumentException">The lists or shapes differ, tensors overlap, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A strength is negative, NaN or infinite, or the convention unknown.</exception>
    public NormPenalty(
        Device device, IReadOnlyList<DeviceTensor<T>> parameters, IReadOnlyList<DeviceTensor<T>>? gradients,
        IReadOnlyList<PenaltyStrength> strengths, L2Convention convention)
    {
        Check.NotNull(Op, device, nameof(device));
        Check.NotNull(Op, parameters, nameof(parameters));
        Check.NotNull(Op, strengths, nameof(strengths));
        RealBuffer<T>.CheckStored(Op, device);
        if (strengths.Count != parameters.Count)
        {
            throw new ArgumentException(
                $"{Op}: there are {parameters.Count} parameters and {strengths.Count} strengths.", nameof(strengths));
        }

        if (!Enum.IsDefined(convention))
            throw new ArgumentOutOfRangeException(nameof(convention), convention, $"{Op}: no such convention.");
        foreach (PenaltyStrength strength in strengths)
        {
            Check.AtLeast(Op, strength.L1, nameof(strength.L1), 0);
            Check.AtLeast(Op, strength.L2, nameof(strength.L2), 0);
        }

        _hasGradients = gradients is not null;
        double factor = convention == L2Convention.Half ? 0.5 : 1;
        _table = new TensorTable<T>(Op, device, parameters, "parameters", gradients, "gradients", []);
        try
        {
            PenaltyCoefficients<double>[] coefficients =
            [
                .. strengths.Select(s => new PenaltyCoefficients<double>
                {
                    Magnitude = s.L1, Root = Math.Sqrt(factor * s.L2), Slope = 2 * factor * s.L2,
                }),
            ];
            ReadOnlySpan<double> words = MemoryMarshal.Cast<PenaltyCoefficients<double>, double>(coefficients);
            _coefficients = new RealBuffer<T>(device, words.Length);
            _value = new RealBuffer<T>(device, 1);
            using DeviceStream stream = device.CreateStream();
            _coefficients.Upload(stream, words);
            stream.Synchronize();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Queues computing the value.</summary>
    public void Forward(DeviceStream stream) => Run(stream, hasGradient: false, 0);

    /// <summary>Queues computing the value and adding the gradient to the gradients, in one pass.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="gradientScale">Factor of the gradient, not of the value: a loss scale.</param>
    /// <exception cref="InvalidOperationException">There are no gradients.</exception>
    public void ForwardBackward(DeviceStream stream, double gradientScale = 1)
    {
        if (!_hasGradients) throw new InvalidOperationException($"{Op}.ForwardBackward: the penalty was made without gradients.");
        Check.Finite(Op, gradientScale, nameof(gradientScale));
        Run(stream, hasGradient: true, gradientScale);
    }

    /// <summary>
    /// What <see cref="NormPenalty.GetValue(NormPenalty{float})"/> shows, for callers that are generic over the stored type.
    /// </summary>
    /// <exception cref="ArgumentException"><typeparamref name="TReal"/> is not the arithmetic type of <typeparamref name="T"/>.</exception>
    internal DeviceTensor<TReal> GetValueAs<TReal>()
        where TReal : unmanaged => _value.View<TReal>(0, [1]);

    /// <summary>The value of the last call. Blocks.</summary>
    public double ReadValue(DeviceStream stream) => _value.Read(stream, 0);

    /// <summary>Frees the tables. The tensors stay the caller's.</summary>
    public void Dispose()
    {
        // Null where the constructor ran out of memory.
        _table?.Dispose();
        _coefficients?.Dispose();
        _value?.Dispose();
    }

    private void Run(DeviceStream stream, bool hasGradient, double gradientScale)
    {
        _table.CheckStream(Op, stream);
        using TensorTable<T>.Lease held = _table.Hold(Op, stream);
        using ScratchPool.Lease<T> sums = RealBuffer<T>.RentScratch(stream, _table.TileCount);
        KernelVariant variant = new(DTypes.Of<T>(), Switches: hasGradient ? NormPenaltyKernels.GradientSwitch : 0);
        foreach (TensorTable<T>.Run run in _table.Runs)
        {
            stream.Launch(
                NormPenaltyKernels.Tiles, variant, LaunchShape.GroupPerRow(run.TileCount),
                new NormPenaltyTilesArguments
                {
                    Parameter = run.First,
                    Gradient = run.Second,
                    TensorList = _table.ListOf(run),
                    Coefficients = _coefficients.Argument,
                    Sums = sums.Argument,
                    GradientScale = gradientScale,
                });
        }

        stream.Launch(
            NormPenaltyKernels.Value, new KernelVariant(DTypes.Of<T>()), LaunchShape.GroupPerRow(1),
            new NormPenaltyValueArguments { Sums = sums.Argument, Value = _value.Argument, TileCount = (ulong)_table.TileCount });
    }
}

/// <summary>The value of a <see cref="NormPenalty{T}"/> on the device: float, or double for double parameters.</summary>
public static class NormPenalty
{
    /// <summary>The value, one element: of the last call, once it has run. A view, valid as long as the penalty.</summary>
    public static DeviceTensor<float> GetValue(this NormPenalty<float> penalty) => View<float, float>(penalty);

    /// <inheritdoc cref="GetValue(NormPenalty{float})"/>
    public static DeviceTensor<float> GetValue(this NormPenalty<Half> penalty) => View<Half, float>(penalty);

    /// <inheritdoc cref="GetValue(NormPenalty{float})"/>
    public static DeviceTensor<float> GetValue(this NormPenalty<BFloat16> penalty) => View<BFloat16, float>(penalty);

    /// <inheritdoc cref="GetValue(NormPenalty{float})"/>
    public static DeviceTensor<double> GetValue(this NormPenalty<double> penalty) => View<double, double>(penalty);

    private static DeviceTensor<TReal> View<T, TReal>(NormPenalty<T> penalty)
        where T : unmanaged
        where TReal : unmanaged
    {
        ArgumentNullException.ThrowIfNull(penalty);
        return penalty.GetValueAs<TReal>();
    }
}
