namespace Kernels.Reference;

/// <summary>What is drawn for a sample; ranges are two numbers, probabilities numbers from 0 to 1, angles degrees.</summary>
public sealed record AugmentDraws
{
    /// <summary>0 the middle, 1 a window, 2 a resized window.</summary>
    public int Crop { get; init; }

    /// <summary>Pixels around the input that a window may reach into.</summary>
    public (int Top, int Bottom, int Left, int Right) Padding { get; init; }

    /// <summary>Share of the area of a resized window.</summary>
    public (double Low, double High) Area { get; init; } = (0.08, 1);

    /// <summary>Width by height of a resized window.</summary>
    public (double Low, double High) Aspect { get; init; } = (0.75, 4.0 / 3);

    /// <summary>Probabilities.</summary>
    public (double Horizontal, double Vertical) Flip { get; init; }

    /// <summary>To the right, in pixels of the output.</summary>
    public (double Low, double High) ShiftX { get; init; }

    /// <summary>Downwards.</summary>
    public (double Low, double High) ShiftY { get; init; }

    /// <summary>Whether shifts are integers.</summary>
    public bool WholeShifts { get; init; }

    /// <summary>Counterclockwise.</summary>
    public (double Low, double High) Rotation { get; init; }

    /// <summary>Enlargement.</summary>
    public (double Low, double High) Scale { get; init; } = (1, 1);

    /// <summary>Along rows.</summary>
    public (double Low, double High) ShearX { get; init; }

    /// <summary>Along columns.</summary>
    public (double Low, double High) ShearY { get; init; }

    /// <summary>Null for a factor that is not changed.</summary>
    public (double Low, double High)?[] Jitter { get; init; } = [null, null, null, null];

    /// <summary>Whether the factors come in a random order.</summary>
    public bool Shuffles { get; init; }

    /// <summary>Bits that are left.</summary>
    public (double Probability, int Bits) Posterize { get; init; }

    /// <summary>A level of 255.</summary>
    public (double Probability, double Threshold) Solarize { get; init; }

    /// <summary>Bounds of the factor.</summary>
    public (double Probability, double Low, double High) Sharpness { get; init; }

    /// <summary>A probability.</summary>
    public double Autocontrast { get; init; }

    /// <summary>A probability.</summary>
    public double Equalize { get; init; }

    /// <summary>A box before it is clipped.</summary>
    public (double Probability, int Height, int Width) Cutout { get; init; }

    /// <summary>A random list of ops, or null.</summary>
    public AutoDraws? Automatic { get; init; }
}

/// <summary>A list of ops for a sample: which may be drawn, in torchvision's order, and what the greatest bin of each is.</summary>
public sealed record AutoDraws(int Count, int? Magnitude, int Bins, int[] Ops)
{
    /// <summary>A tangent.</summary>
    public double Shear { get; init; }

    /// <summary>Pixels.</summary>
    public double X { get; init; }

    /// <summary>Pixels.</summary>
    public double Y { get; init; }

    /// <summary>Of rotation.</summary>
    public double Degrees { get; init; }

    /// <summary>Distance of a factor from 1.</summary>
    public double Factor { get; init; }

    /// <summary>Bits that posterize takes.</summary>
    public double Bits { get; init; }
}

/// <summary>The table of a batch, drawn from the key of (seed, epoch, sample, op).</summary>
public static class AugmentDrawReference
{
    private const int Flip = 1, Crop = 2, Translate = 3, Rotate = 4, Affine = 5, ColorJitter = 6, AutoAugment = 7, Cutout = 8,
        Posterize = 16, Solarize = 17, Equalize = 18, Autocontrast = 19, Sharpness = 20;

    /// <summary>A row for each sample, of <see cref="AugmentReference.TableWidth"/> numbers.</summary>
    public static void Draw(AugmentShape shape, AugmentDraws draws, ulong[] samples, ulong seed, ulong offset, double[] table)
    {
        for (int n = 0; n < samples.Length; n++)
        {
            ulong sample = samples[n];
            Row row = new(shape, draws, (op, draw) => AugmentKeyReference.Draw(seed, offset, sample, (uint)op, (uint)draw));
            row.Numbers().CopyTo(table, n * AugmentReference.TableWidth);
        }
    }

    private sealed class Row(AugmentShape shape, AugmentDraws draws, Func<int, int, uint[]> words)
    {
        private readonly List<(int Code, double Value)> _colors = [];

