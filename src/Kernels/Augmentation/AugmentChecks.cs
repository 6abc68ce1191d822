using Kernels.Devices;

namespace Kernels;

/// <summary>The preconditions of policies, each once.</summary>
internal static class AugmentChecks
{
    /// <summary>Numbers of samples: a tensor of one for each, or none.</summary>
    public static void SampleIds(string op, DeviceStream stream, DeviceTensor<ulong>? sampleIds, long batch)
    {
        if (sampleIds is null) return;
        Check.Tensor(op, stream, sampleIds, nameof(sampleIds));
        Check.Shape(op, sampleIds, nameof(sampleIds), batch);
    }

    /// <summary>Height and width of images that have pixels.</summary>
    public static void Size(string op, Size2d size, string name)
    {
        if (size.Height is < 1 or > AugmentImages.LongestSide || size.Width is < 1 or > AugmentImages.LongestSide)
            throw new ArgumentOutOfRangeException(name, size, $"{op}: {name} is {size}; a side has 1 to 2^20 pixels.");
    }

    /// <summary>Two finite bounds in order, both no less than a minimum and no more than a maximum.</summary>
    public static void Range(
        string op, AugmentRange range, string name, double minimum = double.MinValue, double maximum = double.MaxValue)
    {
        if (!double.IsFinite(range.Low) || !double.IsFinite(range.High) || !(range.Low <= range.High))
            throw new ArgumentOutOfRangeException(name, range, $"{op}: {name} is a finite lower and a finite upper bound, in this order.");
        if (!(range.Low >= minimum && range.High <= maximum))
            throw new ArgumentOutOfRangeException(name, range, $"{op}: {name} lies in [{minimum}, {maximum}].");
    }

    /// <summary>A policy for images of these sizes and channels.</summary>
    public static void Policy(string op, AugmentPolicy policy, Size2d input, Size2d output, long channels)
    {
        if (policy is null) throw new ArgumentNullException(nameof(policy), $"{op}: policy is null.");
        const double MostShift = 1 << 20;
        Geometry(op, policy, input, output);
        Range(op, policy.ShiftX, nameof(policy.ShiftX), -MostShift, MostShift);
        Range(op, policy.ShiftY, nameof(policy.ShiftY), -MostShift, MostShift);
        if (policy.WholeShifts && !(IsWhole(policy.ShiftX) && IsWhole(policy.ShiftY)))
        {
            throw new ArgumentException(
                $"{op}: shifts of whole pixels have whole bounds, not {policy.ShiftX} and {policy.ShiftY}.", nameof(policy));
        }

        Range(op, policy.Rotation, nameof(policy.Rotation), -3600, 3600);
        Range(op, policy.Scale, nameof(policy.Scale), 1e-3, 1e3);
        Range(op, policy.ShearX, nameof(policy.ShearX), -89, 89);
        Range(op, policy.ShearY, nameof(policy.ShearY), -89, 89);
        Range(op, policy.Brightness, nameof(policy.Brightness), 0);
        Range(op, policy.Contrast, nameof(policy.Contrast), 0);
        Range(op, policy.Saturation, nameof(policy.Saturation), 0);
        Range(op, policy.Hue, nameof(policy.Hue), -0.5, 0.5);
        Range(op, policy.SharpnessFactor, nameof(policy.SharpnessFactor), 0);
        Check.Probability(op, policy.HorizontalFlip, nameof(policy.HorizontalFlip));
        Check.Probability(op, policy.VerticalFlip, nameof(policy.VerticalFlip));
        Check.Probability(op, policy.Posterize, nameof(policy.Posterize));
        Check.Probability(op, policy.Solarize, nameof(policy.Solarize));
        Check.Probability(op, policy.Sharpness, nameof(policy.Sharpness));
        Check.Probability(op, policy.Autocontrast, nameof(policy.Autocontrast));
        Check.Probability(op, policy.Equalize, nameof(policy.Equalize));
        Check.Probability(op, policy.Cutout, nameof(policy.Cutout));
        if (policy.PosterizeBits is < 1 or > 8)
            throw new ArgumentOutOfRangeException(nameof(policy.PosterizeBits), policy.PosterizeBits, $"{op}: 1 to 8 bits are left.");
        if (!(policy.SolarizeThreshold is >= 0 and <= 256))
        {
            throw new ArgumentOutOfRangeException(
                nameof(policy.SolarizeThreshold), policy.SolarizeThreshold, $"{op}: the threshold lies in [0, 256].");
        }

        if (policy.CutoutSize.Height is < 0 or > int.MaxValue || policy.CutoutSize.Width is < 0 or > int.MaxValue)
        {
            throw new ArgumentOutOfRangeException(
                nameof(policy.CutoutSize), policy.CutoutSize, $"{op}: a box has 0 to 2^31 - 1 rows and columns.");
        }

        Colors(op, policy, channels);
    }

