using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="MatMul"/>; by default no argument is transposed.</summary>
public readonly record struct MatMulOptions
{
    /// <summary>a is stored [k, m].</summary>
    public bool TransposeA { get; init; }

    /// <summary>b is stored [n, k].</summary>
    public bool TransposeB { get; init; }
}

/// <summary>The matrix product c = op(a) op(b) of row-major matrices, where op may transpose.</summary>
/// <remarks>
/// Types: float, Half, BFloat16, double; sums in float (double for double), rounded once. A dimension of 0 is valid: an empty sum is 0.
/// Implementations in order of preference: the vendor's (cuBLAS, when it can be loaded), then the portable tiled kernel; on the CPU device
/// a blocked, vectorised one. Each gives the same bits in every run on its device.
/// </remarks>
public static class MatMul
{
    private const string Op = "MatMul.Multiply";

    // The order is that of the switches handed to the kernel's definition.
    private const uint TransposeASwitch = 1;
    private const uint TransposeBSwitch = 2;
    private const uint BiasSwitch = 4;

    private const int Tile = 64;

    private static readonly KernelDefinition<MatmulArguments> Kernel =
        EntryPoints.Matmul.Float<CpuMatMul>(switches: ["TRANSPOSE_A", "TRANSPOSE_B", "HAS_BIAS"]);

    /// <summary>c[m, n] = sum over k of op(a)[m, k] op(b)[k, n].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="a">Shape [m, k], or [k, m] when transposed.</param>
    /// <param name="b">Shape [k, n], or [n, k] when transposed.</param>
    /// <param name="c">Result, shape [m, n]; overlaps neither operand.</param>
    /// <param name="options">Which arguments are transposed.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, c overlaps an operand, or a tensor is on another device.</exception>
    public static void Multiply<T>(
        DeviceStream stream, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T> c, MatMulOptions options = default)
        where T : unmanaged
    {
        Check.FloatTensor(Op, stream, a, nameof(a));
        Check.FloatTensor(Op, stream, b, nameof(b));
        Check.FloatTensor(Op, stream, c, nameof(c));
        Check.Rank(Op, a, nameof(a), 2);
        Check.Rank(Op, b, nameof(b), 2);
        (long m, long k) = options.TransposeA ? (a.Shape[1], a.Shape[0]) : (a.Shape[0], a.Shape[1]);
        long n = options.TransposeB ? b.Shape[0] : b.Shape[1];
        Check.Shape(Op, b, nameof(b), options.TransposeB ? [n, k] : [k, n]);
        Check.Shape(Op, c, nameof(c), m, n);
        Check.Disjoint(Op, a, nameof(a), c, nameof(c));
        Check.Disjoint(Op, b, nameof(b), c, nameof(c));
        Run(stream, new MatrixProduct(a.DType, m, n, k, options.TransposeA, options.TransposeB), a.Argument, b.Argument, bias: default,
            c.Argument);
    }

    /// <summary>The product with arguments already checked. Returns false when it left the bias to the caller, as vendors do.</summary>
    internal static bool Run(
        DeviceStream stream, in MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument bias, TensorArgument c)
    {
        if (product.M == 0 || product.N == 0) return true;
        if (stream.TryMultiply(product, a, b, c)) return !bias.IsPresent;
        uint switches = (product.TransposeA ? TransposeASwitch : 0) | (product.TransposeB ? TransposeBSwitch : 0) | (bias.IsPresent
            ? BiasSwitch : 0);
        long tiles = ((product.M + Tile - 1) / Tile) * ((product.N + Tile - 1) / Tile);
        stream.Launch(
            Kernel,
            new KernelVariant(product.DType, Switches: switches),
            new LaunchShape(tiles),
            new MatmulArguments { A = a, B = b, Bias = bias, C = c, M = (ulong)product.M, N = (ulong)product.N, K = (ulong)product.K });
        return true;
    }

    private readonly unsafe struct CpuMatMul : ICpuKernel<MatmulArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MatmulArguments arguments)
            where T : unmanaged
        {
            (long m, long n, long k) = ((long)arguments.M, (long)arguments.N, (long)arguments.K);
            (long aRow, long aColumn) = (variant.Switches & TransposeASwitch) != 0 ? (1L, m) : (k, 1L);
            (long bRow, long bColumn) = (variant.Switches & TransposeBSwitch) != 0 ? (1L, k) : (n, 1L);
            CpuGemm.Multiply(
                m, n, k, arguments.A.Pointer<T>(), aRow, aColumn, arguments.B.Pointer<T>(), bRow, bColumn,
                arguments.Bias.Pointer<T>(), arguments.C.Pointer<T>(), n);
        }
    }
}
