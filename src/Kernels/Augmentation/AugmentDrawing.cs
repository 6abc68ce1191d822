namespace Kernels;

/// <summary>Policies as the kernel that draws takes them (<c>augment_table.cl</c>).</summary>
internal static class AugmentDrawing
{
    private const double Circle = 360;

    /// <summary>A bit for each op of a policy, in torchvision's order: identity, five maps, eight colours.</summary>
    private const uint AllOps = (1 << 14) - 1, SolarizeOp = 1 << 11, EqualizeOp = 1 << 13, ColorOp = 1 << 7;

    /// <summary>A probability as what 32 random bits are held against.</summary>
    public static ulong Threshold(double probability) => (ulong)Math.Round(probability * 4294967296.0);

    public static DrawCropArguments Crop(AugmentPolicy policy, Size2d input, Size2d output)
    {
        Padding2d padding = policy.Padding;
        bool isWindow = policy.Crop == AugmentCrop.Window;
        return new DrawCropArguments
        {
            Crop = (uint)policy.Crop,
            CropRows = isWindow ? (uint)(input.Height + padding.Top + padding.Bottom - output.Height + 1) : 1,
            CropColumns = isWindow ? (uint)(input.Width + padding.Left + padding.Right - output.Width + 1) : 1,

            // From the middle of the input to that of the first window.
            CropTop = (0.5 * (output.Height - input.Height)) - padding.Top,
            CropLeft = (0.5 * (output.Width - input.Width)) - padding.Left,
            AreaLow = policy.Area.Low,
            AreaHigh = policy.Area.High,
            AspectLow = Math.Log(policy.Aspect.Low),
            AspectHigh = Math.Log(policy.Aspect.High),
        };
    }

    public static DrawAffineArguments Affine(AugmentPolicy policy) => new()
    {
        ShiftXLow = policy.ShiftX.Low,
        ShiftXHigh = policy.ShiftX.High,
        ShiftYLow = policy.ShiftY.Low,
        ShiftYHigh = policy.ShiftY.High,
        WholeShifts = policy.WholeShifts ? 1u : 0,
        AngleLow = policy.Rotation.Low / Circle,
        AngleHigh = policy.Rotation.High / Circle,
        ScaleLow = policy.Scale.Low,
        ScaleHigh = policy.Scale.High,
        ShearXLow = policy.ShearX.Low / Circle,
        ShearXHigh = policy.ShearX.High / Circle,
        ShearYLow = policy.ShearY.Low / Circle,
        ShearYHigh = policy.ShearY.High / Circle,
    };

    /// <summary>One channel has no colour to turn up or down.</summary>
    public static DrawAutoArguments Auto(AutoAugmentPolicy? policy, Size2d output, int channels)
    {
        if (policy is null) return default;
        (double shear, double x, double y, double degrees, double factor, double bits) = policy.Space switch
        {
            AugmentSpace.RandAugment => (0.3, 150.0 / 331 * output.Width, 150.0 / 331 * output.Height, 30, 0.9, 4),
            AugmentSpace.TrivialAugmentWide => (0.99, Math.Min(32, 0.75 * output.Width), Math.Min(32, 0.75 * output.Height), 135, 0.99, 6),
            _ => (0.2, output.Width / 8.0, output.Height / 8.0, 15.0, 0.5, 4.0),
        };
        uint ops = policy.Space == AugmentSpace.Narrow ? AllOps & ~(SolarizeOp | EqualizeOp) : AllOps;
        return new DrawAutoArguments
        {
            Automatic = policy.Magnitude is null ? 2u : 1,
            AutoOps = channels == 1 ? ops & ~ColorOp : ops,
            AutoCount = (uint)policy.Ops,
            Magnitude = (uint)(policy.Magnitude ?? 0),
            Bins = (uint)policy.Bins,
            MostShear = shear,
            MostX = x,
            MostY = y,
            MostAngle = degrees / Circle,
            MostFactor = factor,
            MostBits = bits,
        };
    }

    public static DrawColorArguments Color(AugmentPolicy policy)
    {
        uint jitter = (policy.HasBrightness ? 1u : 0) | (policy.HasContrast ? 2u : 0) | (policy.HasSaturation ? 4u : 0)
            | (policy.HasHue ? 8u : 0);
        return new DrawColorArguments
        {
            Jitter = jitter | (policy.ShufflesColors && jitter != 0 ? 16u : 0),
            BrightnessLow = policy.Brightness.Low,
            BrightnessHigh = policy.Brightness.High,
            ContrastLow = policy.Contrast.Low,
            ContrastHigh = policy.Contrast.High,
            SaturationLow = policy.Saturation.Low,
            SaturationHigh = policy.Saturation.High,
            HueLow = policy.Hue.Low,
            HueHigh = policy.Hue.High,
            Posterize = Threshold(policy.Posterize),
            Bits = policy.PosterizeBits,
            Solarize = Threshold(policy.Solarize),
            Threshold = policy.SolarizeThreshold,
            Sharpness = Threshold(policy.Sharpness),
            SharpnessLow = policy.SharpnessFactor.Low,
            SharpnessHigh = policy.SharpnessFactor.High,
            Autocontrast = Threshold(policy.Autocontrast),
            Equalize = Threshold(policy.Equalize),
        };
    }

    public static DrawBoxArguments Box(AugmentPolicy policy) => new()
    {
        Cutout = Threshold(policy.Cutout),
        CutoutHeight = (uint)policy.CutoutSize.Height,
        CutoutWidth = (uint)policy.CutoutSize.Width,
    };
}