    private static void Geometry(string op, AugmentPolicy policy, Size2d input, Size2d output)
    {
        Check.Defined(op, policy.Crop, nameof(policy.Crop));
        Padding2d padding = policy.Padding;
        const long MostPadding = 1 << 20;
        if (padding.Top is < 0 or > MostPadding || padding.Bottom is < 0 or > MostPadding || padding.Left is < 0 or > MostPadding
            || padding.Right is < 0 or > MostPadding)
        {
            throw new ArgumentOutOfRangeException(nameof(policy.Padding), padding, $"{op}: a side has 0 to 2^20 pixels of padding.");
        }

        if (policy.Crop == AugmentCrop.Window
            && (output.Height > input.Height + padding.Top + padding.Bottom || output.Width > input.Width + padding.Left + padding.Right))
        {
            throw new ArgumentException(
                $"{op}: a window of {output} does not fit into images of {input} with the padding {padding}.", nameof(policy));
        }

        Range(op, policy.Area, nameof(policy.Area), 1e-9, 1);
        Range(op, policy.Aspect, nameof(policy.Aspect), 1e-6, 1e6);
    }

    private static void Colors(string op, AugmentPolicy policy, long channels)
    {
        if (policy.Automatic is { } automatic)
        {
            Check.Defined(op, automatic.Space, nameof(automatic.Space));
            if (automatic.Ops is < 1 or > Augment.MostColors)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(automatic.Ops), automatic.Ops, $"{op}: a list has 1 to {Augment.MostColors} ops.");
            }

            if (automatic.Bins is < 2 or > 1 << 20)
                throw new ArgumentOutOfRangeException(nameof(automatic.Bins), automatic.Bins, $"{op}: there are 2 to 2^20 bins.");
            if (automatic.Magnitude is { } magnitude && (magnitude < 0 || magnitude >= automatic.Bins))
            {
                throw new ArgumentOutOfRangeException(
                    nameof(automatic.Magnitude), magnitude, $"{op}: a magnitude is one of {automatic.Bins} bins, counted from 0.");
            }
        }

        if (policy.MostColors > Augment.MostColors)
        {
            throw new ArgumentException(
                $"{op}: the policy may draw {policy.MostColors} colour ops for a sample; {Augment.MostColors} is the most.",
                nameof(policy));
        }

        if (policy.MostColors > 0 && channels is not (1 or 3))
        {
            throw new ArgumentException(
                $"{op}: colour ops are for images of 1 or 3 channels; these have {channels}.", nameof(policy));
        }

        if (channels == 1 && (policy.HasHue || policy.HasSaturation))
        {
            throw new ArgumentException(
                $"{op}: one channel has neither hue nor saturation; the policy asks for hue {policy.Hue}, saturation {policy.Saturation}.",
                nameof(policy));
        }
    }

    private static bool IsWhole(AugmentRange range) => Math.Floor(range.Low) == range.Low && Math.Floor(range.High) == range.High;
}
