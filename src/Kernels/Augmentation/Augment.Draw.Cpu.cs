using System.Numerics;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Augment
{
    /// <summary>A thread draws rows, not one.</summary>
    private const long RowsPerChunk = 256;

    /// <summary>Places in a row (<c>augment_image.h</c>).</summary>
    private const int CountPlace = 6, CodePlace = 7, ValuePlace = 15, BoxPlace = 23;

    /// <summary>Codes of colour ops.</summary>
    private const int Brightness = 1, Contrast = 2, Saturation = 3, Hue = 4, Posterize = 5, Solarize = 6, Equalize = 7, Autocontrast = 8,
        Sharpness = 9;

    private static void CpuDraw(in KernelVariant variant, in AugmentTableArguments arguments)
    {
        AugmentTableArguments a = arguments;
        RandomKey call = a.Key.Resolve();
        CpuParallel.ForRange((long)a.Samples, RowsPerChunk, (first, end) =>
        {
            ulong* ids = a.SampleIds.Pointer<ulong>();
            for (long i = first; i < end; i++)
            {
                Sample sample = new(call, ids == null ? a.FirstSample + (ulong)i : ids[i]);
                DrawRow(a, sample, a.Table.Pointer<float>() + (i * TableWidth));
            }
        });
    }

    private static void DrawRow(in AugmentTableArguments a, Sample sample, float* row)
    {
        new Span<float>(row, TableWidth).Clear();
        AffineMap map = new(1, 0, 0, 0, 1, 0);
        if (a.DrawCrop.Crop == (uint)AugmentCrop.Window)
        {
            (uint w0, uint w1, _, _) = sample.Draw(AugmentKey.Crop);
            map = map with
            {
                F = OneOf(w0, a.DrawCrop.CropRows) + (float)a.DrawCrop.CropTop,
                C = OneOf(w1, a.DrawCrop.CropColumns) + (float)a.DrawCrop.CropLeft,
            };
        }
        else if (a.DrawCrop.Crop == (uint)AugmentCrop.Resized)
        {
            map = ResizedWindow(a, sample);
        }

        (uint across, uint down, _, _) = sample.Draw(AugmentKey.Flip);
        map = map.After(new AffineMap(across < a.FlipHorizontal ? -1 : 1, 0, 0, 0, down < a.FlipVertical ? -1 : 1, 0));
        map = map.After(AffineOf(sample, a.DrawAffine));
        for (uint number = 0; a.DrawAuto.Automatic != 0 && number < a.DrawAuto.AutoCount; number++)
            map = AutomaticOp(a, sample, map, row, number);
        (row[0], row[1], row[2], row[3], row[4], row[5]) = (map.A, map.B, map.C, map.D, map.E, map.F);
        DrawColors(a.DrawColor, sample, row);
        DrawBox(a, sample, row);
    }

    private static void DrawColors(in DrawColorArguments a, Sample sample, float* row)
    {
        if (a.Jitter != 0) JitterColors(a, sample, row);
        if (sample.Draw(AugmentKey.Posterize).W0 < a.Posterize) Append(row, Posterize, (float)a.Bits);
        if (sample.Draw(AugmentKey.Solarize).W0 < a.Solarize) Append(row, Solarize, (float)a.Threshold);
        (uint happens, uint factor, _, _) = sample.Draw(AugmentKey.Sharpness);
        if (happens < a.Sharpness) Append(row, Sharpness, Between(factor, a.SharpnessLow, a.SharpnessHigh));
        if (sample.Draw(AugmentKey.AutoContrast).W0 < a.Autocontrast) Append(row, Autocontrast, 0);
        if (sample.Draw(AugmentKey.Equalize).W0 < a.Equalize) Append(row, Equalize, 0);
    }

    private static void DrawBox(in AugmentTableArguments a, Sample sample, float* row)
    {
        (uint w0, uint w1, uint happens, _) = sample.Draw(AugmentKey.Cutout);
        if (happens >= a.DrawBox.Cutout) return;
        long top = OneOf(w0, a.OutHeight) - (long)(a.DrawBox.CutoutHeight / 2);
        long left = OneOf(w1, a.OutWidth) - (long)(a.DrawBox.CutoutWidth / 2);
        row[BoxPlace] = Math.Max(0, top);
        row[BoxPlace + 1] = Math.Max(0, left);
        row[BoxPlace + 2] = Math.Min(a.OutHeight, top + a.DrawBox.CutoutHeight);
        row[BoxPlace + 3] = Math.Min(a.OutWidth, left + a.DrawBox.CutoutWidth);
    }

    private static void Append(float* row, int code, float value)
    {
        int count = (int)row[CountPlace];
        if (count >= MostColors) return;
        row[CodePlace + count] = code;
        row[ValuePlace + count] = value;
        row[CountPlace] = count + 1;
    }

    private static AffineMap ResizedWindow(in AugmentTableArguments a, Sample sample)
    {
        DrawCropArguments crop = a.DrawCrop;
        (float rows, float columns) = (a.Height, a.Width);
        (float low, float high) = ((float)crop.AspectLow, (float)crop.AspectHigh);
        float aspect = Log(columns / rows), h = rows, w = columns;
        if (aspect < low) h = Whole(columns * Exp(-low));
        if (aspect > high) w = Whole(rows * Exp(high));
        float top = Whole(0.5f * (rows - h)), left = Whole(0.5f * (columns - w));
        for (uint attempt = 0; attempt < 10; attempt++)
        {
            (uint w0, uint w1, uint w2, uint w3) = sample.Draw(AugmentKey.Crop, attempt);
            float area = Log(rows * columns * Between(w0, crop.AreaLow, crop.AreaHigh));
            float tried = Between(w1, crop.AspectLow, crop.AspectHigh);
            (float triedWidth, float triedHeight) = (Whole(Exp(0.5f * (area + tried))), Whole(Exp(0.5f * (area - tried))));
            if (!(triedWidth >= 1 && triedWidth <= columns && triedHeight >= 1 && triedHeight <= rows)) continue;
            (w, h) = (triedWidth, triedHeight);
            top = OneOf(w2, a.Height - (uint)h + 1);
            left = OneOf(w3, a.Width - (uint)w + 1);
            break;
        }

        return new AffineMap(
            w / a.OutWidth, 0, MathF.FusedMultiplyAdd(0.5f, w - columns, left),
            0, h / a.OutHeight, MathF.FusedMultiplyAdd(0.5f, h - rows, top));
    }

    private static AffineMap AffineOf(Sample sample, in DrawAffineArguments a)
    {
        (uint shiftX, uint shiftY, _, _) = sample.Draw(AugmentKey.Translate);
        uint turn = sample.Draw(AugmentKey.Rotate).W0;
        (uint size, uint alongX, uint alongY, _) = sample.Draw(AugmentKey.Affine);
        float x = Between(shiftX, a.ShiftXLow, a.ShiftXHigh), y = Between(shiftY, a.ShiftYLow, a.ShiftYHigh);
        if (a.WholeShifts != 0)
        {
            x = (float)a.ShiftXLow + OneOf(shiftX, (uint)((float)a.ShiftXHigh - (float)a.ShiftXLow) + 1);
            y = (float)a.ShiftYLow + OneOf(shiftY, (uint)((float)a.ShiftYHigh - (float)a.ShiftYLow) + 1);
        }

        uint angle = 0 - TurnOf(Between(turn, a.AngleLow, a.AngleHigh));
        uint shearX = TurnOf(Between(alongX, a.ShearXLow, a.ShearXHigh));
        uint shearY = TurnOf(Between(alongY, a.ShearYLow, a.ShearYHigh));
        (float c, float s) = CosSin(angle);
        (float cLess, float sLess) = CosSin(angle - shearY);
        (float cX, float sX) = CosSin(shearX);
        float cY = CosSin(shearY).Cos, scale = Between(size, a.ScaleLow, a.ScaleHigh), tangent = sX / cX;
        float ma = cLess / cY, md = sLess / cY;
        AffineMap map = new(
            MathF.FusedMultiplyAdd(-md, tangent, c) / scale, MathF.FusedMultiplyAdd(ma, tangent, s) / scale, 0, -md / scale, ma / scale, 0);
        return map with
        {
            C = -MathF.FusedMultiplyAdd(map.A, x, map.B * y),
            F = -MathF.FusedMultiplyAdd(map.D, x, map.E * y),
        };
    }

    private static AffineMap AutomaticOp(in AugmentTableArguments a, Sample sample, AffineMap map, float* row, uint number)
    {
        DrawAutoArguments policy = a.DrawAuto;
        (uint w0, uint w1, uint w2, _) = sample.Draw(AugmentKey.AutoAugment, number);
        uint ops = policy.AutoOps;
        for (uint left = OneOf(w0, (uint)BitOperations.PopCount(ops)); left > 0; left--) ops &= ops - 1;
        uint bin = policy.Automatic == 2 ? OneOf(w1, policy.Bins) : policy.Magnitude;
        float strength = (float)bin / (policy.Bins - 1), sign = w2 >> 31 != 0 ? -1 : 1;
        float middleX = 0.5f * a.OutWidth, middleY = 0.5f * a.OutHeight, shear = sign * strength * (float)policy.MostShear;
        float factor = MathF.FusedMultiplyAdd(sign * strength, (float)policy.MostFactor, 1);
        switch (BitOperations.TrailingZeroCount(ops))
        {
            case 1: return map.After(new AffineMap(1, shear, shear * middleY, 0, 1, 0));
            case 2: return map.After(new AffineMap(1, 0, 0, shear, 1, shear * middleX));
            case 3: return map.After(new AffineMap(1, 0, -sign * MathF.Truncate(strength * (float)policy.MostX), 0, 1, 0));
            case 4: return map.After(new AffineMap(1, 0, 0, 0, 1, -sign * MathF.Truncate(strength * (float)policy.MostY)));
            case 5:
                (float c, float s) = CosSin(0 - TurnOf(sign * strength * (float)policy.MostAngle));
                return map.After(new AffineMap(c, s, 0, -s, c, 0));
            case 6: Append(row, Brightness, factor); break;
            case 7: Append(row, Saturation, factor); break;
            case 8: Append(row, Contrast, factor); break;
            case 9: Append(row, Sharpness, factor); break;
            case 10: Append(row, Posterize, 8 - Whole(strength * (float)policy.MostBits)); break;
            case 11: Append(row, Solarize, 255 * (1 - strength)); break;
            case 12: Append(row, Autocontrast, 0); break;
            case 13: Append(row, Equalize, 0); break;
        }

        return map;
    }

    private static void JitterColors(in DrawColorArguments a, Sample sample, float* row)
    {
        (uint w0, uint w1, uint w2, uint w3) = sample.Draw(AugmentKey.ColorJitter);
        (_, uint o1, uint o2, uint o3) = sample.Draw(AugmentKey.ColorJitter, 1);
        Span<int> places = [0, 1, 2, 3];
        Span<uint> orders = [0, o1, o2, o3];
        for (int last = 3; (a.Jitter & 16) != 0 && last > 0; last--)
        {
            int other = (int)OneOf(orders[last], (uint)last + 1);
            (places[last], places[other]) = (places[other], places[last]);
        }

        foreach (int op in places)
        {
            if ((a.Jitter >> op & 1) == 0) continue;
            switch (op)
            {
                case 0: Append(row, Brightness, Between(w0, a.BrightnessLow, a.BrightnessHigh)); break;
                case 1: Append(row, Contrast, Between(w1, a.ContrastLow, a.ContrastHigh)); break;
                case 2: Append(row, Saturation, Between(w2, a.SaturationLow, a.SaturationHigh)); break;
                default: Append(row, Hue, Between(w3, a.HueLow, a.HueHigh)); break;
            }
        }
    }

    private static float Between(uint word, double low, double high) =>
        AugmentKey.Between(AugmentKey.UnitOf(word), (float)low, (float)high);

    /// <summary>An integer from 0 to <paramref name="count"/> - 1.</summary>
    private static uint OneOf(uint word, uint count) => (uint)(((ulong)word * count) >> 32);

    private static float Whole(float value) => MathF.Floor(value + 0.5f);

    private static uint TurnOf(float circle)
    {
        float part = circle - MathF.Floor(circle);
        return part < 1 ? (uint)(part * 4294967296.0f) : 0;
    }

    private static float Log(float x) => CpuMath.Log(Vector512.Create(x))[0];

    private static float Exp(float x) => CpuMath.Exp(Vector512.Create(x))[0];

    private static (float Cos, float Sin) CosSin(uint turn)
    {
        CpuMath.CosSin(Vector512.Create(turn), out Vector512<float> cosine, out Vector512<float> sine);
        return (cosine[0], sine[0]);
    }

    /// <summary>A sample of a call, and what is drawn for it.</summary>
    private readonly record struct Sample(RandomKey Call, ulong Number)
    {
        public (uint W0, uint W1, uint W2, uint W3) Draw(uint op, uint draw = 0) => AugmentKey.Draw(Call, Number, op, draw);
    }

    /// <summary>From the output to the input, both seen from their middles: x = A u + B v + C, y = D u + E v + F.</summary>
    private readonly record struct AffineMap(float A, float B, float C, float D, float E, float F)
    {
        /// <summary>First the given map, then this one.</summary>
        public AffineMap After(AffineMap first) => new(
            MathF.FusedMultiplyAdd(A, first.A, B * first.D),
            MathF.FusedMultiplyAdd(A, first.B, B * first.E),
            MathF.FusedMultiplyAdd(A, first.C, MathF.FusedMultiplyAdd(B, first.F, C)),
            MathF.FusedMultiplyAdd(D, first.A, E * first.D),
            MathF.FusedMultiplyAdd(D, first.B, E * first.E),
            MathF.FusedMultiplyAdd(D, first.C, MathF.FusedMultiplyAdd(E, first.F, F)));
    }
}
