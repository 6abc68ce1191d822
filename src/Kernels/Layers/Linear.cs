using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The linear layer y = x wᵀ + b with the weight stored [out, in], as PyTorch does.</summary>
/// <remarks>
/// Types: float, Half, BFloat16, double; sums in float (double for double). Shapes with 0 rows are valid: the weight's gradient is then 0.
/// With a vendor's matrix product (cuBLAS) the bias is added in a second pass, so half results are rounded twice there.
/// </remarks>
public static unsafe class Linear
{
    private const int ColumnsPerGroup = 32;

    /// <summary>Groups that fill a large GPU; rows of a group that are worth a second launch, which adds the groups' sums.</summary>
    private const int ManyGroups = 1024;
    private const int RowsOfSplit = 256;

    private static readonly KernelDefinition<LinearAddBiasArguments> AddBiasKernel =
        EntryPoints.LinearAddBias.Float<CpuAddBias>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<LinearBackwardBiasArguments> BackwardBiasKernel =
        EntryPoints.LinearBackwardBias.Float<CpuBackwardBias>();

    /// <summary>y = x wᵀ + b.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, shape [rows, in].</param>
    /// <param name="weight">Shape [out, in].</param>
    /// <param name="bias">Shape [out], or null for none.</param>
    /// <param name="y">Output, shape [rows, out]; overlaps no input.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, y overlaps an input, or a tensor is on another device.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T>? bias, DeviceTensor<T> y)
        where T : unmanaged
    {
        const string Op = "Linear.Forward";
        (long rows, long inputs, long outputs) = CheckShapes(Op, stream, x, weight, y, nameof(y));
        if (bias is not null)
        {
            Check.FloatTensor(Op, stream, bias, nameof(bias));
            Check.Shape(Op, bias, nameof(bias), outputs);
            Check.Disjoint(Op, bias, nameof(bias), y, nameof(y));
        }

        Check.Disjoint(Op, x, nameof(x), y, nameof(y));
        Check.Disjoint(Op, weight, nameof(weight), y, nameof(y));
        MatrixProduct product = new(x.DType, rows, outputs, inputs, TransposeA: false, TransposeB: true);
        bool complete = MatMul.Run(stream, product, x.Argument, weight.Argument, bias?.Argument ?? default, y.Argument);
        if (complete) return;
        int width = outputs % 8 == 0 && y.IsVectorAligned && bias!.IsVectorAligned ? 8 : 1;
        stream.Launch(
            AddBiasKernel,
            new KernelVariant(x.DType, width),
            LaunchShape.Items(y.Length / width, AddBiasKernel),
            new LinearAddBiasArguments { Y = y.Argument, Bias = bias!.Argument, Rows = (ulong)rows, Columns = (ulong)outputs });
    }

