using System.Numerics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Affine
{
    /// <summary>A thread takes one image and adds each gradient to the elements that it was read from, in the order of y.</summary>
    private readonly struct CpuBackward : ICpuKernel<AffineBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AffineBackwardArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Scatter<T, double>(arguments);
            else
                Scatter<T, float>(arguments);
        }

        private static void Scatter<T, TReal>(in AffineBackwardArguments arguments)
            where T : unmanaged
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            AffineBackwardArguments a = arguments;
            AugmentImageArguments image = a.AugmentImage;
            (int width, int height) = ((int)image.Width, (int)image.Height);
            long pixels = (long)width * height, outPixels = (long)image.OutWidth * image.OutHeight;
            CpuParallel.For((long)a.Jobs / pixels, sample =>
            {
                AugmentReader<T, TReal> reader = new(null, 0, 1, a.Matrices.Pointer<float>() + (6 * sample), image, a.AugmentMap);
                T* dy = a.Dy.Pointer<T>() + (sample * image.Channels * outPixels);
                T* dx = a.Dx.Pointer<T>() + (sample * image.Channels * pixels);
                TReal* sums = CpuScratch.Take<TReal>(pixels);
                for (int channel = 0; channel < (int)image.Channels; channel++)
                {
                    new Span<TReal>(sums, (int)pixels).Clear();
                    for (int place = 0; place < outPixels; place++)
                    {
                        (int row, int column) = Math.DivRem(place, (int)image.OutWidth);
                        (_, _, TReal x, TReal y) = reader.Place(row, column);
                        T stored = dy[((long)place * a.GradientLayout.YPixel) + ((long)channel * a.GradientLayout.YChannel)];
                        Add(sums, width, height, x, y, a.AugmentMap.IsNearest != 0, TReal.CreateTruncating(CpuElement.ToDouble(stored)));
                    }

                    double scale = ScaleOf(a.Normalize, channel);
                    for (int pixel = 0; pixel < pixels; pixel++)
                    {
                        TReal value = sums[pixel] * TReal.CreateTruncating(scale);
                        dx[((long)pixel * image.XPixel) + ((long)channel * image.XChannel)] =
                            CpuElement.FromDouble<T>(double.CreateTruncating(value));
                    }
                }
            });
        }

        private static void Add<TReal>(TReal* sums, int width, int height, TReal x, TReal y, bool isNearest, TReal gradient)
            where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
        {
            TReal left = isNearest ? TReal.Round(x) : TReal.Floor(x), top = isNearest ? TReal.Round(y) : TReal.Floor(y);
            (int x0, int y0) = (int.CreateTruncating(left), int.CreateTruncating(top));
            for (int r = y0; r <= y0 + 1; r++)
            {
                for (int c = x0; c <= x0 + 1; c++)
                {
                    TReal across = isNearest ? (c == x0 ? TReal.One : TReal.Zero) : TReal.One - TReal.Abs(x - TReal.CreateTruncating(c));
                    TReal down = isNearest ? (r == y0 ? TReal.One : TReal.Zero) : TReal.One - TReal.Abs(y - TReal.CreateTruncating(r));
                    TReal weight = across * down;
                    if (weight > TReal.Zero && (uint)r < (uint)height && (uint)c < (uint)width) sums[(r * width) + c] += weight * gradient;
                }
            }
        }
    }

    private readonly struct CpuMatrices : ICpuKernel<AffineBackwardMatricesArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AffineBackwardMatricesArguments arguments)
            where T : unmanaged
        {
            switch (arguments.AugmentImage.InputType)
            {
                case 0: Sum<byte, T>(arguments); break;
                case 1: Sum<Half, T>(arguments); break;
                case 2: Sum<BFloat16, T>(arguments); break;
                case 3: Sum<float, T>(arguments); break;
                default: Sum<double, T>(arguments); break;
            }
        }

        private static void Sum<TIn, T>(in AffineBackwardMatricesArguments arguments)
            where TIn : unmanaged
            where T : unmanaged
        {
            AffineBackwardMatricesArguments a = arguments;
            AugmentImageArguments image = a.AugmentImage;
            AugmentMapArguments map = a.AugmentMap;
            long outPixels = (long)image.OutWidth * image.OutHeight;
            CpuParallel.For((long)a.Samples, sample =>
            {
                AugmentReader<TIn, double> reader = new(
                    (TIn*)a.X.Pointer<byte>(), sample, (long)a.Samples, a.Matrices.Pointer<float>() + (6 * sample), image, map);
                T* dy = a.Dy.Pointer<T>() + (sample * image.Channels * outPixels);
                Span<double> sums = stackalloc double[6];
                for (int place = 0; place < outPixels && map.IsNearest == 0; place++)
                {
                    (int row, int column) = Math.DivRem(place, (int)image.OutWidth);
                    (double placeX, double placeY, double x, double y) = reader.Place(row, column);
                    (double left, double top) = (Math.Floor(x), Math.Floor(y));
                    (int x0, int y0) = ((int)left, (int)top);
                    (double across, double down, double alongX, double alongY) = (x - left, y - top, 0, 0);
                    for (int channel = 0; channel < (int)image.Channels; channel++)
                    {
                        (double t00, double t01) = (reader.Tap(x0, y0, channel), reader.Tap(x0 + 1, y0, channel));
                        (double t10, double t11) = (reader.Tap(x0, y0 + 1, channel), reader.Tap(x0 + 1, y0 + 1, channel));
                        T stored = dy[((long)place * a.GradientLayout.YPixel) + ((long)channel * a.GradientLayout.YChannel)];
                        double gradient = CpuElement.ToDouble(stored) * ScaleOf(a.Normalize, channel);
                        alongX += gradient * (((t01 - t00) * (1 - down)) + ((t11 - t10) * down));
                        alongY += gradient * (((t10 - t00) * (1 - across)) + ((t11 - t01) * across));
                    }

                    alongX *= Slope(map, placeX, x, map.SpanX, image.Width);
                    alongY *= Slope(map, placeY, y, map.SpanY, image.Height);
                    (double u, double v) = (column - (0.5 * (image.OutWidth - 1.0)), row - (0.5 * (image.OutHeight - 1.0)));
                    sums[0] += alongX * u;
                    sums[1] += alongX * v;
                    sums[2] += alongX;
                    sums[3] += alongY * u;
                    sums[4] += alongY * v;
                    sums[5] += alongY;
                }

                Span<double> units = [map.UnitA, map.UnitB, map.UnitC, map.UnitD, map.UnitE, map.UnitF];
                for (int i = 0; i < 6; i++) a.Dmatrices.Pointer<float>()[(6 * sample) + i] = (float)(sums[i] * units[i]);
            });
        }

        private static double Slope(in AugmentMapArguments map, double place, double read, double span, uint size)
        {
            if (map.Border == (uint)ImageBorder.Constant) return 1;
            if (read <= 0 || read >= size - 1.0) return 0;
            if (map.Border == (uint)ImageBorder.Edge) return 1;
            double from = place - map.ReflectLow;
            bool isOdd = ((long)Math.Floor(Math.Abs(from) / span) & 1) != 0;
            return isOdd == from < 0 ? 1 : -1;
        }
    }

    private static double ScaleOf(in NormalizeArguments a, int channel) => channel switch
    {
        0 => a.Scale0,
        1 => a.Scale1,
        2 => a.Scale2,
        _ => a.Scale3,
    };
}
