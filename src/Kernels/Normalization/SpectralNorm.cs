using System.Numerics;
using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="SpectralNorm"/>; by default one step of the power iteration in each call.</summary>
public readonly record struct SpectralNormOptions
{
    private const double UsualEpsilon = 1e-12;

    private readonly double? _epsilon;

    /// <summary>Steps of the power iteration beyond the first.</summary>
    public int MoreIterations { get; init; }

    /// <summary>The least length by which a vector is divided; finite and more than 0. Default 1e-12.</summary>
    public double Epsilon
    {
        get => _epsilon ?? UsualEpsilon;
        init => _epsilon = value;
    }
}

/// <summary>
/// Spectral normalization: y = weight / sigma, with sigma the largest singular value of the weight as a matrix [out, rest], by power
/// iteration; it bounds how steep a layer can be.
/// </summary>
/// <remarks>
/// <code>
/// u = W v / max(|W v|, epsilon), v = W' u / max(|W' u|, epsilon)     a step; Forward takes one or more, Inference none
/// sigma = u' W v
/// y = W / sigma
/// dW = (dy - (sum of dy W) / sigma * u v') / sigma                   u and v count as constants
/// </code>
/// <para>
/// The numbers are those of <c>torch.nn.utils.parametrizations.spectral_norm</c> with <c>dim = 0</c>. After a step sigma is |W' u|, so no
/// product is calculated for it. u and v are state of the caller's, float, or double for double weights. To begin, fill v with normal
/// numbers of any length and call <see cref="Forward{T, TReal}"/> with 14 more iterations, as PyTorch's 15; u is written before it is read.
/// <see cref="Backward{T, TReal}"/> needs u, v and sigma as the forward call left them.
/// </para>
/// <para>
/// Norms are right wherever they can be stored; with more than one step the square of sigma must be in range, too. Sums are in a fixed
/// order. A weight of zeros has sigma 0 and gives NaN, as in PyTorch; NaN and infinities reach all results. Types: float, Half,
/// BFloat16, double.
/// </para>
/// <para>
/// T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, "Spectral normalization for generative adversarial networks", ICLR 2018.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes or types that do not fit, a weight without elements, tensors that overlap
/// or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a setting out of its range, before anything is launched.
/// </para>
/// </remarks>
public static partial class SpectralNorm
{
    /// <summary>TILE in the text.</summary>
    private const long TileLength = 32 * KernelDefinition.DefaultGroupSize;

    private const int MostIterations = 1 << 20;

    private static readonly KernelDefinition<SpectralNormRowsArguments> RowsKernel =
        EntryPoints.SpectralNormRows.Float<CpuRowProducts>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<SpectralNormColumnsArguments> ColumnsKernel =
        EntryPoints.SpectralNormColumns.Float<CpuColumnSums>();