    /// <summary>dx = dy w, dw = dyᵀ x, db = sum of the rows of dy.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input of the forward call, shape [rows, in].</param>
    /// <param name="weight">Shape [out, in].</param>
    /// <param name="dy">Gradient of the output, shape [rows, out].</param>
    /// <param name="dx">Gradient of the input, shape [rows, in], or null when it is not needed.</param>
    /// <param name="dWeight">Gradient of the weight, shape [out, in].</param>
    /// <param name="dBias">Gradient of the bias, shape [out], or null for a layer without one.</param>
    /// <exception cref="ArgumentException">
    /// The shapes do not fit, a result overlaps an input or another result, or a tensor is on another device.
    /// </exception>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T> dy,
        DeviceTensor<T>? dx, DeviceTensor<T> dWeight, DeviceTensor<T>? dBias)
        where T : unmanaged
    {
        const string Op = "Linear.Backward";
        (long rows, long inputs, long outputs) = CheckShapes(Op, stream, x, weight, dy, nameof(dy));
        CheckResult(Op, stream, dWeight, nameof(dWeight), weight.Shape);
        if (dx is not null) CheckResult(Op, stream, dx, nameof(dx), x.Shape);
        if (dBias is not null) CheckResult(Op, stream, dBias, nameof(dBias), [outputs]);
        if (dx is not null) Check.Disjoint(Op, dWeight, nameof(dWeight), dx, nameof(dx));
        if (dBias is not null) Check.Disjoint(Op, dWeight, nameof(dWeight), dBias, nameof(dBias));
        if (dx is not null && dBias is not null) Check.Disjoint(Op, dx, nameof(dx), dBias, nameof(dBias));

        if (dx is not null)
        {
            MatMul.Run(stream, new MatrixProduct(x.DType, rows, inputs, outputs, false, false), dy.Argument, weight.Argument, default,
                dx.Argument);
        }

        MatMul.Run(stream, new MatrixProduct(x.DType, outputs, inputs, rows, TransposeA: true, false), dy.Argument, x.Argument, default,
            dWeight.Argument);
        if (dBias is null || outputs == 0) return;
        long blocks = (outputs + ColumnsPerGroup - 1) / ColumnsPerGroup;
        // By the problem alone, so that the order of the sums does not depend on the size of the GPU.
        long splits = stream.Device.Kind == DeviceKind.Cuda ? Math.Clamp(rows / RowsOfSplit, 1, Math.Max(1, ManyGroups / blocks)) : 1;
        using ScratchPool.Lease<T> partial = RealBuffer<T>.RentScratch(stream, splits > 1 ? splits * outputs : 0);
        stream.Launch(
            BackwardBiasKernel,
            new KernelVariant(x.DType),
            new LaunchShape(blocks * splits),
            new LinearBackwardBiasArguments
            {
                Dy = dy.Argument,
                Dbias = dBias.Argument,
                Partial = splits > 1 ? partial.Argument : default,
                Rows = (ulong)rows,
                Columns = (ulong)outputs,
                Splits = (ulong)splits,
            });
        if (splits > 1) PartialSums.Reduce(stream, partial.Argument, dBias, splits);

        void CheckResult(string op, DeviceStream on, DeviceTensor<T> result, string name, ReadOnlySpan<long> shape)
        {
            Check.FloatTensor(op, on, result, name);
            Check.Shape(op, result, name, shape);
            Check.Disjoint(op, x, nameof(x), result, name);
            Check.Disjoint(op, weight, nameof(weight), result, name);
            Check.Disjoint(op, dy, nameof(dy), result, name);
        }
    }

    private static (long Rows, long Inputs, long Outputs) CheckShapes<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T> y, string yName)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, x, nameof(x));
        Check.FloatTensor(op, stream, weight, nameof(weight));
        Check.FloatTensor(op, stream, y, yName);
        Check.Rank(op, x, nameof(x), 2);
        Check.Rank(op, weight, nameof(weight), 2);
        (long rows, long inputs, long outputs) = (x.Shape[0], x.Shape[1], weight.Shape[0]);
        Check.Shape(op, weight, nameof(weight), outputs, inputs);
        Check.Shape(op, y, yName, rows, outputs);
        return (rows, inputs, outputs);
    }

    private readonly struct CpuAddBias : ICpuKernel<LinearAddBiasArguments>
    {
        public static void Run<T>(in KernelVariant variant, in LinearAddBiasArguments arguments)
            where T : unmanaged
        {
            LinearAddBiasArguments a = arguments;
            long columns = (long)a.Columns;
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, columns)), (first, end) =>
            {
                T* bias = a.Bias.Pointer<T>();
                for (long row = first; row < end; row++)
                {
                    T* y = a.Y.Pointer<T>() + (row * columns);
                    for (long column = 0; column < columns; column++)
                        y[column] = CpuElement.FromDouble<T>(CpuElement.ToDouble(y[column]) + CpuElement.ToDouble(bias[column]));
                }
            });
        }
    }

    private readonly struct CpuBackwardBias : ICpuKernel<LinearBackwardBiasArguments>
    {
        /// <summary>Columns that share one pass over the rows: their sums stay in the first-level cache.</summary>
        private const int ColumnBlock = 256;

        public static void Run<T>(in KernelVariant variant, in LinearBackwardBiasArguments arguments)
            where T : unmanaged
        {
            LinearBackwardBiasArguments a = arguments;
            (long rows, long columns, long splits) = ((long)a.Rows, (long)a.Columns, (long)a.Splits);
            long block = rows * columns < CpuParallel.ElementsPerChunk ? columns : ColumnBlock;
            CpuParallel.ForRange(columns, block, (first, end) =>
            {
                T* dy = a.Dy.Pointer<T>();
                T* dbias = a.Dbias.Pointer<T>();
                double* sums = stackalloc double[ColumnBlock];
                for (long start = first; start < end; start += ColumnBlock)
                {
                    int width = (int)Math.Min(ColumnBlock, end - start);
                    for (long split = 0; split < splits; split++)
                    {
                        new Span<double>(sums, width).Clear();
                        for (long row = 0; row < rows; row++)
                        {
                            if (splits > 1 && row / 8 % splits != split) continue;
                            T* source = dy + (row * columns) + start;
                            for (int i = 0; i < width; i++) sums[i] += CpuElement.ToDouble(source[i]);
                        }

                        for (int i = 0; i < width; i++)
                        {
                            long target = (split * columns) + start + i;
                            if (splits == 1)
                                dbias[start + i] = CpuElement.FromDouble<T>(sums[i]);
                            else if (typeof(T) == typeof(double))
                                a.Partial.Pointer<double>()[target] = sums[i];
                            else
                                a.Partial.Pointer<float>()[target] = (float)sums[i];
                        }
                    }
                }
            });
        }
    }
}
