using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DifferentiableAugment
{
    /// <summary>A row of the table: what happens to an image. The shift and the hole are in pixels.</summary>
    private readonly record struct Drawn(
        double Own, double Pixel, double Image, double Added, int Down, int Across, int Top, int Left, int Bottom, int Right)
    {
        public static Drawn Of(RandomKey key, ulong sample, uint op, float chance, in ShiftedImageArguments image, in TransformArguments t)
        {
            (uint brightness, uint saturation, uint contrast, _) = AugmentKey.Draw(key, sample, op, 0);
            (uint down, uint across, uint top, uint left) = AugmentKey.Draw(key, sample, op, 1);
            (uint first, uint second, uint third, _) = AugmentKey.Draw(key, sample, op, 2);
            float colorful = Fires(first >> 16, chance) ? Between(saturation, t.SaturationLow, t.SaturationHigh) : 1;
            float steep = Fires(second & ushort.MaxValue, chance) ? Between(contrast, t.ContrastLow, t.ContrastHigh) : 1;
            float added = Fires(first & ushort.MaxValue, chance) ? Between(brightness, t.BrightnessLow, t.BrightnessHigh) : 0;
            bool shifts = Fires(second >> 16, chance);
            bool cuts = Fires(third & ushort.MaxValue, chance) && t.HoleHeight * t.HoleWidth > 0;
            int rows = (int)image.Height, columns = (int)image.Width;
            int holeTop = StartOf(top, image.Height, t.HoleHeight), holeLeft = StartOf(left, image.Width, t.HoleWidth);
            return new Drawn(
                (double)steep * colorful, steep * (1 - (double)colorful), 1 - (double)steep, added,
                shifts ? ShiftOf(down, t.MostRows) : 0, shifts ? ShiftOf(across, t.MostColumns) : 0,
                cuts ? Math.Clamp(holeTop, 0, rows) : 0, cuts ? Math.Clamp(holeLeft, 0, columns) : 0,
                cuts ? Math.Clamp(holeTop + (int)t.HoleHeight, 0, rows) : 0,
                cuts ? Math.Clamp(holeLeft + (int)t.HoleWidth, 0, columns) : 0);
        }

        public static Drawn Read<TReal>(TReal* row)
            where TReal : unmanaged, INumberBase<TReal> => new(
            double.CreateChecked(row[0]), double.CreateChecked(row[1]), double.CreateChecked(row[2]), double.CreateChecked(row[3]),
            int.CreateChecked(row[4]), int.CreateChecked(row[5]), int.CreateChecked(row[6]), int.CreateChecked(row[7]),
            int.CreateChecked(row[8]), int.CreateChecked(row[9]));

        public void Write<TReal>(TReal* row)
            where TReal : unmanaged, INumberBase<TReal>
        {
            ReadOnlySpan<double> values = [Own, Pixel, Image, Added, Down, Across, Top, Left, Bottom, Right];
            for (int i = 0; i < values.Length; i++) row[i] = TReal.CreateChecked(values[i]);
        }

        /// <summary>
        /// The elements of a row that are taken: from Start to Stop, without those from Hole to Resume. With <paramref name="moved"/> it is
        /// a row of the image that is shifted, not of the one that comes out.
        /// </summary>
        public Taken TakenOf(long row, in ShiftedImageArguments image, bool moved)
        {
            (int down, int across) = moved ? (-Down, -Across) : (Down, Across);
            if (row + down < 0 || row + down >= image.Height || Math.Abs(across) >= image.Width) return default;
            long start = Math.Max(0, -across) * (long)image.Pixel, stop = Math.Min(image.Width, image.Width - across) * (long)image.Pixel;
            long holeRow = moved ? row - Down : row, at = moved ? Across : 0;
            if (holeRow < Top || holeRow >= Bottom) return new Taken(start, stop, stop, stop);
            long hole = Math.Clamp((Left + at) * image.Pixel, start, stop), resume = Math.Clamp((Right + at) * image.Pixel, hole, stop);
            return new Taken(start, hole, resume, stop);
        }

        private static bool Fires(uint bits, float chance) => bits < 65536f * chance;

        private static float Between(uint word, double low, double high) =>
            AugmentKey.Between(AugmentKey.UnitOf(word), (float)low, (float)high);

        private static int ShiftOf(uint word, uint most) => (int)(((ulong)word * ((2 * most) + 1)) >> 32) - (int)most;

        private static int StartOf(uint word, uint side, uint size) =>
            (int)(((ulong)word * (side + 1 - (size % 2))) >> 32) - (int)(size / 2);
    }

    /// <summary>Elements of a row in order: taken from Start to Hole and from Resume to Stop.</summary>
    private readonly record struct Taken(long Start, long Hole, long Resume, long Stop);

    private readonly struct CpuDraw : ICpuKernel<DifferentiableAugmentDrawArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DifferentiableAugmentDrawArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(DifferentiableAugmentDrawArguments a)
            where T : unmanaged
            where TReal : unmanaged, INumberBase<TReal>
        {
            RandomKey key = a.Key.Resolve();
            ulong* ids = a.SampleIds.Pointer<ulong>();
            float chance = a.Probability.IsPresent ? *a.Probability.Pointer<float>() : (float)a.Chance;
            long samples = (long)(a.Groups / a.Parts), run = (long)(a.ShiftedImage.Plane * a.ShiftedImage.Planes);
            CpuParallel.ForRange(samples, Math.Max(1, CpuParallel.ElementsPerChunk / run), (first, end) =>
            {
                for (long sample = first; sample < end; sample++)
                {
                    ulong id = ids != null ? ids[sample] : a.FirstSample + (ulong)sample;
                    Drawn drawn = Drawn.Of(key, id, a.Op, chance, a.ShiftedImage, a.Transform);
                    TReal* row = a.Rows.Pointer<TReal>() + (sample * RowLength);
                    drawn.Write(row);
                    new Span<TReal>(row + RowDrawn, (int)a.Parts).Clear();

                    // Its rounding decides, as a kernel sees it.
                    if (row[2] != TReal.Zero) row[RowDrawn] = Mean<T, TReal>(a.X.Pointer<T>() + (sample * run), drawn, a);
                }
            });
        }

        /// <summary>The mean over an image, or over what of it is taken.</summary>
        private static TReal Mean<T, TReal>(T* image, in Drawn drawn, in DifferentiableAugmentDrawArguments a)
            where T : unmanaged
            where TReal : unmanaged, INumberBase<TReal>
        {
            ShiftedImageArguments shape = a.ShiftedImage;
            Vector512<TReal> sums = Vector512<TReal>.Zero, weight = Vector512.Create(TReal.CreateChecked(a.Weight));
            for (long row = 0; row < shape.Planes * (long)shape.Height; row++)
            {
                T* elements = image + (row * shape.RowLength);
                Taken taken = a.Backward != 0
                    ? drawn.TakenOf(row % shape.Height, shape, moved: false)
                    : new Taken(0, shape.RowLength, shape.RowLength, shape.RowLength);
                Add(elements, taken.Start, taken.Hole, weight, ref sums);
                Add(elements, taken.Resume, taken.Stop, weight, ref sums);
            }

            return Vector512.Sum(sums);
        }

        private static void Add<T, TReal>(T* elements, long start, long stop, Vector512<TReal> weight, ref Vector512<TReal> sums)
            where T : unmanaged
            where TReal : unmanaged
        {
            for (long i = start; i < stop; i += Vector512<TReal>.Count)
            {
                int part = (int)Math.Min(Vector512<TReal>.Count, stop - i);
                sums = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(elements + i, part), weight, sums);
            }
        }
    }

    private readonly struct CpuApply : ICpuKernel<DifferentiableAugmentApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DifferentiableAugmentApplyArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(DifferentiableAugmentApplyArguments a)
            where T : unmanaged
            where TReal : unmanaged, INumberBase<TReal>
        {
            ShiftedImageArguments shape = a.ShiftedImage;
            long samples = (long)(a.Tiles / a.SampleTiles), run = (long)shape.Plane * shape.Planes;
            long chunk = Math.Max(1, CpuParallel.ElementsPerChunk / (shape.RowLength * (long)shape.Planes));
            CpuParallel.ForRange(samples * shape.Height, chunk, (first, end) =>
            {
                for (long i = first; i < end; i++)
                {
                    (long sample, long row) = Math.DivRem(i, shape.Height);
                    TReal* entry = a.Rows.Pointer<TReal>() + (sample * RowLength);
                    RowPass<T, TReal> pass = RowPass<T, TReal>.Of(entry, a);
                    long place = (sample * run) + (row * shape.RowLength);
                    pass.Write(a.X.Pointer<T>() + place, a.Y.Pointer<T>() + place, row);
                }
            });
        }
    }

    /// <summary>A row of an image in all its planes.</summary>
    private readonly struct RowPass<T, TReal>
        where T : unmanaged
        where TReal : unmanaged, INumberBase<TReal>
    {
        private readonly Drawn _drawn;
        private readonly ShiftedImageArguments _shape;
        private readonly bool _moved;
        private readonly bool _plain;
        private readonly TReal _own;
        private readonly TReal _pixel;
        private readonly TReal _rest;
        private readonly TReal _channelWeight;

        private RowPass(TReal* entry, in DifferentiableAugmentApplyArguments a)
        {
            _drawn = Drawn.Read(entry);
            _shape = a.ShiftedImage;
            _moved = a.Backward != 0;
            _own = entry[0];
            _pixel = entry[1];
            _channelWeight = TReal.CreateChecked(a.ChannelWeight);
            TReal mean = TReal.Zero;
            for (uint part = 0; part < a.Parts; part++) mean += entry[RowDrawn + part];
            _rest = _moved ? TReal.Zero : entry[3];
            if (entry[2] != TReal.Zero) _rest = (entry[2] * mean) + _rest;
            _plain = _own == TReal.One && _pixel == TReal.Zero && _rest == TReal.Zero;
        }

        public static RowPass<T, TReal> Of(TReal* entry, in DifferentiableAugmentApplyArguments a) => new(entry, a);

        /// <summary>Both begin at the row's first element in the first plane.</summary>
        public void Write(T* x, T* y, long row)
        {
            Taken taken = _drawn.TakenOf(row, _shape, _moved);
            Leave(y, 0, taken.Start);
            Take(x, y, taken.Start, taken.Hole);
            Leave(y, taken.Hole, taken.Resume);
            Take(x, y, taken.Resume, taken.Stop);
            Leave(y, taken.Stop, _shape.RowLength);
        }

        /// <summary>Where nothing of x comes: zeros, or the gradient of the mean.</summary>
        private void Leave(T* y, long start, long stop)
        {
            T value = _moved ? CpuElement.FromDouble<T>(double.CreateChecked(_rest)) : default;
            for (uint plane = 0; plane < _shape.Planes; plane++)
                new Span<T>(y + (plane * _shape.Plane) + start, (int)(stop - start)).Fill(value);
        }

        private void Take(T* x, T* y, long start, long stop)
        {
            long ahead = (_drawn.Down * (long)_shape.RowLength) + (_drawn.Across * (long)_shape.Pixel);
            x += _moved ? -ahead : ahead;
            if (_plain)
            {
                for (uint plane = 0; plane < _shape.Planes; plane++)
                    CpuRows.Copy(x + (plane * _shape.Plane), y + (plane * _shape.Plane), start, stop);
            }
            else if (_pixel != TReal.Zero && _shape.Pixel > 1)
            {
                for (long i = start; i < stop; i += _shape.Pixel) Mix(x + i, y + i);
            }
            else
            {
                for (long i = start; i < stop; i += Vector512<TReal>.Count)
                    Mix(x + i, y + i, (int)Math.Min(Vector512<TReal>.Count, stop - i));
            }
        }

        /// <summary>A pixel whose channels lie side by side.</summary>
        private void Mix(T* x, T* y)
        {
            TReal mean = TReal.Zero;
            for (uint channel = 0; channel < _shape.Pixel; channel++) mean += Value(x[channel]) * _channelWeight;
            TReal rest = (_pixel * mean) + _rest;
            for (uint channel = 0; channel < _shape.Pixel; channel++)
                y[channel] = CpuElement.FromDouble<T>(double.CreateChecked((_own * Value(x[channel])) + rest));
        }

        /// <summary>Pixels, with their channels in planes.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Mix(T* x, T* y, int count)
        {
            Vector512<TReal> rest = Vector512.Create(_rest), own = Vector512.Create(_own);
            if (_pixel != TReal.Zero)
            {
                Vector512<TReal> mean = Vector512<TReal>.Zero, weight = Vector512.Create(_channelWeight);
                for (uint plane = 0; plane < _shape.Planes; plane++)
                    mean = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(x + (plane * _shape.Plane), count), weight, mean);
                rest = CpuReal.FusedMultiplyAdd(Vector512.Create(_pixel), mean, rest);
            }

            for (uint plane = 0; plane < _shape.Planes; plane++)
            {
                ulong place = plane * _shape.Plane;
                CpuReal.Store(y + place, CpuReal.FusedMultiplyAdd(own, CpuReal.Load<T, TReal>(x + place, count), rest), count);
            }
        }

        private static TReal Value(T value) => TReal.CreateChecked(CpuElement.ToDouble(value));
    }
}