    private static readonly KernelDefinition<SpectralNormApplyArguments> ApplyKernel =
        EntryPoints.SpectralNormApply.Float<CpuApply>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<SpectralNormOverlapArguments> OverlapKernel =
        EntryPoints.SpectralNormOverlap.Float<CpuOverlap>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<SpectralNormBackwardArguments> BackwardKernel =
        EntryPoints.SpectralNormBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    /// <summary>Steps of the power iteration, then y = weight / sigma; for training.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="weight">[out, ...], two dimensions or more.</param>
    /// <param name="u">State, [out]: written.</param>
    /// <param name="v">State, [elements of a weight's row]: read and written.</param>
    /// <param name="sigma">Output, one element.</param>
    /// <param name="y">Output, shape of <paramref name="weight"/>.</param>
    /// <param name="options">Iterations, epsilon.</param>
    public static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> weight, DeviceTensor<TReal> u, DeviceTensor<TReal> v, DeviceTensor<TReal> sigma,
        DeviceTensor<T> y, SpectralNormOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SpectralNorm.Forward";
        CheckMatrix(Op, stream, weight, u, v, sigma, y, nameof(y));
        if (options.MoreIterations is < 0 or >= MostIterations)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.MoreIterations, $"{Op}: {nameof(options.MoreIterations)} lies in [0, {MostIterations - 1}].");
        }

        if (!(options.Epsilon > 0) || double.IsInfinity(options.Epsilon))
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Epsilon, $"{Op}: {nameof(options.Epsilon)} is finite and more than 0.");
        }

        long rows = weight.Shape[0], columns = weight.Length / rows;
        using ScratchPool.Lease<TReal> products = stream.RentScratch<TReal>(rows), sums = stream.RentScratch<TReal>(columns);
        for (int iteration = 0; iteration <= options.MoreIterations; iteration++)
        {
            // The length of the vector does not matter: u is scaled to be of length 1.
            Multiply(stream, weight, iteration == 0 ? v.Argument : sums.Argument, products.Argument);
            stream.Launch(
                ColumnsKernel,
                new KernelVariant(weight.DType),
                LaunchShape.GroupPerRow((columns + 31) / 32),
                new SpectralNormColumnsArguments
                {
                    Weight = weight.Argument,
                    Products = products.Argument,
                    U = u.Argument,
                    Sums = sums.Argument,
                    Rows = (ulong)rows,
                    Columns = (ulong)columns,
                    Epsilon = options.Epsilon,
                });
        }

        Apply(stream, weight, sums.Argument, default, v.Argument, sigma, y, columns, options.Epsilon, iterated: true);
    }

    /// <summary>y = weight / sigma with u and v as they are; for inference.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="weight">[out, ...], two dimensions or more.</param>
    /// <param name="u">State, [out].</param>
    /// <param name="v">State, [elements of a weight's row].</param>
    /// <param name="sigma">Output, one element.</param>
    /// <param name="y">Output, shape of <paramref name="weight"/>.</param>
    public static void Inference<T, TReal>(
        DeviceStream stream, DeviceTensor<T> weight, DeviceTensor<TReal> u, DeviceTensor<TReal> v, DeviceTensor<TReal> sigma,
        DeviceTensor<T> y)
        where T : unmanaged
        where TReal : unmanaged
    {
        CheckMatrix("SpectralNorm.Inference", stream, weight, u, v, sigma, y, nameof(y));
        long rows = weight.Shape[0];
        using ScratchPool.Lease<TReal> products = stream.RentScratch<TReal>(rows);
        Multiply(stream, weight, v.Argument, products.Argument);
        Apply(stream, weight, u.Argument, products.Argument, default, sigma, y, rows, new SpectralNormOptions().Epsilon, iterated: false);
    }

    /// <summary>The gradient with respect to the weight, with u and v as constants.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="weight">As in forward.</param>
    /// <param name="u">As forward left it.</param>
    /// <param name="v">As forward left it.</param>
    /// <param name="sigma">As forward left it.</param>
    /// <param name="dy">Gradient of y.</param>
    /// <param name="dweight">Gradient of the weight; may be <paramref name="dy"/>.</param>
    public static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> weight, DeviceTensor<TReal> u, DeviceTensor<TReal> v, DeviceTensor<TReal> sigma,
        DeviceTensor<T> dy, DeviceTensor<T> dweight)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SpectralNorm.Backward";
        CheckMatrix(Op, stream, weight, u, v, sigma, dweight, nameof(dweight));
        Check.Elementwise(Op, stream, dy, nameof(dy), dweight, nameof(dweight));
        long columns = weight.Length / weight.Shape[0], tiles = (weight.Length + TileLength - 1) / TileLength;
        InvariantDivisor row = InvariantDivisor.Of(columns);
        int width = columns % 8 == 0 && weight.IsVectorAligned && dy.IsVectorAligned && dweight.IsVectorAligned ? 8 : 1;
        KernelVariant variant = new(weight.DType, width);
        using ScratchPool.Lease<TReal> overlaps = stream.RentScratch<TReal>(tiles);
        stream.Launch(
            OverlapKernel,
            variant,
            LaunchShape.GroupPerRow(tiles),
            new SpectralNormOverlapArguments
            {
                Weight = weight.Argument,
                Dy = dy.Argument,
                Overlaps = overlaps.Argument,
                Size = (ulong)weight.Length,
            });
        stream.Launch(
            BackwardKernel,
            variant,
            LaunchShape.GroupPerRow(tiles),
            new SpectralNormBackwardArguments
            {
                Dy = dy.Argument,
                U = u.Argument,
                V = v.Argument,
                Sigma = sigma.Argument,
                Overlaps = overlaps.Argument,
                Dweight = dweight.Argument,
                Size = (ulong)weight.Length,
                Columns = row.Value,
                ColumnsInverse = row.Inverse,
                ColumnsShift = row.Shift,
            });
    }

    private static void Multiply<T>(DeviceStream stream, DeviceTensor<T> weight, TensorArgument vector, TensorArgument products)
        where T : unmanaged
    {
        long rows = weight.Shape[0], columns = weight.Length / rows;

        // Two octets of a row for each item at least, where rows are that long.
        uint wanted = BitOperations.RoundUpToPowerOf2((uint)Math.Min(columns, int.MaxValue) / 16);
        uint team = Math.Clamp(wanted, 1, KernelDefinition.DefaultGroupSize);
        stream.Launch(
            RowsKernel,
            new KernelVariant(weight.DType, columns % 8 == 0 && weight.IsVectorAligned ? 8 : 1),
            LaunchShape.Items(rows * team, RowsKernel),
            new SpectralNormRowsArguments
            {
                Weight = weight.Argument,
                V = vector,
                Products = products,
                Rows = (ulong)rows,
                Columns = (ulong)columns,
                Team = team,
            });
    }

    private static void Apply<T, TReal>(
        DeviceStream stream, DeviceTensor<T> weight, TensorArgument first, TensorArgument second, TensorArgument v,
        DeviceTensor<TReal> sigma, DeviceTensor<T> y, long count, double epsilon, bool iterated)
        where T : unmanaged
        where TReal : unmanaged =>
        stream.Launch(
            ApplyKernel,
            new KernelVariant(weight.DType, weight.Length % 8 == 0 && weight.IsVectorAligned && y.IsVectorAligned ? 8 : 1),
            LaunchShape.GroupPerRow((weight.Length + TileLength - 1) / TileLength),
            new SpectralNormApplyArguments
            {
                Weight = weight.Argument,
                First = first,
                Second = second,
                V = v,
                Sigma = sigma.Argument,
                Y = y.Argument,
                Count = (ulong)count,
                Size = (ulong)weight.Length,
                Epsilon = epsilon,
                Iterated = iterated ? 1u : 0,
            });

    private static void CheckMatrix<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> weight, DeviceTensor<TReal> u, DeviceTensor<TReal> v, DeviceTensor<TReal> sigma,
        DeviceTensor<T> result, string resultName)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Elementwise(op, stream, weight, nameof(weight), result, resultName);
        Check.Disjoint(op, weight, nameof(weight), result, resultName);
        if (weight.Shape.Length < 2 || weight.Length == 0)
        {
            throw new ArgumentException(
                $"{op}: {nameof(weight)} has the shape {TensorShape.Format(weight.Shape)}; a matrix has rows and columns.",
                nameof(weight));
        }

        (DeviceTensor<TReal> State, string Name, long Length)[] states =
            [(u, nameof(u), weight.Shape[0]), (v, nameof(v), weight.Length / weight.Shape[0]), (sigma, nameof(sigma), 1)];
        foreach ((DeviceTensor<TReal> state, string name, long length) in states)
        {
            Check.Tensor(op, stream, state, name);
            Check.Real(op, weight, state, name);
            Check.Shape(op, state, name, length);
            Check.Disjoint(op, weight, nameof(weight), state, name);
            Check.Disjoint(op, result, resultName, state, name);
        }

        Check.Disjoint(op, u, nameof(u), v, nameof(v));
        Check.Disjoint(op, u, nameof(u), sigma, nameof(sigma));
        Check.Disjoint(op, v, nameof(v), sigma, nameof(sigma));
    }
}
