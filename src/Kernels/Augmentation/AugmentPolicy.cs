namespace Kernels;

/// <summary>What part of an image becomes the output.</summary>
public enum AugmentCrop
{
    /// <summary>The middle, at the input's scale.</summary>
    Center,

    /// <summary>A window of the output's size at a random place of the padded input.</summary>
    Window,

    /// <summary>A window of random area and aspect, stretched to the output's size (Inception's crop).</summary>
    Resized,
}

/// <summary>Sets of ops and of their greatest magnitudes for <see cref="AutoAugment"/>.</summary>
public enum AugmentSpace
{
    /// <summary>RandAugment's: shear 0.3, shift 150/331 of a side, 30 degrees, factors 1 +- 0.9, 4 of 8 bits, solarize down to 0.</summary>
    RandAugment,

    /// <summary>
    /// TrivialAugment's wide one: shear 0.99, shift 32 pixels, 135 degrees, factors 1 +- 0.99, 2 of 8 bits. A shift is at most 3/4 of a
    /// side, so that something is left of small images.
    /// </summary>
    TrivialAugmentWide,

    /// <summary>
    /// For small images: shear 0.2, shift 1/8 of a side, 15 degrees, factors 1 +- 0.5, 4 of 8 bits; neither solarize nor equalize.
    /// </summary>
    Narrow,
}

/// <summary>A random list of ops for each sample.</summary>
/// <param name="Ops">Ops of a list, drawn with replacement.</param>
/// <param name="Magnitude">The bin of all of them, or null for one of its own for each.</param>
/// <param name="Bins">Bins from no effect to the greatest.</param>
/// <param name="Space">Which ops, and how strong the greatest bin is.</param>
public sealed record AutoAugmentPolicy(int Ops, int? Magnitude, int Bins, AugmentSpace Space)
{
    /// <summary>RandAugment: two ops of magnitude 9 of 31 (Cubuk, Zoph, Shlens and Le, NeurIPS 2020).</summary>
    public static AutoAugmentPolicy RandAugment { get; } = new(2, 9, 31, AugmentSpace.RandAugment);

    /// <summary>TrivialAugment: one op, any magnitude of 31 (Müller and Hutter, ICCV 2021).</summary>
    public static AutoAugmentPolicy TrivialAugment { get; } = new(1, null, 31, AugmentSpace.TrivialAugmentWide);
}

/// <summary>What is drawn for each sample of <see cref="Augment"/>, in the order in which an image sees it; by default nothing.</summary>
public sealed record AugmentPolicy
{
    /// <summary>What part of the image is taken.</summary>
    public AugmentCrop Crop { get; init; }

    /// <summary>Pixels around the input that a <see cref="AugmentCrop.Window"/> may reach into.</summary>
    public Padding2d Padding { get; init; }

    /// <summary>The share of the image's area that a <see cref="AugmentCrop.Resized"/> window has.</summary>
    public AugmentRange Area { get; init; } = (0.08, 1);

    /// <summary>Width by height of a <see cref="AugmentCrop.Resized"/> window, uniform in its logarithm.</summary>
    public AugmentRange Aspect { get; init; } = (3.0 / 4, 4.0 / 3);

    /// <summary>The probability that left and right change places.</summary>
    public double HorizontalFlip { get; init; }

    /// <summary>The probability that top and bottom change places.</summary>
    public double VerticalFlip { get; init; }

    /// <summary>To the right, in pixels of the output.</summary>
    public AugmentRange ShiftX { get; init; }

    /// <summary>Downwards, in pixels of the output.</summary>
    public AugmentRange ShiftY { get; init; }

    /// <summary>Whether shifts are whole pixels, each as likely; the bounds are then whole, too.</summary>
    public bool WholeShifts { get; init; }

    /// <summary>Counterclockwise, in degrees.</summary>
    public AugmentRange Rotation { get; init; }

    /// <summary>Enlargement.</summary>
    public AugmentRange Scale { get; init; } = 1;

    /// <summary>Shear along rows, in degrees.</summary>
    public AugmentRange ShearX { get; init; }

    /// <summary>Shear along columns, in degrees.</summary>
    public AugmentRange ShearY { get; init; }

    /// <summary>A list of ops by chance, after all above and before the colours below; null for none.</summary>
    public AutoAugmentPolicy? Automatic { get; init; }

    /// <summary>Factor of brightness.</summary>
    public AugmentRange Brightness { get; init; } = 1;

    /// <summary>Factor of the distance from the image's mean grey.</summary>
    public AugmentRange Contrast { get; init; } = 1;

    /// <summary>Factor of the distance from the pixel's grey.</summary>
    public AugmentRange Saturation { get; init; } = 1;

    /// <summary>Turn of the hue, in parts of a circle, from -0.5 to 0.5.</summary>
    public AugmentRange Hue { get; init; }

    /// <summary>Whether brightness, contrast, saturation and hue come in a random order.</summary>
    public bool ShufflesColors { get; init; }

    /// <summary>The probability that only <see cref="PosterizeBits"/> of eight bits are left.</summary>
    public double Posterize { get; init; }

    /// <summary>Bits that are left, 1 to 8.</summary>
    public int PosterizeBits { get; init; } = 4;

    /// <summary>The probability that values from <see cref="SolarizeThreshold"/> on are inverted.</summary>
    public double Solarize { get; init; }

    /// <summary>A level, 0 to 256, of 255.</summary>
    public double SolarizeThreshold { get; init; } = 128;

    /// <summary>The probability of <see cref="SharpnessFactor"/>.</summary>
    public double Sharpness { get; init; }

    /// <summary>Factor of the distance from the mean of the neighbours.</summary>
    public AugmentRange SharpnessFactor { get; init; } = 1;

    /// <summary>The probability that each channel is stretched from black to white.</summary>
    public double Autocontrast { get; init; }

    /// <summary>The probability that each channel's levels become equally likely.</summary>
    public double Equalize { get; init; }

    /// <summary>The probability that a box is erased.</summary>
    public double Cutout { get; init; }

    /// <summary>Rows and columns of the box, before it is clipped at the borders.</summary>
    public Size2d CutoutSize { get; init; }

    internal bool HasBrightness => Brightness != 1;

    internal bool HasContrast => Contrast != 1;

    internal bool HasSaturation => Saturation != 1;

    internal bool HasHue => Hue != 0;

    /// <summary>Colour ops that a row may have.</summary>
    internal int MostColors => (Automatic?.Ops ?? 0) + One(HasBrightness) + One(HasContrast) + One(HasSaturation) + One(HasHue)
        + One(Posterize > 0) + One(Solarize > 0) + One(Sharpness > 0) + One(Autocontrast > 0) + One(Equalize > 0);

    /// <summary>Those that need statistics of the image first.</summary>
    internal int MostStatistics =>
        (Automatic?.Ops ?? 0) + One(HasContrast) + One(Autocontrast > 0) + One(Equalize > 0);

    /// <summary>No op looks at neighbours or at how often levels occur, so that nothing but a mean is needed of an image.</summary>
    internal bool IsOfPixels => Automatic is null && Sharpness == 0 && Autocontrast == 0 && Equalize == 0;

    private static int One(bool holds) => holds ? 1 : 0;
}