        public double[] Numbers()
        {
            double[] row = new double[AugmentReference.TableWidth];
            double[] map = CropMap();
            uint[] flip = words(Flip, 0);
            int across = Happens(flip[0], draws.Flip.Horizontal) ? -1 : 1, down = Happens(flip[1], draws.Flip.Vertical) ? -1 : 1;
            map = After(map, [across, 0, 0, 0, down, 0]);
            map = After(map, AffineMap());
            for (int i = 0; i < (draws.Automatic?.Count ?? 0); i++) map = After(map, Automatic(draws.Automatic!, words(AutoAugment, i)));
            Colors();
            map.CopyTo(row, 0);
            row[6] = _colors.Count;
            for (int i = 0; i < _colors.Count; i++) (row[7 + i], row[15 + i]) = _colors[i];
            uint[] box = words(Cutout, 0);
            if (Happens(box[2], draws.Cutout.Probability))
            {
                int top = OneOf(box[0], shape.OutHeight) - (draws.Cutout.Height / 2);
                int left = OneOf(box[1], shape.OutWidth) - (draws.Cutout.Width / 2);
                row[23] = Math.Max(0, top);
                row[24] = Math.Max(0, left);
                row[25] = Math.Min(shape.OutHeight, top + draws.Cutout.Height);
                row[26] = Math.Min(shape.OutWidth, left + draws.Cutout.Width);
            }

            return row;
        }

        private static double[] After(double[] m, double[] first) =>
        [
            (m[0] * first[0]) + (m[1] * first[3]), (m[0] * first[1]) + (m[1] * first[4]), (m[0] * first[2]) + (m[1] * first[5]) + m[2],
            (m[3] * first[0]) + (m[4] * first[3]), (m[3] * first[1]) + (m[4] * first[4]), (m[3] * first[2]) + (m[4] * first[5]) + m[5],
        ];

        private double[] CropMap()
        {
            if (draws.Crop == 1)
            {
                uint[] place = words(Crop, 0);
                (int top, int bottom, int left, int right) = draws.Padding;
                int row = OneOf(place[0], shape.Height + top + bottom - shape.OutHeight + 1) - top;
                int column = OneOf(place[1], shape.Width + left + right - shape.OutWidth + 1) - left;
                return Window(row, column, shape.OutHeight, shape.OutWidth);
            }

            if (draws.Crop != 2) return [1, 0, 0, 0, 1, 0];
            double aspect = (double)shape.Width / shape.Height;
            for (int attempt = 0; attempt < 10; attempt++)
            {
                uint[] drawn = words(Crop, attempt);
                double area = (double)shape.Height * shape.Width * Between(drawn[0], draws.Area);
                double ratio = Math.Exp(Between(drawn[1], (Math.Log(draws.Aspect.Low), Math.Log(draws.Aspect.High))));
                (int w, int h) = ((int)Math.Floor(Math.Sqrt(area * ratio) + 0.5), (int)Math.Floor(Math.Sqrt(area / ratio) + 0.5));
                if (w < 1 || h < 1 || w > shape.Width || h > shape.Height) continue;
                return Window(OneOf(drawn[2], shape.Height - h + 1), OneOf(drawn[3], shape.Width - w + 1), h, w);
            }

            (int rows, int columns) = (shape.Height, shape.Width);
            if (aspect < draws.Aspect.Low) rows = (int)Math.Floor((columns / draws.Aspect.Low) + 0.5);
            if (aspect > draws.Aspect.High) columns = (int)Math.Floor((rows * draws.Aspect.High) + 0.5);
            (double above, double before) = (0.5 * (shape.Height - rows), 0.5 * (shape.Width - columns));
            return Window((int)Math.Floor(above + 0.5), (int)Math.Floor(before + 0.5), rows, columns);
        }

        /// <summary>The map of a window that is stretched to the output, from middle to middle.</summary>
        private double[] Window(int top, int left, int rows, int columns) =>
        [
            (double)columns / shape.OutWidth, 0, left + (0.5 * (columns - shape.Width)),
            0, (double)rows / shape.OutHeight, top + (0.5 * (rows - shape.Height)),
        ];

        private double[] AffineMap()
        {
            (uint[] shift, uint[] turn, uint[] other) = (words(Translate, 0), words(Rotate, 0), words(Affine, 0));
            double x = draws.WholeShifts
                ? draws.ShiftX.Low + OneOf(shift[0], (int)(draws.ShiftX.High - draws.ShiftX.Low) + 1) : Between(shift[0], draws.ShiftX);
            double y = draws.WholeShifts
                ? draws.ShiftY.Low + OneOf(shift[1], (int)(draws.ShiftY.High - draws.ShiftY.Low) + 1) : Between(shift[1], draws.ShiftY);
            double angle = -Radians(Between(turn[0], draws.Rotation)), scale = Between(other[0], draws.Scale);
            double shearX = Radians(Between(other[1], draws.ShearX)), shearY = Radians(Between(other[2], draws.ShearY));

            // Forward: p = R(angle) Sy Sx q, as torchvision composes them, times scale, then the shift.
            double a = Math.Cos(angle - shearY) / Math.Cos(shearY);
            double b = (-a * Math.Tan(shearX)) - Math.Sin(angle);
            double c = Math.Sin(angle - shearY) / Math.Cos(shearY);
            double d = (-c * Math.Tan(shearX)) + Math.Cos(angle);
            double determinant = (a * d) - (b * c);
            double[] inverse = [d / determinant / scale, -b / determinant / scale, -c / determinant / scale, a / determinant / scale];
            return
            [
                inverse[0], inverse[1], -((inverse[0] * x) + (inverse[1] * y)),
                inverse[2], inverse[3], -((inverse[2] * x) + (inverse[3] * y)),
            ];
        }

        private double[] Automatic(AutoDraws policy, uint[] drawn)
        {
            int bin = policy.Magnitude ?? OneOf(drawn[1], policy.Bins);
            double strength = (double)bin / (policy.Bins - 1), sign = drawn[2] >= 0x80000000u ? -1 : 1;
            double shear = sign * strength * policy.Shear, angle = Radians(sign * strength * policy.Degrees);
            double factor = 1 + (sign * strength * policy.Factor);
            switch (policy.Ops[OneOf(drawn[0], policy.Ops.Length)])
            {
                case 1: return [1, shear, shear * 0.5 * shape.OutHeight, 0, 1, 0];
                case 2: return [1, 0, 0, shear, 1, shear * 0.5 * shape.OutWidth];
                case 3: return [1, 0, -sign * Math.Truncate(strength * policy.X), 0, 1, 0];
                case 4: return [1, 0, 0, 0, 1, -sign * Math.Truncate(strength * policy.Y)];
                case 5: return [Math.Cos(angle), -Math.Sin(angle), 0, Math.Sin(angle), Math.Cos(angle), 0];
                case 6: _colors.Add((1, factor)); break;
                case 7: _colors.Add((3, factor)); break;
                case 8: _colors.Add((2, factor)); break;
                case 9: _colors.Add((9, factor)); break;
                case 10: _colors.Add((5, 8 - Math.Floor((strength * policy.Bits) + 0.5))); break;
                case 11: _colors.Add((6, 255 * (1 - strength))); break;
                case 12: _colors.Add((8, 0)); break;
                case 13: _colors.Add((7, 0)); break;
                default: break;
            }

            return [1, 0, 0, 0, 1, 0];
        }

        private void Colors()
        {
            int[] order = [0, 1, 2, 3];
            (uint[] values, uint[] places) = (words(ColorJitter, 0), words(ColorJitter, 1));
            for (int last = 3; draws.Shuffles && last > 0; last--)
            {
                int other = OneOf(places[last], last + 1);
                (order[last], order[other]) = (order[other], order[last]);
            }

            foreach (int op in order)
            {
                if (draws.Jitter[op] is { } range) _colors.Add((op + 1, Between(values[op], range)));
            }

            if (Happens(words(Posterize, 0)[0], draws.Posterize.Probability)) _colors.Add((5, draws.Posterize.Bits));
            if (Happens(words(Solarize, 0)[0], draws.Solarize.Probability)) _colors.Add((6, draws.Solarize.Threshold));
            uint[] sharp = words(Sharpness, 0);
            if (Happens(sharp[0], draws.Sharpness.Probability))
                _colors.Add((9, Between(sharp[1], (draws.Sharpness.Low, draws.Sharpness.High))));
            if (Happens(words(Autocontrast, 0)[0], draws.Autocontrast)) _colors.Add((8, 0));
            if (Happens(words(Equalize, 0)[0], draws.Equalize)) _colors.Add((7, 0));
        }

        /// <summary>24 bits of a word as a number in [0, 1), stretched to the range.</summary>
        private static double Between(uint word, (double Low, double High) range) =>
            range.Low + ((range.High - range.Low) * AugmentKeyReference.Unit(word));

        private static int OneOf(uint word, int count) => (int)(((ulong)word * (ulong)count) >> 32);

        private static bool Happens(uint word, double probability) => word < Math.Round(probability * 4294967296.0);

        private static double Radians(double degrees) => degrees * Math.PI / 180;
    }
}
